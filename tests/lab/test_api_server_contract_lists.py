"""Lists: selectors, pages, versions. True of both servers."""

from __future__ import annotations

import pytest

from tests.lab.api_client import Api, configmap, service

pytest_plugins = ["tests.lab.api_fixtures"]

LABELS = {
    "plain": {"x/set": "1"},
    "red": {"x/set": "1", "color": "red"},
    "dark-red": {"x/set": "1", "color": "red", "dark": ""},
    "blue": {"x/set": "1", "color": "blue", "size": "12"},
}

SELECTORS: dict[str, set[str]] = {
    "color=red": {"red", "dark-red"},
    "color==red": {"red", "dark-red"},
    "color!=red": {"plain", "blue"},
    "color": {"red", "dark-red", "blue"},
    "!color": {"plain"},
    "color in (red, blue)": {"red", "dark-red", "blue"},
    "color in (blue)": {"blue"},
    "color notin (red)": {"plain", "blue"},  # codespell:ignore notin
    "color=red,!dark": {"red"},
    "color in (red,blue),dark": {"dark-red"},
    "dark=": {"dark-red"},
    "size>11": {"blue"},
    "size<12": set(),
    "color=green": set(),
    "": {"plain", "red", "dark-red", "blue"},
}


@pytest.mark.parametrize(("selector", "names"), SELECTORS.items(), ids=SELECTORS)
async def test_label_selectors(api: Api, selector: str, names: set[str]) -> None:
    """Equality, sets and existence select as the documentation says."""
    for name, labels in LABELS.items():
        await api.post(api.services, service(name, labels))
    found = await api.get(api.services, labelSelector=f"x/set=1,{selector}".strip(","))

    assert set(found.names) == names


FIELDS: dict[str, set[str]] = {
    "metadata.name=a": {"a"},
    "metadata.name==a": {"a"},
    "metadata.name!=a": {"b"},
    "metadata.name=a,metadata.namespace=elsewhere": set(),
    "spec.clusterIP=None": {"b"},
    "spec.type=ClusterIP": {"a", "b"},
}


@pytest.mark.parametrize(("selector", "names"), FIELDS.items(), ids=FIELDS)
async def test_field_selectors(api: Api, selector: str, names: set[str]) -> None:
    """Names, namespaces and a few fields of a kind can be selected by."""
    await api.post(api.services, service("a"))
    await api.post(api.services, service("b", clusterIP="None"))

    assert set((await api.get(api.services, fieldSelector=selector)).names) == names


WRONG: dict[str, tuple[dict[str, str], int]] = {
    "a label selector without sense": ({"labelSelector": "a===b"}, 400),
    "a set without parentheses": ({"labelSelector": "a in b"}, 400),
    "a field nobody selects by": ({"fieldSelector": "spec.ports=1"}, 400),
    "a version that is none": ({"resourceVersion": "abc"}, 400),
    "a token that is none": ({"continue": "abc"}, 400),
    "a limit that is none": ({"limit": "abc"}, 400),
    "a match without a version": ({"resourceVersionMatch": "Exact"}, 422),
    "a match that is none": ({"resourceVersionMatch": "Near", "resourceVersion": "1"}, 422),
    "exactly any version": ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 422),
    "initial events of a list": ({"sendInitialEvents": "true"}, 422),
    "a field selector without sense": ({"fieldSelector": "metadata.name"}, 400),
    "the far future": ({"resourceVersion": "99999999999"}, 504),
}


@pytest.mark.parametrize(("params", "status"), WRONG.values(), ids=WRONG)
async def test_senseless_lists_are_refused(api: Api, params: dict[str, str], status: int) -> None:
    """What cannot be meant is refused with a Status."""
    answer = await api.get(api.services, **params)

    assert (answer.status, answer.body["kind"]) == (status, "Status")


async def test_the_future_is_said_to_be_too_large(api: Api) -> None:
    """A version that is not reached yet gets 504 with a cause that says so, and when to retry."""
    answer = await api.get(api.services, resourceVersion="99999999999")

    assert answer.reason == "Timeout"
    assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert answer.body["details"]["retryAfterSeconds"] == 1


async def test_a_list_has_a_version_and_its_items_no_kind(api: Api) -> None:
    """Lists name their kind once; their version is not older than any item's."""
    made = await api.post(api.services, service("a"))
    found = await api.get(api.services)

    assert (found.body["kind"], found.body["apiVersion"]) == ("ServiceList", "v1")
    assert int(found.version) >= int(made.version)
    assert {"kind", "apiVersion"}.isdisjoint(found.body["items"][0])
    without_type = {k: v for k, v in made.body.items() if k not in ("kind", "apiVersion")}
    assert found.body["items"] == [without_type]


async def test_lists_are_ordered_by_namespace_and_name(api: Api) -> None:
    """Items come in the order of their keys."""
    for name in ("b", "a-b", "a", "c"):
        await api.post(api.configmaps, configmap(name, {"x": "y"}))

    assert (await api.get(api.configmaps, labelSelector="x=y")).names == ["a", "a-b", "b", "c"]


async def test_all_namespaces_can_be_listed_at_once(api: Api) -> None:
    """The path without a namespace lists them all."""
    await api.post(api.services, service("a"))
    found = await api.get("/api/v1/services", fieldSelector=f"metadata.namespace={api.namespace}")

    assert found.names == ["a"]


async def _fill(api: Api, count: int) -> None:
    for n in range(count):
        await api.post(api.services, service(f"s{n}"))


async def test_pages_show_one_moment(api: Api) -> None:
    """All pages are of the first page's version, whatever is written between them."""
    await _fill(api, 5)
    first = await api.get(api.services, limit="2")
    token = first.body["metadata"]["continue"]
    await api.delete(f"{api.services}/s3")
    await api.post(api.services, service("s31"))
    second = await api.get(api.services, limit="2", **{"continue": token})
    token = second.body["metadata"]["continue"]
    third = await api.get(api.services, limit="2", **{"continue": token})

    assert first.names + second.names + third.names == ["s0", "s1", "s2", "s3", "s4"]
    assert first.version == second.version == third.version
    assert "continue" not in third.body["metadata"]
    assert first.body["metadata"]["remainingItemCount"] == 3
    assert second.body["metadata"]["remainingItemCount"] == 1


async def test_pages_of_a_selection_do_not_count_the_rest(api: Api) -> None:
    """With a selector there is no `remainingItemCount`, but there are pages."""
    for name in ("a", "b", "c"):
        await api.post(api.services, service(name, {"x": "y"}))
    first = await api.get(api.services, limit="2", labelSelector="x=y")

    assert first.names == ["a", "b"]
    assert "remainingItemCount" not in first.body["metadata"]
    assert first.body["metadata"]["continue"]


async def test_an_exact_version_is_a_moment_of_the_past(api: Api) -> None:
    """`resourceVersionMatch=Exact` lists what was, `NotOlderThan` what is."""
    await _fill(api, 2)
    then = (await api.get(api.services)).version
    await api.delete(f"{api.services}/s0")
    path = api.services
    exact = await api.get(path, resourceVersion=then, resourceVersionMatch="Exact")
    recent = await api.get(path, resourceVersion=then, resourceVersionMatch="NotOlderThan")

    assert (exact.names, exact.version) == (["s0", "s1"], then)
    assert recent.names == ["s1"]
    assert int(recent.version) > int(then)


async def test_an_old_token_is_expired(api: Api) -> None:
    """A continue token of forgotten history gets 410 Expired, with a token that goes on anyway."""
    await _fill(api, 3)
    first = await api.get(api.services, limit="1")
    token = {"continue": first.body["metadata"]["continue"]}
    await api.put(f"{api.services}/s0", service("s0", {"x": "y"}))
    await api.forget_history()
    expired = await api.until(api.services, lambda a: a.status == 410, limit="1", **token)
    fresh = {"continue": expired.body["metadata"]["continue"]}
    rest = await api.get(api.services, **fresh)
    exact = {"resourceVersion": first.version, "resourceVersionMatch": "Exact"}
    past = await api.get(api.services, **exact)

    assert (expired.reason, past.status, past.reason) == ("Expired", 410, "Expired")
    assert rest.names == ["s1", "s2"]
    assert int(rest.version) > int(first.version)


async def test_a_page_has_its_own_version(api: Api) -> None:
    """A continue token and a resource version together get 400."""
    await _fill(api, 2)
    first = await api.get(api.services, limit="1")
    token = {"continue": first.body["metadata"]["continue"]}
    answer = await api.get(api.services, resourceVersion=first.version, **token)

    assert (answer.status, answer.reason) == (400, "BadRequest")


async def test_labels_and_fields_select_together(api: Api) -> None:
    """Both selectors must match; a field that is not there is empty."""
    for name, labels in (("a", {"x": "y"}), ("b", {"x": "y"}), ("c", {"x": "z"})):
        await api.post(api.services, service(name, labels))
    fields = "metadata.name!=b"

    assert (await api.get(api.services, labelSelector="x=y", fieldSelector=fields)).names == ["a"]
    involved = await api.get(api.events, fieldSelector="involvedObject.uid=")
    assert involved.names == []
