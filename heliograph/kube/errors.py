"""What a Kubernetes API server may answer instead of what was asked for. Pure.

One class per thing that a caller does differently; which ones are retryable is said by their base.
Source: Kubernetes API conventions, "HTTP status codes" and "Response status kind".
"""

from __future__ import annotations

from typing import Final

import msgspec

from heliograph.errors import HeliographError, RetryableError, TerminalError


class StatusCause(msgspec.Struct, frozen=True, kw_only=True):
    """One reason of a Status, such as a field that is not valid."""

    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Facts of a Status."""

    causes: tuple[StatusCause, ...] = ()
    retry_after_seconds: float = 0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The API server's form of an error (meta/v1 Status)."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: StatusDetails | None = None


class ApiUnreachable(RetryableError):
    """No answer: refused, reset, timed out, no such host, a certificate that does not fit."""

    def __init__(self, cluster: str, server: str, why: str) -> None:
        super().__init__(
            f"the API server of cluster {cluster} at {server} does not answer ({why}); is the "
            f"address in its kubeconfig right, and the server up?"
        )
        self.cluster, self.server, self.why = cluster, server, why


class ApiStatus(HeliographError):
    """Any answer that is an error; the facts are in `status`."""

    def __init__(self, request: str, status: Status) -> None:
        super().__init__(f"{request}: {status.code} {status.reason}: {status.message}")
        self.request, self.status = request, status


class NotFound(ApiStatus, TerminalError):
    """404: no such object, or no such kind in this cluster."""


class AlreadyExists(ApiStatus, RetryableError):
    """409 on create: read what stands there, and judge."""


class Conflict(ApiStatus, RetryableError):
    """409: the object changed since it was read, or a precondition failed."""


class Invalid(ApiStatus, TerminalError):
    """422, 400 and other 4xx without a class of their own: final until the input changes."""


class Forbidden(ApiStatus, TerminalError):
    """403: the credentials lack the right."""


class Denied(Forbidden):
    """403 by an admission policy or webhook: it is about the object, and no right is missing."""


class NamespaceTerminating(ApiStatus, RetryableError):
    """403 on create: the namespace is being deleted; wait for it to be gone."""


class Unauthorized(ApiStatus, TerminalError):
    """401: the credentials are not accepted."""


class Unreadable(RetryableError):
    """An answer that is no JSON of the API: a proxy's page, or a field of another type."""

    def __init__(self, request: str, why: str) -> None:
        super().__init__(
            f"{request}: the answer cannot be read ({why}); is there a proxy before the API server?"
        )
        self.request = request


class Gone(ApiStatus, RetryableError):
    """410: the resource version is too old; list again."""


class Busy(ApiStatus, RetryableError):
    """429, 408, 5xx: later. `retry_after_s` is what the server asked for; 0 if it did not."""

    def __init__(self, request: str, status: Status, *, retry_after_s: float = 0) -> None:
        super().__init__(request, status)
        self.retry_after_s = retry_after_s


_BY_CODE: Final[dict[int, type[ApiStatus]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
}
_LATER: Final = frozenset({408, 429})
_CLIENT_ERRORS: Final = range(400, 500)


def api_error(request: str, status: Status, *, retry_after_s: float = 0) -> ApiStatus:
    """Return the error that stands for an answer."""
    if status.code == 409 and status.reason == "AlreadyExists":  # noqa: PLR2004 - HTTP's own
        return AlreadyExists(request, status)
    if status.code == 403 and _is_terminating(status):  # noqa: PLR2004 - HTTP's own
        return NamespaceTerminating(request, status)
    if status.code == 403 and _is_denied(status):  # noqa: PLR2004 - HTTP's own
        return Denied(request, status)
    if (known := _BY_CODE.get(status.code)) is not None:
        return known(request, status)
    if status.code in _CLIENT_ERRORS and status.code not in _LATER:
        return Invalid(request, status)
    asked = status.details.retry_after_seconds if status.details else 0
    return Busy(request, status, retry_after_s=retry_after_s or asked)


def _is_denied(status: Status) -> bool:
    """Tell whether admission refused, by its words: nothing else of the answer says so."""
    return " denied request" in status.message or " denied the request" in status.message


def _is_terminating(status: Status) -> bool:
    causes = status.details.causes if status.details else ()
    return any(cause.reason == "NamespaceTerminating" for cause in causes)
