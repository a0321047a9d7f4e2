"""One real control plane, from its start to its end, for any thread and any event loop.

Pods never run in it: there is no kubelet and no scheduler. Its state is of no worth afterwards.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from heliograph.lab.access import ClusterAccess
from heliograph.lab.controlplane.place import HERE, Place
from heliograph.lab.controlplane.programs import Programs
from heliograph.lab.controlplane.settings import ControlPlaneSettings


class ControlPlane:
    """A control plane that lives once: from `start` to `stop`, or as long as `async with`.

    Args:
        settings: What it is like.
        binary: The multi-call binary, see `ensure_built`.
        folder: Empty or absent; takes keys, etcd's data and the logs. It is not removed.
        place: Where its programs run; on loopback by default.
    """

    def __init__(
        self, settings: ControlPlaneSettings, *, binary: Path, folder: Path, place: Place = HERE
    ) -> None:
        self._settings, self._binary, self._folder = settings, binary, folder
        self._place = place
        self._lock = threading.RLock()  # no two of start, stop and restart overlap
        self._over = threading.Event()  # set before the lock is asked for: ends every wait
        self._running: Programs | None = None

    @property
    def access(self) -> ClusterAccess:
        """Where it is and how to get in; known once it has been started."""
        return self._programs.access

    def start(self) -> None:
        """Start everything and wait until it is ready; on any error end what has been started.

        Raises:
            ControlPlaneFailed: A program ended by itself, or not all was ready in time.
        """
        with self._lock:
            self._refuse_if_over()
            if self._running is not None:
                raise RuntimeError(f"control plane {self._settings.name} is started already")
            try:
                self._running = Programs(
                    self._settings,
                    binary=self._binary,
                    folder=self._folder,
                    place=self._place,
                    over=self._over,
                )
                self._running.start()
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End everything; safe to repeat, and to call while another thread is starting it."""
        self._over.set()
        with self._lock:
            if self._running is not None:
                self._running.stop()

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.start)
        except asyncio.CancelledError:
            await asyncio.to_thread(self.stop)  # the thread would go on starting
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    async def stop_api_server(self, *, kill: bool = False) -> None:
        """End kube-apiserver, with SIGTERM or (`kill`) as a crash would; the others go on."""
        await asyncio.to_thread(self._stop_api_server, kill=kill)

    async def start_api_server(self) -> None:
        """Start kube-apiserver again, on the same port and the same etcd; wait until it is ready.

        Raises:
            ControlPlaneFailed: A program ended by itself, or it was not ready in time.
        """
        await asyncio.to_thread(self._start_api_server)

    async def restart_api_server(self, *, kill: bool = False) -> None:
        """End kube-apiserver and start it again."""
        await self.stop_api_server(kill=kill)
        await self.start_api_server()

    async def crash(self) -> None:
        """End etcd and all that stands on it, as a crash of the machine would."""
        await asyncio.to_thread(self._crash)

    async def recover(self) -> None:
        """Start everything again after `crash`: same port, same data; wait until it is ready.

        Raises:
            ControlPlaneFailed: A program ended by itself, or not all was ready in time.
        """
        await asyncio.to_thread(self._recover)

    def pause_api_server(self) -> None:
        """Freeze kube-apiserver: connections are accepted, and nothing is answered."""
        self._programs.signal_api_server(signal.SIGSTOP)

    def resume_api_server(self) -> None:
        """Let kube-apiserver go on."""
        self._programs.signal_api_server(signal.SIGCONT)

    @property
    def _programs(self) -> Programs:
        if self._running is None:
            raise RuntimeError(f"control plane {self._settings.name} has not been started")
        return self._running

    def _stop_api_server(self, *, kill: bool) -> None:
        with self._lock:
            self._programs.stop_api_server(kill=kill)

    def _start_api_server(self) -> None:
        with self._lock:
            self._refuse_if_over()
            self._programs.start_api_server()

    def _crash(self) -> None:
        with self._lock:
            self._programs.crash()

    def _recover(self) -> None:
        with self._lock:
            self._refuse_if_over()
            self._programs.start()

    def _refuse_if_over(self) -> None:
        if self._over.is_set():
            raise RuntimeError(f"control plane {self._settings.name} is over; make another one")
