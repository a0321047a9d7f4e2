"""The contract suite, custom resources: kinds that come and go, and what their schema refuses.

Kilo's Peer is the example, by the manifest that the laboratory installs.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator

import pytest

from heliograph.lab.kilo import peer_crd
from tests.lab.api_client import JSON_PATCH, STRATEGIC_PATCH, Answer, Api, Json, Object

pytest_plugins = ["tests.lab.api_fixtures"]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CRD = f"{CRDS}/peers.kilo.squat.ai"
GROUP = "/apis/kilo.squat.ai/v1alpha1"
PEERS = f"{GROUP}/peers"
ENDPOINT = {"dnsOrIP": {"ip": "203.0.113.10"}, "port": 51820}


def peer(name: str = "a", /, **spec: Json) -> Object:
    """Return a Peer; a member of its spec given as None is left out."""
    usual = {"publicKey": "k", "allowedIPs": ["10.0.0.0/24"], **spec}
    return {
        "apiVersion": "kilo.squat.ai/v1alpha1",
        "kind": "Peer",
        "metadata": {"name": name},
        "spec": {k: v for k, v in usual.items() if v is not None},
    }


async def served(api: Api) -> Answer:
    """Return the list of Peers as soon as it is served."""
    return await api.until(PEERS, lambda answer: answer.status == 200)


async def gone(api: Api) -> Answer:
    """Return the answer as soon as neither Peers nor their definition are known."""
    await api.until(CRD, lambda answer: answer.status == 404)
    return await api.until(PEERS, lambda answer: answer.status == 404)


@pytest.fixture
async def kilo(api: Api) -> AsyncIterator[Api]:
    """Give a server that knows Peers, for as long as the test lasts."""
    assert (await api.post(CRDS, peer_crd())).status == 201
    await served(api)
    yield api
    await api.delete(CRD)
    await gone(api)


async def test_a_kind_that_nobody_defined(api: Api) -> None:
    """There is nothing to list, to watch or to create, and no group."""
    listed, made = await api.get(PEERS), await api.post(PEERS, peer())

    assert (listed.status, made.status) == (404, 404)
    assert listed.body == "404 page not found\n"
    assert (await api.get(PEERS, watch="true")).status == 404
    assert (await api.get("/apis/kilo.squat.ai")).status == 404


async def test_a_definition_is_completed_and_established(kilo: Api) -> None:
    """The server fills in names and says that they are accepted."""
    crd = await kilo.get(CRD)
    status = crd.body["status"]

    assert crd.body["spec"]["names"]["listKind"] == "PeerList"
    assert crd.body["spec"]["conversion"] == {"strategy": "None"}
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert status["acceptedNames"] == crd.body["spec"]["names"]
    assert status["storedVersions"] == ["v1alpha1"]
    assert crd.body["metadata"]["generation"] == 1


async def test_a_defined_kind_is_discovered(kilo: Api) -> None:
    """Its group and its resource are among those of the server."""
    groups = (await kilo.get("/apis")).body["groups"]
    resources = (await kilo.get(GROUP)).body["resources"]

    assert "kilo.squat.ai" in [g["name"] for g in groups]
    described = {k: resources[0][k] for k in ("name", "singularName", "namespaced", "kind")}
    assert described == {
        "name": "peers",
        "singularName": "peer",
        "namespaced": False,
        "kind": "Peer",
    }
    assert len(resources) == 1


async def test_a_custom_resource_lives_like_any_other(kilo: Api) -> None:
    """Created, read, listed, replaced, patched and deleted; its generation counts its content."""
    made = await kilo.post(PEERS, peer(endpoint=ENDPOINT))
    again = await kilo.post(PEERS, peer())
    listed = await kilo.get(PEERS)
    changed = made.body | {"spec": made.body["spec"] | {"allowedIPs": []}}
    replaced = await kilo.put(f"{PEERS}/a", changed)
    same = await kilo.put(f"{PEERS}/a", replaced.body)
    labelled = await kilo.patch(f"{PEERS}/a", {"metadata": {"labels": {"a": "b"}}})
    patched = await kilo.patch(f"{PEERS}/a", {"spec": {"endpoint": None}})
    deleted = await kilo.delete(f"{PEERS}/a")

    assert (made.status, made.body["spec"]["endpoint"]) == (201, ENDPOINT)
    assert (again.status, again.reason) == (409, "AlreadyExists")
    assert (listed.body["kind"], listed.body["items"]) == ("PeerList", [made.body])
    assert (replaced.status, replaced.body["spec"]["allowedIPs"]) == (200, [])
    assert same.version == replaced.version
    generations = [a.body["metadata"]["generation"] for a in (made, replaced, labelled, patched)]
    assert generations == [1, 2, 2, 3]
    assert "endpoint" not in patched.body["spec"]
    assert (deleted.status, deleted.body["status"]) == (200, "Success")
    assert deleted.body["details"]["kind"] == "peers"
    assert (await kilo.get(f"{PEERS}/a")).status == 404


async def test_writes_of_a_custom_resource_are_guarded(kilo: Api) -> None:
    """A PUT needs the version that stands there; a DELETE may insist on version and uid."""
    made = await kilo.post(PEERS, peer())
    await kilo.patch(f"{PEERS}/a", {"spec": {"allowedIPs": []}})
    unversioned = await kilo.put(f"{PEERS}/a", peer())
    outdated = await kilo.put(f"{PEERS}/a", made.body)
    absent = await kilo.put(f"{PEERS}/b", peer("b"))
    version = {"preconditions": {"resourceVersion": made.version}}
    other = {"preconditions": {"uid": "another"}}

    assert (unversioned.status, unversioned.causes) == (422, {"Invalid metadata.resourceVersion"})
    assert (outdated.status, outdated.reason) == (409, "Conflict")
    assert (absent.status, absent.reason) == (404, "NotFound")
    assert (await kilo.delete(f"{PEERS}/a", version)).reason == "Conflict"
    assert (await kilo.delete(f"{PEERS}/a", other)).reason == "Conflict"
    assert (await kilo.get(f"{PEERS}/a")).status == 200


INVALID: dict[str, tuple[Object, set[str]]] = {
    "no keys": (peer(publicKey=None), {"Required spec.publicKey"}),
    "an empty spec": (
        peer() | {"spec": {}},
        {"Required spec.publicKey", "Required spec.allowedIPs"},
    ),
    "no spec": ({k: v for k, v in peer().items() if k != "spec"}, {"Required spec"}),
    "a spec that is a text": (peer() | {"spec": "x"}, {"TypeInvalid spec"}),
    "one range": (peer(allowedIPs="10.0.0.0/24"), {"TypeInvalid spec.allowedIPs"}),
    "a number in a list": (peer(allowedIPs=["", 1]), {"TypeInvalid spec.allowedIPs[1]"}),
    "an empty endpoint": (
        peer(endpoint={}),
        {"Required spec.endpoint.dnsOrIP", "Required spec.endpoint.port"},
    ),
    "a port that is a text": (
        peer(endpoint=ENDPOINT | {"port": "51820"}),
        {"TypeInvalid spec.endpoint.port"},
    ),
    "a port of 34 bits": (peer(endpoint=ENDPOINT | {"port": 2**33}), {"Invalid <nil>"}),
    "a host that is a list": (
        peer(endpoint=ENDPOINT | {"dnsOrIP": []}),
        {"TypeInvalid spec.endpoint.dnsOrIP"},
    ),
    "several things": (
        peer(publicKey=5, allowedIPs="x", persistentKeepalive=True),
        {
            "TypeInvalid spec.publicKey",
            "TypeInvalid spec.allowedIPs",
            "TypeInvalid spec.persistentKeepalive",
        },
    ),
    "a bad name": (peer("A"), {"Invalid metadata.name"}),
    "a bad name and no key": (
        peer("A", publicKey=None),
        {"Invalid metadata.name", "Required spec.publicKey"},
    ),
    "another kind": (peer() | {"kind": "Pear"}, {"Invalid kind"}),
}


async def test_what_a_schema_refuses(kilo: Api) -> None:
    """A custom resource that breaks its schema gets 422, with a cause for each fault."""
    answers = {name: await kilo.post(PEERS, obj) for name, (obj, _) in INVALID.items()}

    assert {a.status for a in answers.values()} == {422}
    assert {n: a.causes for n, a in answers.items()} == {n: c for n, (_, c) in INVALID.items()}


async def test_a_schema_says_what_is_wrong(kilo: Api) -> None:
    """The message names the field, the type that it must have and the one that it has."""
    typed = await kilo.post(PEERS, peer(allowedIPs="x"))
    missing = await kilo.post(PEERS, peer(publicKey=None))

    assert typed.body["message"] == (
        'Peer.kilo.squat.ai "a" is invalid: spec.allowedIPs: Invalid value: "string": '
        'spec.allowedIPs in body must be of type array: "string"'
    )
    assert (
        missing.body["message"]
        == 'Peer.kilo.squat.ai "a" is invalid: spec.publicKey: Required value'
    )
    assert missing.body["details"]["group"] == "kilo.squat.ai"


async def test_updates_are_checked_as_creations_are(kilo: Api) -> None:
    """Neither a PUT nor a patch may break the schema; what stands there stays."""
    made = await kilo.post(PEERS, peer())
    replaced = await kilo.put(f"{PEERS}/a", made.body | {"spec": {"allowedIPs": []}})
    patched = await kilo.patch(f"{PEERS}/a", {"spec": {"publicKey": None}})
    strategic = await kilo.call("PATCH", f"{PEERS}/a", {}, STRATEGIC_PATCH)
    stepped = await kilo.patch(
        f"{PEERS}/a", [{"op": "replace", "path": "/spec/publicKey", "value": "l"}], JSON_PATCH
    )

    assert (replaced.status, replaced.causes) == (422, {"Required spec.publicKey"})
    assert (patched.status, patched.causes) == (422, {"Required spec.publicKey"})
    assert strategic.status == 415
    assert (stepped.status, stepped.body["spec"]["publicKey"]) == (200, "l")


async def test_what_a_schema_does_not_know_is_pruned(kilo: Api) -> None:
    """Unknown members and nulls are dropped with a warning; a strict request is refused."""
    unknown = peer(more=1, endpoint=ENDPOINT | {"dnsOrIP": {"ip": "203.0.113.1", "name": "x"}})
    unknown["metadata"]["more"] = "1"
    unknown["status"] = {"ready": True}
    made = await kilo.post(PEERS, unknown)
    strict = await kilo.post(PEERS, unknown, fieldValidation="Strict")
    null = peer("b")
    null["spec"]["endpoint"] = None
    nulls = await kilo.post(PEERS, null)

    assert made.status == 201
    assert made.body.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert made.body["spec"].keys() == {"allowedIPs", "publicKey", "endpoint"}
    assert made.body["spec"]["endpoint"]["dnsOrIP"] == {"ip": "203.0.113.1"}
    warned = made.headers.getall("Warning")
    assert {w.split('"')[2].removesuffix("\\") for w in warned} == {
        "metadata.more",
        "spec.endpoint.dnsOrIP.name",
        "spec.more",
        "status",
    }
    assert strict.status == 400
    assert 'unknown field "spec.more"' in strict.body["message"]
    assert (nulls.status, "endpoint" in nulls.body["spec"]) == (201, False)


async def test_a_custom_resource_must_say_what_it_is(kilo: Api) -> None:
    """Without a kind, or of another version, it cannot be read: 400."""
    kindless = {k: v for k, v in peer().items() if k != "kind"}
    answers = [
        await kilo.post(PEERS, kindless),
        await kilo.post(PEERS, peer() | {"apiVersion": "kilo.squat.ai/v1"}),
        await kilo.post(PEERS, peer() | {"metadata": {"name": "a", "labels": {"a": 1}}}),
    ]

    assert [a.status for a in answers] == [400, 400, 400]


async def test_fields_of_custom_resources_are_no_selectors(kilo: Api) -> None:
    """Only the name selects; there is no status subresource unless the definition has one."""
    await kilo.post(PEERS, peer("a"))
    await kilo.post(PEERS, peer("b"))

    named = await kilo.get(PEERS, fieldSelector="metadata.name=b")
    assert named.names == ["b"]
    assert (await kilo.get(PEERS, fieldSelector="spec.publicKey=k")).status == 400
    assert (await kilo.get(f"{PEERS}/a/status")).status == 404


async def test_a_custom_resource_is_shown_as_a_table(kilo: Api) -> None:
    """Without columns of its own it has a name and an age."""
    await kilo.post(PEERS, peer())
    table = await kilo.table(PEERS)

    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Age"]
    assert table["rows"][0]["cells"][0] == "a"


async def test_custom_resources_are_watched(kilo: Api) -> None:
    """A watch tells of creations, changes and deletions, each with the type's name."""
    version = (await kilo.get(PEERS)).version
    async with kilo.watch(PEERS, resourceVersion=version) as events:
        await kilo.post(PEERS, peer())
        await kilo.patch(f"{PEERS}/a", {"spec": {"allowedIPs": []}})
        await kilo.delete(f"{PEERS}/a")
        seen = [await events.next() for _ in range(3)]

    assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert {obj["kind"] for _, obj in seen} == {"Peer"}


async def test_a_definition_that_is_deleted_takes_its_objects_along(kilo: Api) -> None:
    """Whoever watches them sees them go, then the watch ends; then the kind is unknown."""
    await kilo.post(PEERS, peer("a"))
    made = await kilo.post(PEERS, peer("b"))
    async with kilo.watch(PEERS, resourceVersion=made.version) as events:
        deleted = await kilo.delete(CRD)
        seen = await events.rest()
    absent = await gone(kilo)

    assert deleted.status == 200
    assert {(kind, obj["metadata"]["name"]) for kind, obj in seen} == {
        ("DELETED", "a"),
        ("DELETED", "b"),
    }
    assert absent.body == "404 page not found\n"
    assert (await kilo.post(PEERS, peer())).status == 404


async def test_a_kind_that_comes_back_begins_anew(kilo: Api) -> None:
    """It has none of the objects from before, and versions from before have expired."""
    made = await kilo.post(PEERS, peer())
    await kilo.delete(CRD)
    await gone(kilo)
    await kilo.post(CRDS, peer_crd())
    listed = await served(kilo)
    async with kilo.watch(PEERS, resourceVersion=made.version, timeoutSeconds="5") as events:
        kind, status = await events.next()

    assert listed.names == []
    assert (kind, status["code"]) == ("ERROR", 410)


async def test_a_definition_may_change(kilo: Api) -> None:
    """Short names come while its objects stay; what it is about may not change."""
    await kilo.post(PEERS, peer())
    named = await kilo.patch(CRD, {"spec": {"names": {"shortNames": ["pe"]}}})

    def short(answer: Answer) -> bool:
        return answer.body["resources"][0].get("shortNames") == ["pe"]

    await kilo.until(GROUP, short)
    moved = await kilo.patch(CRD, {"spec": {"scope": "Namespaced"}})

    assert (named.status, named.body["metadata"]["generation"]) == (200, 2)
    assert (moved.status, moved.causes) == (422, {"Invalid spec.scope"})
    assert (await kilo.until(PEERS, lambda a: a.status == 200)).names == ["a"]


async def test_definitions_that_cannot_be(api: Api) -> None:
    """A name that is not made of plural and group, or no schema, gets 422."""
    misnamed = copy.deepcopy(peer_crd())
    misnamed["metadata"]["name"] = "pears.kilo.squat.ai"
    vague = copy.deepcopy(peer_crd())
    del vague["spec"]["versions"][0]["schema"]

    answers = [await api.post(CRDS, misnamed), await api.post(CRDS, vague)]

    assert [(a.status, a.causes) for a in answers] == [
        (422, {"Invalid metadata.name"}),
        (422, {"Required spec.versions[0].schema.openAPIV3Schema"}),
    ]
