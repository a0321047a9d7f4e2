"""Which of the watch's news about our own writes are still to come. Pure.

A write is answered at once, and the watch tells of it later. Until it has, its older news about
that object are passed over: acting on them would undo or repeat the write. The watch may also be
ahead of an answer; then the answer is passed over. Whenever it is not certain that an expected
version will come, nothing is expected: what is stale then costs a conflict, and never more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.kube.objects import ObjectMeta

Place = tuple[str, str]
"""Namespace and name of an object."""


class Request:
    """One request that is not answered yet.

    Attributes:
        metadata: The object as it was known when the request was made.
        outrun: Whether the watch has told news of the object since: it knows better than the
            answer.
    """

    def __init__(self, metadata: ObjectMeta) -> None:
        self.metadata = metadata
        self.outrun = False


class Expectations:
    """What is to come of our own writes; for objects of one kind."""

    def __init__(self) -> None:
        self._versions: dict[Place, str] = {}
        self._deleted: dict[Place, str] = {}
        self._requests: dict[Place, list[Request]] = {}

    @contextmanager
    def request(self, metadata: ObjectMeta) -> Iterator[Request]:
        """Mark a request about an object, from before it is sent until its answer is folded."""
        place, request = _place(metadata), Request(metadata)
        self._requests.setdefault(place, []).append(request)
        try:
            yield request
        finally:
            self._requests[place].remove(request)
            if not self._requests[place]:
                del self._requests[place]

    def wrote(self, metadata: ObjectMeta) -> None:
        """Expect this version to come."""
        self.forget(metadata)
        self._versions[_place(metadata)] = metadata.resource_version

    def deleted(self, metadata: ObjectMeta) -> None:
        """Expect the deletion of this very object to come."""
        self.forget(metadata)
        self._deleted[_place(metadata)] = metadata.uid

    def forget(self, metadata: ObjectMeta) -> None:
        """Expect nothing of an object: all that the watch says of it is news."""
        self._versions.pop(_place(metadata), None)
        self._deleted.pop(_place(metadata), None)

    def is_news(self, metadata: ObjectMeta, *, deletion: bool) -> bool:
        """Tell whether what the watch says is newer than what we know of an object."""
        place = _place(metadata)
        if self._is_old(place, metadata, deletion=deletion):
            return False
        for request in self._requests.get(place, ()):
            request.outrun = True
        return True

    def relisted(self) -> None:
        """Expect nothing: whatever the listing holds already will not come again."""
        self._versions.clear()
        self._deleted.clear()
        for requests in self._requests.values():
            for request in requests:
                request.outrun = True

    def _is_old(self, place: Place, metadata: ObjectMeta, *, deletion: bool) -> bool:
        if self._deleted.get(place) == metadata.uid:
            if deletion:
                del self._deleted[place]
            return True
        expected = self._versions.get(place)
        if expected == metadata.resource_version:
            del self._versions[place]
        return expected is not None


def _place(metadata: ObjectMeta) -> Place:
    return metadata.namespace, metadata.name
