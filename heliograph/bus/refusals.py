"""What the server refuses: when to try it again, and what the owner has been told. Pure."""

from __future__ import annotations

from typing import Final

from heliograph.backoff import Backoff
from heliograph.bus.errors import StreamMissing
from heliograph.errors import HeliographError

_MISSING: Final = Backoff(initial_s=0.1, limit_s=1.0)
_REFUSED: Final = Backoff(initial_s=1.0, limit_s=30.0)
_STREAM: Final = ""  # the key of what concerns the stream, not one subject


class Refusals:
    """Follows the refusals of one publisher.

    Attributes:
        held: The stream is missing, so there is no point in launching anything before `due`.
        retry_at_s: When refused publications are due again; None if nothing was refused.
    """

    def __init__(self) -> None:
        self.held = False
        self.retry_at_s: float | None = None
        self._rounds = 0
        self._told: dict[str, str] = {}

    def note(self, error: HeliographError, subject: str, now_s: float) -> str | None:
        """Take a refusal; returns what to tell the owner, None if that was told before."""
        missing = isinstance(error, StreamMissing)
        self.held = self.held or missing
        if self.retry_at_s is None:  # the first refusal of this round
            self._rounds += 1
            self.retry_at_s = now_s + (_MISSING if missing else _REFUSED).delay_s(self._rounds)
        if missing and _STREAM in self._told:
            return None  # each subject may say it in other words
        return self.tell(str(error), _STREAM if missing else subject)

    def tell(self, doubt: str, key: str) -> str | None:
        """Return `doubt`, or None if the latest one of `key` was the same."""
        if self._told.get(key) == doubt:
            return None
        self._told[key] = doubt
        return doubt

    def stored(self, subject: str) -> None:
        """Take the news that something was stored: there is a stream, and it takes `subject`."""
        self._told.pop(_STREAM, None)
        self._told.pop(subject, None)
        if self.held:
            self.held, self._rounds, self.retry_at_s = False, 0, 0.0  # all at once, now

    def due(self, now_s: float) -> bool:
        """Whether to try again what was refused; a new round begins then."""
        if self.retry_at_s is None or now_s < self.retry_at_s:
            return False
        self.held, self.retry_at_s = False, None
        return True

    def forget(self) -> None:
        """Begin anew after a reconnection: everything may be different."""
        self.held, self._rounds = False, 0
        self.retry_at_s = None if self.retry_at_s is None else 0.0
