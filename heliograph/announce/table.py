"""What must be published so that a stream holds what is wanted of some kinds, and no more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from heliograph.contract.digest import Digest, LiveSet, fingerprint
from heliograph.contract.subjects import Kind, kind_of

_WITHDRAWN: Final = -1


class StreamTable:
    """What the stream holds, and what is on its way there; by subject, as fingerprints."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        """Keep an account of messages of these kinds only."""
        self.kinds = tuple(kinds)
        self._stored: dict[Kind, LiveSet[str]] = {kind: LiveSet() for kind in self.kinds}
        self._under_way: dict[str, int] = {}
        self._backlog: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether the stream holds all that it lacked when it was last compared.

        Until then its digest would tell importers that what is still missing does not exist.
        """
        return not self._backlog

    def reset(self, live: Mapping[str, bytes]) -> None:
        """Take a complete reading of the stream: the live messages by subject."""
        self._stored = {kind: LiveSet() for kind in self.kinds}
        for subject, payload in live.items():
            self._live_set(subject).put(subject, fingerprint(subject, payload))

    def offer(self, subject: str, payload: bytes | None, *, backlog: bool = False) -> bool:
        """Tell whether `payload` (None: a withdrawal) must be published; it then is under way.

        Args:
            subject: Where.
            payload: The message; None for a withdrawal.
            backlog: Whether a comparison found it missing, and no change in the cluster.
        """
        wanted = _WITHDRAWN if payload is None else fingerprint(subject, payload)
        if backlog and self._held(subject) != wanted:
            self._backlog.add(subject)  # also when a change is on its way there already
        if self._expected(subject) == wanted:
            return False
        self._under_way[subject] = wanted
        return True

    def settle(self, subject: str, payload: bytes | None) -> None:
        """Take the stream's word that it stored a publication."""
        stored = _WITHDRAWN if payload is None else fingerprint(subject, payload)
        if stored == _WITHDRAWN:
            self._live_set(subject).drop(subject)
        else:
            self._live_set(subject).put(subject, stored)
        if self._under_way.get(subject) == stored:
            del self._under_way[subject]
            self._backlog.discard(subject)

    def leftovers(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return the live subjects that are not wanted: to be withdrawn."""
        keep = set(wanted)
        live = (subject for kind in self.kinds for subject in self._stored[kind].subjects())
        return tuple(subject for subject in live if subject not in keep)

    def digests(self) -> dict[str, Digest]:
        """Return what the stream holds, by kind; true while nothing is in flight."""
        return {str(kind): self._stored[kind].digest() for kind in self.kinds}

    def _expected(self, subject: str) -> int:
        """Return what the stream will hold when all that is under way has arrived."""
        under_way = self._under_way.get(subject)
        return self._held(subject) if under_way is None else under_way

    def _held(self, subject: str) -> int:
        """Return what the stream holds now."""
        stored = self._live_set(subject).get(subject)
        return _WITHDRAWN if stored is None else stored

    def _live_set(self, subject: str) -> LiveSet[str]:
        return self._stored[kind_of(subject)]


class SubjectsByThing:
    """Which subjects each thing of the cluster has live messages on."""

    def __init__(self) -> None:
        self._subjects: dict[object, tuple[str, ...]] = {}  # most things have one

    def replace(self, thing: object, subjects: Iterable[str]) -> frozenset[str]:
        """Set the subjects of a thing; return those that it had and has no more."""
        now, before = tuple(subjects), self._subjects.get(thing, ())
        if not now:
            self._subjects.pop(thing, None)
        elif now != before:  # otherwise the texts that are known elsewhere too stay in use
            self._subjects[thing] = now
        return frozenset(before).difference(now)

    def things(self) -> tuple[object, ...]:
        """Return everything that has subjects."""
        return tuple(self._subjects)

    def all(self) -> Iterator[str]:
        """Yield every subject."""
        for subjects in self._subjects.values():
            yield from subjects
