"""From a request's path and query to what it is about. Pure.

Source: the Kubernetes page "API concepts", resource URIs and verbs.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from heliograph.lab.memory.listing import ListQuery
from heliograph.lab.memory.objects import Key
from heliograph.lab.memory.resources import Resource, Resources
from heliograph.lab.memory.selectors import Matches, both, field_matcher, label_matcher
from heliograph.lab.memory.status import (
    StatusError,
    bad_request,
    forbidden,
    internal,
    invalid_object,
)
from heliograph.lab.memory.watch import WatchQuery

_TRUE = frozenset({"1", "t", "true", ""})
_DEFAULT_WATCH_S = 1800
_SUBRESOURCES = frozenset({"", "status", "finalize"})

Params = Mapping[str, str]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a path names.

    Attributes:
        resource: The kind, as this cluster serves it.
        namespace: None when the path names none.
        name: Empty for the whole collection.
        subresource: "status", "finalize" or empty.
    """

    resource: Resource
    namespace: str | None = None
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        """Return the key of the one object named."""
        return self.resource.key(self.namespace or "", self.name)

    def verb(self, method: str, params: Params) -> str:
        """Return the verb, as access rules would call it; raises `StatusError` 405."""
        table = _ON_ONE if self.name else _ON_ALL
        verb = table.get(method)
        if verb is None or self._refuses(method):
            message = "the server does not allow this method on the requested resource"
            raise StatusError(405, "MethodNotAllowed", message)
        return "watch" if verb == "list" and flag(params, "watch") else verb

    def _refuses(self, method: str) -> bool:
        nowhere = self.resource.kind.namespaced and self.namespace is None
        subresource = self.subresource and method not in ("GET", "PUT", "PATCH")
        return bool(subresource or (nowhere and method != "GET"))


_ON_ALL = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_ON_ONE = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def parse_target(path: str, resources: Resources) -> Target | None:
    """Return what a path names; None when nothing of that name is served."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:  # noqa: PLR2004 - /api/v1/plural
        return _target("", parts[1], parts[2:], resources)
    if parts[0] == "apis" and len(parts) > 3:  # noqa: PLR2004 - /apis/group/version/plural
        return _target(parts[1], parts[2], parts[3:], resources)
    return None


def list_query(target: Target, params: Params) -> ListQuery:
    """Return what a list request asks for; raises `StatusError` 400 or 422."""
    if "sendInitialEvents" in params:
        raise _refused("sendInitialEvents", "sendInitialEvents is forbidden for list")
    return ListQuery(
        namespace=target.namespace,
        matches=selection(target, params),
        limit=number(params, "limit"),
        token=params.get("continue", ""),
        resource_version=params.get("resourceVersion", ""),
        version_match=params.get("resourceVersionMatch", ""),
    )


def watch_query(target: Target, params: Params, bookmark_interval_s: float) -> WatchQuery:
    """Return what a watch request asks for; raises `StatusError` 400 or 422."""
    initial = flag(params, "sendInitialEvents")
    _check_watch_match(params)
    version = _watch_version(params.get("resourceVersion") or "0")
    bookmarks = flag(params, "allowWatchBookmarks")
    return WatchQuery(
        namespace=target.namespace,
        matches=selection(target, params),
        version=0 if initial else version,
        bookmarks=bookmarks,
        initial_bookmark=initial and bookmarks,
        timeout_s=number(params, "timeoutSeconds") or _DEFAULT_WATCH_S,
        bookmark_interval_s=bookmark_interval_s,
    )


def selection(target: Target, params: Params) -> Matches:
    """Return the predicate of the request's selectors, and of the name in its path."""
    kind = target.resource.kind
    known = frozenset({"metadata.name", "metadata.namespace", *kind.fields})
    labels = label_matcher(params.get("labelSelector", ""))
    return both(labels, field_matcher(params.get("fieldSelector", ""), known))


def flag(params: Params, name: str) -> bool:
    """Return a yes-or-no parameter; absent is no."""
    return params.get(name, "false").lower() in _TRUE


def number(params: Params, name: str) -> int:
    """Return a whole-number parameter, 0 when absent; raises `StatusError` 400."""
    text = params.get(name) or "0"
    if not text.isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _check_watch_match(params: Params) -> None:
    match, asked = params.get("resourceVersionMatch", ""), "sendInitialEvents" in params
    if asked and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise _refused("resourceVersionMatch", why)
    if match and not asked:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise _refused("resourceVersionMatch", why)


def _watch_version(text: str) -> int:
    if not text.isdigit():  # the real server calls its own fault what is the client's
        why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise internal(f'resourceVersion: Invalid value: "{text}": {why}')
    return int(text)


def _refused(field: str, why: str) -> StatusError:
    return invalid_object("ListOptions.meta.k8s.io", "", [forbidden(field, why)])


def _target(group: str, version: str, parts: list[str], resources: Resources) -> Target | None:
    namespace: str | None = None
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in _SUBRESOURCES:  # noqa: PLR2004
        namespace, parts = parts[1], parts[2:]
    resource = resources.find(group, version, parts[0])
    name, subresource, rest = [*parts[1:], "", "", ""][:3]
    if resource is None or rest or not _served(resource, subresource):
        return None
    if namespace is not None and not resource.kind.namespaced:
        return None
    if name and resource.kind.namespaced and namespace is None:
        return None
    return Target(resource=resource, namespace=namespace, name=name, subresource=subresource)


def _served(resource: Resource, subresource: str) -> bool:
    if subresource == "finalize":
        return resource.kind.plural == "namespaces"
    return not subresource or (subresource == "status" and resource.kind.status)
