"""Our view of the objects of one kind: folded from a watch, and from answers to requests. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from heliograph.kube.objects import ObjectMeta, T
from heliograph.own.expectations import Expectations, Request

K = TypeVar("K")


class OwnObjects(ABC, Generic[K, T]):
    """The objects of one kind; every method returns the things `K` that its news touches."""

    def __init__(self) -> None:
        self._expectations = Expectations()

    def list(self, objects: Iterable[T]) -> set[K]:
        """Take a complete listing."""
        self._expectations.relisted()
        touched = self._clear()
        for obj in objects:
            touched |= self._store(obj)
        return touched

    def put(self, obj: T) -> set[K]:
        """Take a new or changed object."""
        if not self._expectations.is_news(obj.metadata, deletion=False):
            return set()
        return self._store(obj)

    def drop(self, obj: T) -> set[K]:
        """Take the deletion of an object, or that it is none of those watched any more."""
        if not self._expectations.is_news(obj.metadata, deletion=True):
            return set()
        return self._forget(obj.metadata)

    def request(self, metadata: ObjectMeta) -> AbstractContextManager[Request]:
        """Mark a request about an object: around both sending it and folding its answer."""
        return self._expectations.request(metadata)

    def wrote(self, request: Request, written: T) -> None:
        """Take the answer to our own creation or replacement."""
        if request.outrun:
            return
        self._store(written)
        if written.metadata.resource_version != request.metadata.resource_version:
            self._expectations.wrote(written.metadata)  # otherwise nothing changed, nothing comes

    def deleted(self, request: Request) -> None:
        """Take the answer to our own deletion."""
        if not request.outrun:
            self._forget(request.metadata)
            self._expectations.deleted(request.metadata)

    def found(self, request: Request, found: T) -> None:
        """Take what a look at an object found; whether the watch will tell of it is unknown."""
        if not request.outrun:
            self._expectations.forget(found.metadata)
            self._store(found)

    def missing(self, request: Request) -> None:
        """Take that a look found no such object."""
        if not request.outrun:
            self._expectations.forget(request.metadata)
            self._forget(request.metadata)

    @abstractmethod
    def _store(self, obj: T) -> set[K]:
        """Know an object."""

    @abstractmethod
    def _forget(self, metadata: ObjectMeta) -> set[K]:
        """Know an object no more."""

    @abstractmethod
    def _clear(self) -> set[K]:
        """Know nothing; return everything that was known."""
