"""What the server says of itself: version, health, groups and resources. Pure.

Both forms of discovery are served: a page per group, and all of it in two pages ("aggregated"),
which kubectl asks for first.
"""

from __future__ import annotations

import msgspec

from heliograph.lab.memory.kinds import Kind
from heliograph.lab.memory.objects import ENCODER, JsonObject
from heliograph.lab.memory.openapi import openapi_index, openapi_paths, openapi_v2
from heliograph.lab.memory.resources import Resources
from heliograph.lab.memory.settings import MemoryClusterSettings
from heliograph.lab.memory.status import StatusError

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_STATUS_VERBS = ("get", "patch", "update")
_HEALTH = frozenset({"/healthz", "/readyz", "/livez"})
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_NOT_SERVED = "the server could not find the requested resource"

ACCESS_REVIEW = Kind(
    group="authorization.k8s.io",
    name="SelfSubjectAccessReview",
    plural="selfsubjectaccessreviews",
    namespaced=False,
)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is not about stored objects."""

    body: bytes
    media_type: str = "application/json"
    status: int = 200


class Discovery:
    """The pages outside the resources."""

    def __init__(self, settings: MemoryClusterSettings, resources: Resources) -> None:
        self._settings, self._resources = settings, resources

    def document(self, path: str, accept: str) -> Document:
        """Return the page at a path; raises `StatusError` 404 below a known group."""
        path = path.rstrip("/")
        if path in _HEALTH:
            return Document(body=b"ok", media_type="text/plain")
        if path in ("/api", "/apis") and accept.startswith(_AGGREGATED):
            return self._aggregated(path)
        found = self._described(path)
        return self._nothing(path) if found is None else Document(body=ENCODER.encode(found))

    def _described(self, path: str) -> JsonObject | None:
        kinds = self._kinds()
        if path == "/version":
            return _version(self._settings.version)
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            described = [_group(g, kinds) for g in _groups(kinds)]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": described}
        if path.startswith("/openapi/"):
            return self._openapi(path)
        group = path.removeprefix("/apis/")
        return _group(group, kinds) if group in _groups(kinds) else _resource_list(path, kinds)

    def _openapi(self, path: str) -> JsonObject | None:
        if path == "/openapi/v2":
            return openapi_v2()
        if path == "/openapi/v3":
            return openapi_index(self._kinds())
        return openapi_paths(path.removeprefix("/openapi/v3/"), self._kinds())

    def _aggregated(self, path: str) -> Document:
        kinds = self._kinds()
        groups = [""] if path == "/api" else _groups(kinds)
        listed: JsonObject = {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": [_aggregated_group(g, kinds) for g in groups],
        }
        return Document(body=ENCODER.encode(listed), media_type=_AGGREGATED)

    def _nothing(self, path: str) -> Document:
        known = {"/api/v1", *(f"/apis/{k.api_version}" for k in self._kinds())}
        if "/".join(path.split("/")[:4]) in known or path.startswith("/api/v1/"):
            raise StatusError(404, "NotFound", _NOT_SERVED)
        return Document(body=b"404 page not found\n", media_type="text/plain", status=404)

    def _kinds(self) -> list[Kind]:
        return [*(r.kind for r in self._resources), ACCESS_REVIEW]


def _version(version: str) -> JsonObject:
    major, minor = version.removeprefix("v").split(".")[:2]
    named = {"major": major, "minor": minor, "gitVersion": version}
    return named | {"platform": "heliograph/memory"}


def _groups(kinds: list[Kind]) -> list[str]:
    return sorted({k.group for k in kinds if k.group})


def _versions(group: str, kinds: list[Kind]) -> list[str]:
    return sorted({k.version for k in kinds if k.group == group})


def _group(group: str, kinds: list[Kind]) -> JsonObject:
    listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in _versions(group, kinds)]
    named: JsonObject = {"kind": "APIGroup", "apiVersion": "v1", "name": group}
    return named | {"versions": listed, "preferredVersion": listed[0]}


def _resource_list(path: str, kinds: list[Kind]) -> JsonObject | None:
    group_version = path.removeprefix("/apis/").removeprefix("/api/")
    described = [e for k in kinds if k.api_version == group_version for e in _entries(k)]
    if not described:
        return None
    named: JsonObject = {"kind": "APIResourceList", "apiVersion": "v1"}
    return named | {"groupVersion": group_version, "resources": described}


def _entries(kind: Kind) -> list[JsonObject]:
    """Describe a kind, and its status subresource."""
    entry: JsonObject = {"name": kind.plural, "singularName": kind.singular}
    entry |= {"namespaced": kind.namespaced, "kind": kind.name, "verbs": _verbs(kind)}
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if not kind.status:
        return [entry]
    status = {"name": f"{kind.plural}/status", "singularName": "", "namespaced": kind.namespaced}
    return [entry, status | {"kind": kind.name, "verbs": list(_STATUS_VERBS)}]


def _verbs(kind: Kind) -> list[str]:
    return ["create"] if kind is ACCESS_REVIEW else list(_VERBS)


def _aggregated_group(group: str, kinds: list[Kind]) -> JsonObject:
    versions = [
        {
            "version": version,
            "freshness": "Current",
            "resources": [
                _aggregated_kind(k) for k in kinds if (k.group, k.version) == (group, version)
            ],
        }
        for version in _versions(group, kinds)
    ]
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _aggregated_kind(kind: Kind) -> JsonObject:
    response = {"group": kind.group, "version": kind.version, "kind": kind.name}
    entry: JsonObject = {"resource": kind.plural, "responseKind": response}
    entry |= {"scope": "Namespaced" if kind.namespaced else "Cluster"}
    entry |= {"singularResource": kind.singular, "verbs": _verbs(kind)}
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.status:
        status = {"subresource": "status", "responseKind": response}
        entry["subresources"] = [status | {"verbs": list(_STATUS_VERBS)}]
    return entry


def review(obj: JsonObject) -> Document:
    """Answer an access review: everybody may do everything."""
    named: JsonObject = {"kind": ACCESS_REVIEW.name, "apiVersion": ACCESS_REVIEW.api_version}
    answered = named | {"metadata": {}} | obj | {"status": {"allowed": True}}
    return Document(body=ENCODER.encode(answered), status=201)
