"""What is measured and judged of a program, as metrics and health see it. Pure: only shapes."""

from __future__ import annotations

from typing import Protocol


class Refused(Protocol):
    """Why something of a cluster is not taken, as far as it is counted."""

    @property
    def exporting(self) -> str:
        """The cluster concerned."""

    @property
    def reason(self) -> str:
        """One CamelCase word."""


class Carrying(Protocol):
    """A tunnel to a node of another cluster, as far as it is measured."""

    @property
    def exporting(self) -> str:
        """The cluster at the other end."""

    @property
    def peer(self) -> str:
        """The node at the other end."""

    @property
    def state(self) -> str:
        """Whether the node answers: one of a few words."""

    @property
    def handshake_age_s(self) -> float | None:
        """Seconds since the latest handshake; None if there was none."""

    @property
    def received_bytes(self) -> int:
        """Received from it, since the peer stands."""

    @property
    def sent_bytes(self) -> int:
        """Sent to it."""


class Followed(Protocol):
    """A watch of one kind of objects."""

    @property
    def plural(self) -> str:
        """Plural name of the kind."""

    @property
    def alive(self) -> bool:
        """Whether it is open, after a complete listing."""

    @property
    def absent(self) -> bool:
        """Whether the API server does not know the kind, which may be so."""

    @property
    def spoke_at_s(self) -> float | None:
        """When it brought something last, time.monotonic(); None if it never has."""


class Reached(Protocol):
    """A connection to a bus."""

    @property
    def shown_url(self) -> str:
        """Its address, without credentials."""

    @property
    def connected(self) -> bool:
        """Whether publishing would reach a server now."""


class Read(Protocol):
    """The import of one exporting cluster."""

    @property
    def cluster(self) -> str:
        """The exporting cluster."""

    @property
    def size(self) -> int:
        """How many things of it are known."""

    @property
    def complete(self) -> bool:
        """Whether all that it says was heard, and a digest confirmed that."""

    @property
    def pending(self) -> int | None:
        """How many messages the stream holds for us still; None while nobody says."""

    @property
    def heard_at_s(self) -> float | None:
        """When its stream gave a sign of life last, on the loop's clock; None if it never has."""

    @property
    def lease(self) -> tuple[float, float] | None:
        """When its lease was renewed last, on the loop's clock, and for how many seconds."""


class Judged(Protocol):
    """A condition of readiness."""

    @property
    def name(self) -> str:
        """Which: a few words."""

    @property
    def holds(self) -> bool:
        """Whether it is met."""
