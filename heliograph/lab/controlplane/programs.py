"""The programs of one control plane: their files, their order, and when they are ready.

Synchronous, and for one thread at a time; `ControlPlane` sees to that.
"""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.controlplane import flags
from heliograph.lab.controlplane.certificates import make_certificates
from heliograph.lab.controlplane.place import Place
from heliograph.lab.controlplane.port import hold_port, port_of
from heliograph.lab.controlplane.probe import Probe
from heliograph.lab.controlplane.process import ChildProcess, stop_all
from heliograph.lab.controlplane.settings import ControlPlaneSettings

_POLL_S: Final = 0.05
_GRACE_S: Final = 2.0  # kube-apiserver takes just over a second when nothing holds it up
_NAMESPACE: Final = "/api/v1/namespaces/default"
_MAKERS_OF_SERVICE_ACCOUNTS: Final = {"serviceaccount-controller", "*"}


class Programs:
    """etcd, kube-apiserver and kube-controller-manager in one folder, on one port.

    Args:
        settings: What they are like.
        binary: The multi-call binary.
        folder: Takes keys, data and logs.
        place: Where they run.
        over: Once set, nothing is waited for any more.

    Attributes:
        access: How to reach kube-apiserver.
    """

    def __init__(
        self,
        settings: ControlPlaneSettings,
        *,
        binary: Path,
        folder: Path,
        place: Place,
        over: threading.Event,
    ) -> None:
        self._settings, self._binary, self._folder, self._over = settings, binary, folder, over
        self._place = place
        self._port = None if place.port else hold_port()
        port = place.port if self._port is None else port_of(self._port)
        self.access = self._write_files(f"https://{place.address}:{port}")
        self._probe = Probe(self.access, place.connect)
        self._etcd = self._child(flags.etcd())
        self._api_server = self._child(flags.api_server(settings, place.address, port))
        self._controller_manager = self._child(flags.controller_manager(settings))

    def start(self) -> None:
        """Start them all and wait until the cluster can be used."""
        self._etcd.start()
        self.start_api_server()
        if self._settings.controllers:  # it gives up soon when there is no API server yet
            self._controller_manager.start()
        self._wait(self._controller_manager, self._has_defaults)

    def start_api_server(self) -> None:
        """Start kube-apiserver and wait until it is ready."""
        self._api_server.start()
        self._wait(self._api_server, lambda: self._probe.ok("/readyz"))

    def stop_api_server(self, *, kill: bool) -> None:
        """End kube-apiserver alone."""
        stop_all([self._api_server], _GRACE_S, kill=kill)

    def crash(self) -> None:
        """End them all at once with SIGKILL; their data stays, and `start` goes on from there."""
        stop_all([self._controller_manager, self._api_server, self._etcd], _GRACE_S, kill=True)

    def signal_api_server(self, number: signal.Signals) -> None:
        """Send kube-apiserver a signal."""
        self._api_server.signal(number)

    def stop(self) -> None:
        """End them all, and give the port back."""
        stop_all([self._controller_manager, self._api_server], _GRACE_S)
        stop_all([self._etcd], _GRACE_S)  # last: without it the others would wait
        if self._port is not None:
            self._port.close()

    def _child(self, command: Sequence[str]) -> ChildProcess:
        program = command[0]
        return ChildProcess(
            f"{self._settings.name}/{program}",
            (str(self._binary), *command),
            prefix=self._place.prefix,
            folder=self._folder,
            log=self._folder / f"{program}.log",
        )

    def _write_files(self, server: str) -> ClusterAccess:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = make_certificates((*self._settings.service_addresses, self._place.address))
        token = secrets.token_urlsafe(32)
        access = ClusterAccess(name=self._settings.name, server=server, token=token, ca_pem=made.ca)
        texts = {
            flags.CERTIFICATE_FILE: made.server,
            flags.KEY_FILE: made.server_key,
            flags.SERVICE_ACCOUNT_KEY_FILE: made.service_account_key,
            flags.TOKEN_FILE: f"{token},admin,admin,system:masters\n",
        }
        for name, text in texts.items():
            _write_secret(self._folder / name, text)
        write_kubeconfig(self._folder / flags.KUBECONFIG_FILE, [access])
        return access

    def _has_defaults(self) -> bool:
        made = not _MAKERS_OF_SERVICE_ACCOUNTS.isdisjoint(self._settings.controllers)
        last = f"{_NAMESPACE}/serviceaccounts/default" if made else _NAMESPACE
        return self._probe.ok(last)

    def _wait(self, child: ChildProcess, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._settings.ready_s
        while not ready():
            for each in (self._etcd, self._api_server, self._controller_manager):
                each.check()
            if self._over.wait(_POLL_S):
                raise child.failure("was stopped while it was starting")
            if time.monotonic() > deadline:
                raise child.failure(f"was not ready within {self._settings.ready_s:.0f} s")


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
