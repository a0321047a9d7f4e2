"""What the server answers when it refuses: `Status` objects, with the reasons of the real one.

Source: apimachinery's pkg/api/errors and pkg/util/validation/field, v0.36. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus

import msgspec

from heliograph.errors import HeliographError
from heliograph.lab.memory.objects import ENCODER, JsonObject


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with an object: which field, and why."""

    reason: str
    message: str
    field: str


class StatusError(HeliographError):
    """A refusal, as the API server words it.

    Args:
        code: HTTP status.
        reason: One word for programs; empty where the real server gives none.
        message: What people read.
        details: The object meant, and the causes.
        retry_after_s: Seconds after which the client may try again.
        token: Continue token for a list that cannot go on as it began.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: JsonObject | None = None,
        retry_after_s: int | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details = dict(details or {})
        self.retry_after_s, self.token = retry_after_s, token
        if retry_after_s is not None:
            self.details["retryAfterSeconds"] = retry_after_s

    def as_object(self) -> JsonObject:
        """Return the `Status` object that goes over the wire."""
        meta = {} if self.token is None else {"continue": self.token}
        status: JsonObject = {"kind": "Status", "apiVersion": "v1", "metadata": meta}
        status |= {"status": "Failure", "message": self.message}
        if self.reason:
            status["reason"] = self.reason
        if self.details:
            status["details"] = self.details
        status["code"] = self.code
        return status


def not_found(resource: str, name: str) -> StatusError:
    """Nothing of that name exists; `resource` is "services" or "peers.kilo.squat.ai"."""
    message = f'{resource} "{name}" not found'
    return StatusError(404, "NotFound", message, details=_details(resource, name))


def already_exists(resource: str, name: str) -> StatusError:
    """An object of that name stands there."""
    message = f'{resource} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, details=_details(resource, name))


def conflict(resource: str, name: str, why: str) -> StatusError:
    """The writer's idea of the object is out of date."""
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return StatusError(409, "Conflict", message, details=_details(resource, name))


def forbidden_request(
    resource: str, name: str, why: str, causes: Iterable[Cause] = ()
) -> StatusError:
    """An admission rule says no."""
    message = f'{resource} "{name}" is forbidden: {why}'
    details = _details(resource, name) | _causes(causes)
    return StatusError(403, "Forbidden", message, details=details)


def bad_request(message: str) -> StatusError:
    """The request itself makes no sense."""
    return StatusError(400, "BadRequest", message)


def internal(message: str) -> StatusError:
    """The server's own fault; also what the real one says of a few malformed requests."""
    return StatusError(500, "", message)


def unsupported_media_type(message: str) -> StatusError:
    """The body, or the patch, has a form that is not served."""
    return StatusError(415, "UnsupportedMediaType", message)


def expired(message: str, token: str | None = None) -> StatusError:
    """The resource version asked for is no longer in the history; a list may go on by `token`."""
    return StatusError(410, "Expired", message, token=token)


def invalid_object(kind: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """The object breaks rules of its kind; `kind` is "Service" or "Peer.kilo.squat.ai"."""
    said = [f"{c.field}: {c.message}" for c in causes]
    summary = said[0] if len(said) == 1 else f"[{', '.join(dict.fromkeys(said))}]"
    message = f'{kind} "{name}" is invalid: {summary}'
    details = _details(kind, name) | _causes(causes)
    return StatusError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", message, details=details)


def required(field: str, why: str = "") -> Cause:
    """A field that must be there is not."""
    return Cause(reason="FieldValueRequired", message=_joined("Required value", why), field=field)


def invalid(field: str, value: object, why: str) -> Cause:
    """A field's value cannot be."""
    message = f"Invalid value: {_quoted(value)}: {why}"
    return Cause(reason="FieldValueInvalid", message=message, field=field)


def not_supported(field: str, value: object, supported: Iterable[str]) -> Cause:
    """A field's value is none of those that exist."""
    known = ", ".join(f'"{s}"' for s in supported)
    message = f"Unsupported value: {_quoted(value)}: supported values: {known}"
    return Cause(reason="FieldValueNotSupported", message=message, field=field)


def duplicate(field: str, value: object) -> Cause:
    """A value that must be unique stands there twice."""
    message = f"Duplicate value: {_quoted(value)}"
    return Cause(reason="FieldValueDuplicate", message=message, field=field)


def forbidden(field: str, why: str) -> Cause:
    """A field that must not be set is."""
    return Cause(reason="FieldValueForbidden", message=_joined("Forbidden", why), field=field)


def too_many(field: str, count: int, most: int) -> Cause:
    """A list is too long."""
    message = f"Too many: {count}: must have at most {most} items"
    return Cause(reason="FieldValueTooMany", message=message, field=field)


def too_long(field: str, most: int) -> Cause:
    """A text is too long."""
    message = f"Too long: may not be more than {most} bytes"
    return Cause(reason="FieldValueTooLong", message=message, field=field)


def _joined(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def _quoted(value: object) -> str:
    return ENCODER.encode(value).decode()


def _details(resource: str, name: str) -> JsonObject:
    kind, _, group = resource.partition(".")
    named = {"name": name} if name else {}
    return {**named, **({"group": group} if group else {}), "kind": kind}


def _causes(causes: Iterable[Cause]) -> JsonObject:
    listed = [msgspec.to_builtins(c) for c in causes]
    return {"causes": listed} if listed else {}
