"""Carries out a change of the node's key: files, device and Node, as `rotation` says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog

from heliograph.bus import Connection
from heliograph.bus.background import alongside
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind
from heliograph.errors import InputError
from heliograph.imports.links import LinkFollower
from heliograph.marks import (
    NEXT_PUBLIC_KEY_ANNOTATION,
    ROTATE_ANNOTATION,
    ROTATION_ANNOTATION,
)
from heliograph.wireguard.errors import TunnelError
from services.peerer.wireguard.identity import Identity
from services.peerer.wireguard.keeping import Keeper
from services.peerer.wireguard.own_node import OwnNode
from services.peerer.wireguard.picture import Picture
from services.peerer.wireguard.rotation import (
    Action,
    Rotation,
    Seen,
    Stage,
    fail,
    parse_asked,
    report_of,
    step,
)
from services.peerer.wireguard.seen import prepared_for, see_peers

_STEP_S: Final = 0.1
_TELL_S: Final = 5.0
"""How often the Node says whom it waits for: that is a write each time."""

_ENDED: Final = frozenset({Stage.DONE, Stage.FAILED})
_log = structlog.get_logger()


class Rotating:
    """The changes of one node's key, one after another."""

    def __init__(
        self,
        node: str,
        picture: Picture,
        identity: Identity,
        keeper: Keeper,
        *,
        own_node: Callable[[], OwnNode | None],
        changed: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            node: The node's name.
            picture: What is known of the others.
            identity: Its keys.
            keeper: Its tunnels.
            own_node: Returns the Node as it was seen last.
            changed: Hears that something is to be said or planned anew.
        """
        self._cluster, self._node = picture.importing, node
        self._picture, self._identity, self._keeper = picture, identity, keeper
        self._own_node, self._changed = own_node, changed
        self._buses: dict[ClusterId, Connection] = {}
        self._followers: dict[ClusterId, LinkFollower] = {}
        self._rotation = Rotation()
        self._action: Action | None = None
        self._begun, self._due = False, asyncio.Event()
        self._told: str | None = None
        self._told_at_s, self._stage_told = 0.0, Stage.IDLE

    def listens(self, cluster: ClusterId, connection: Connection) -> None:
        """Take on which bus a cluster states what it prepared for."""
        if cluster != self._cluster:
            self._buses[cluster] = connection

    def look(self) -> None:
        """The Node may ask for a new key."""
        self._due.set()

    def annotations(self, node: OwnNode) -> dict[str, str | None]:
        """Return what the Node is to say of it, beside the present key.

        What a predecessor announced is not taken back before it is known how far it came.
        """
        if not self._begun:
            self._begun = True
            self._rotation, self._action = step(Rotation(), self._see(node), time.monotonic())
            self._tell()
            self._due.set()
        following, stage = self._identity.following, self._rotation.stage
        asked = self._rotation.asked
        announced = following.public if following and stage not in {*_ENDED, Stage.IDLE} else None
        said: dict[str, str | None] = {NEXT_PUBLIC_KEY_ANNOTATION: announced}
        if self._told is not None:
            said[ROTATION_ANNOTATION] = self._told
        if stage in _ENDED and node.metadata.annotations.get(ROTATE_ANNOTATION) == asked:
            said[ROTATE_ANNOTATION] = None  # and not what somebody asked for since then
        return said

    async def run(self) -> None:
        """Change the key whenever the Node asks for it, for ever."""
        while True:
            await self._due.wait()
            self._due.clear()
            node = self._own_node()
            if node is not None and self._begun and self._is_called(node):
                await self._rotate()

    def _is_called(self, node: OwnNode) -> bool:
        """Tell whether there is anything to do."""
        if self._action is not None or self._rotation.stage is not Stage.IDLE:
            return True
        return step(self._rotation, self._see(node), time.monotonic()) != (self._rotation, None)

    async def _rotate(self) -> None:
        """Go on until it is over; what others state is followed meanwhile."""
        async with AsyncExitStack() as stack:
            for cluster, connection in self._buses.items():
                follower = LinkFollower(connection, cluster, beside=(Kind.CLUSTER,))
                self._followers[cluster] = follower
                await stack.enter_async_context(alongside(follower.run()))
            goes_on = True
            while goes_on:
                goes_on = await self._advance()
                await asyncio.sleep(_STEP_S if goes_on else 0)
        self._followers.clear()

    async def _advance(self) -> bool:
        """Make one step; return whether it goes on."""
        await self._look()
        node = self._own_node()
        if node is None or self._keeper.standing is None:
            return True
        if self._action is None:
            now_s = time.monotonic()
            following, self._action = step(self._rotation, self._see(node), now_s)
        else:
            following = self._rotation
        acted = self._action is not None
        if self._action is not None:
            following = await self._act(self._action, following, node)
            self._action = None
        self._rotation = following
        self._tell()
        if acted:  # the Node may have another key to announce
            self._changed()
        return self._rotation.stage is not Stage.IDLE

    async def _act(self, action: Action, following: Rotation, node: OwnNode) -> Rotation:
        """Do what a step asks for; return where it is then: elsewhere if that failed."""
        _log.info("key rotation", node=self._node, doing=action.value)
        try:
            match action:
                case Action.MAKE:
                    self._identity.make_next()
                case Action.SWITCH:
                    await self._use(to_next=True)
                case Action.RETURN:
                    await self._use(to_next=False)
                case Action.COMMIT:
                    self._identity.commit()
                case Action.DISCARD:
                    self._identity.discard_next()
        except InputError as error:
            _log.error("key rotation failed", node=self._node, error=str(error))
            failed, back = fail(following, str(error), self._see(node))
            if back is not None:
                await self._use(to_next=False)
            return Rotation() if action is Action.DISCARD else failed
        return following

    async def _use(self, *, to_next: bool) -> None:
        """Set the device's key, and call everybody with it: first those that would call us."""
        self._identity.switch(to_next=to_next)
        try:
            await self._keeper.open()
            self._keeper.ask_all()
        except TunnelError as error:  # the next pass sets the key that is to be used
            _log.warning("key not set yet", node=self._node, error=str(error))
            self._keeper.forget()
            self._changed()

    async def _look(self) -> None:
        try:
            if await self._keeper.look():
                self._changed()
        except TunnelError:
            self._keeper.forget()
            self._changed()

    def _see(self, node: OwnNode) -> Seen:
        annotations, identity = node.metadata.annotations, self._identity
        asked, standing = annotations.get(ROTATE_ANNOTATION), self._keeper.standing
        following = identity.following.public if identity.following else None
        prepared = prepared_for(
            following,
            self._cluster,
            {cluster: follower.table.nodes() for cluster, follower in self._followers.items()},
        )
        return Seen(
            own=f"{self._cluster}/{self._node}",
            asked=None if asked is None else parse_asked(asked),
            announced=annotations.get(NEXT_PUBLIC_KEY_ANNOTATION),
            present=identity.key.public,
            following=following,
            switched=identity.switched,
            certain=self._picture.certain,
            peers=see_peers(self._picture, standing.device, prepared) if standing else (),
        )

    def _tell(self) -> None:
        """Let the Node say how it goes: at once when a stage begins, and else from time to time."""
        rotation, now_s = self._rotation, time.monotonic()
        report = report_of(rotation)
        same_stage = rotation.stage is self._stage_told
        if report == self._told or (same_stage and now_s - self._told_at_s < _TELL_S):
            return
        self._told, self._told_at_s, self._stage_told = report, now_s, rotation.stage
        if report is not None:
            _log.info(
                "key rotation", node=self._node, stage=rotation.stage.value, said=rotation.said
            )
        self._changed()
