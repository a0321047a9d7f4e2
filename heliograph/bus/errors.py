"""The bus's branch of the error tree: what can go wrong between this process and JetStream.

Every message names the thing concerned and says what to do; no library's exception leaves the
package.
"""

from __future__ import annotations

from heliograph.errors import RetryableError, TerminalError


class BusUnreachable(RetryableError):
    """The first connection could not be made within its bound.

    Attributes:
        url: The address tried, without credentials.
        final: The server answered and refused: trying again at once is pointless.
    """

    def __init__(self, message: str, *, url: str, final: bool = False) -> None:
        super().__init__(message)
        self.url, self.final = url, final


class Disconnected(RetryableError):
    """There is no connection at this moment; the supervisor is making a new one."""

    def __init__(self, doing: str) -> None:
        super().__init__(f"{doing}: not connected to the bus at this moment.")


class RequestTimeout(RetryableError):
    """Nobody answered a request in time."""

    def __init__(self, subject: str, timeout_s: float) -> None:
        super().__init__(f"no answer to {subject} within {timeout_s:g} s.")
        self.subject, self.timeout_s = subject, timeout_s


class NoResponders(RetryableError):
    """Nobody listens on the subject of a request (for JetStream's API: JetStream is off)."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"nobody answers on {subject}; is JetStream on, and its domain right?")
        self.subject = subject


class PermissionDenied(TerminalError):
    """The server does not let this user publish or subscribe there.

    Attributes:
        operation: "publish" or "subscription", in the server's words.
        subject: The subject refused.
    """

    def __init__(self, operation: str, subject: str) -> None:
        right = "publish to" if operation == "publish" else "subscribe to"
        super().__init__(f"may not {right} {subject}; grant it to this user of the NATS server.")
        self.operation, self.subject = operation, subject


class InvalidPublication(TerminalError):
    """These bytes can never be published: too large, or a subject or header NATS cannot carry."""

    def __init__(self, subject: str, why: str) -> None:
        super().__init__(f"cannot publish to {subject}: {why}.")
        self.subject = subject


class JetStreamError(TerminalError):
    """JetStream answered with an error that the same request would meet again.

    Attributes:
        code: JetStream's own number (`err_code`, for instance 10059), not the HTTP-like one.
        description: The server's words.
    """

    def __init__(self, doing: str, code: int, description: str) -> None:
        super().__init__(f"{doing}: JetStream answered {description!r} (error {code}).")
        self.code, self.description = code, description


class JetStreamUnavailable(RetryableError):
    """JetStream answered that it cannot serve at this moment (starting, electing, full)."""

    def __init__(self, doing: str, code: int, description: str) -> None:
        super().__init__(f"{doing}: JetStream is not available: {description!r} (error {code}).")
        self.code, self.description = code, description


class StreamMissing(RetryableError):
    """The stream does not exist (yet, or any more); its name may be unknown to a publisher."""

    def __init__(self, stream: str, *, subject: str = "") -> None:
        super().__init__(
            f"stream {stream} does not exist" if stream else f"no stream stores {subject}"
        )
        self.stream, self.subject = stream, subject
