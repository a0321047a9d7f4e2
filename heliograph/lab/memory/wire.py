"""Bodies and answers: between HTTP's bytes and JSON objects."""

from __future__ import annotations

import asyncio

import msgspec
import yaml
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from heliograph.lab.memory.incoming import Caller
from heliograph.lab.memory.objects import ENCODER, JsonObject, decoded, field_of, metadata
from heliograph.lab.memory.protobuf import MEDIA_TYPE, decode_protobuf
from heliograph.lab.memory.removal import DeleteOptions
from heliograph.lab.memory.status import StatusError, bad_request, unsupported_media_type
from heliograph.lab.memory.store import Item
from heliograph.lab.memory.targets import Target

_MAX_BODY_BYTES = 3 * 1024 * 1024
_JSON_TYPES = ("application/json", "application/octet-stream")  # the latter: no type was given
_YAML_TYPES = ("application/yaml", "text/yaml")


def make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """Return a request that takes bodies as large as the real server does."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY_BYTES
    )


async def read_body(request: web.BaseRequest) -> bytes:
    """Return a request's body; raises `StatusError` 413."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as exc:
        message = f"Request entity too large: limit is {_MAX_BODY_BYTES}"
        raise StatusError(413, "RequestEntityTooLarge", message) from exc


async def read_object(request: web.BaseRequest) -> JsonObject:
    """Return the object in a request's body; raises `StatusError` 400, 413 or 415."""
    body = await read_body(request)
    try:
        return _decode(body, request.content_type)
    except (msgspec.DecodeError, msgspec.ValidationError, yaml.YAMLError) as exc:
        raise bad_request(f"the object provided is unrecognized: {exc}") from exc


async def read_options(request: web.BaseRequest) -> JsonObject:
    """Return the options in a DELETE's body; none at all when it has no body."""
    return await read_object(request) if request.can_read_body else {}


def caller_of(
    request: web.BaseRequest, target: Target, options: JsonObject | None = None
) -> Caller:
    """Return who writes, by the request's parameters and User-Agent."""
    params, agent = request.query, request.headers.get("User-Agent", "unknown")
    return Caller(
        manager=params.get("fieldManager") or agent.partition("/")[0],
        dry_run=bool(params.get("dryRun") or (options or {}).get("dryRun")),
        subresource=target.subresource,
        strict=params.get("fieldValidation") == "Strict",
    )


def delete_options(options: JsonObject) -> DeleteOptions:
    """Return what a deletion insists on."""
    return DeleteOptions(
        uid=_text(options, "preconditions.uid"),
        resource_version=_text(options, "preconditions.resourceVersion"),
    )


def deleted_status(target: Target, item: Item) -> bytes:
    """Return the answer to the deletion of an object that is gone."""
    kind = target.resource.kind
    details = {"name": item.key[1], **({"group": kind.group} if kind.group else {})}
    details |= {"kind": kind.plural, "uid": metadata(item.obj)["uid"]}
    status: JsonObject = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
    return ENCODER.encode(status | {"status": "Success", "details": details})


def refusal(error: StatusError) -> web.Response:
    """Return a refusal as the answer it is."""
    answer = json_answer(ENCODER.encode(error.as_object()), error.code)
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def json_answer(body: bytes, status: int = 200) -> web.Response:
    """Return an answer of JSON."""
    return web.Response(body=body, status=status, content_type="application/json")


def with_warnings(answer: web.Response, warnings: list[str]) -> web.Response:
    """Add warnings, which kubectl shows, to an answer."""
    for warning in warnings:
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        answer.headers.add("Warning", f'299 - "{quoted}"')
    return answer


def _decode(body: bytes, media_type: str) -> JsonObject:
    if media_type in _YAML_TYPES:
        return msgspec.convert(yaml.safe_load(body), JsonObject)
    if media_type in _JSON_TYPES:
        return decoded(body)
    if media_type == MEDIA_TYPE:
        return decode_protobuf(body)
    raise unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )


def _text(options: JsonObject, path: str) -> str | None:
    value = field_of(options, path)
    return None if value is None else str(value)
