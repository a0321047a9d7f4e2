"""Settings that all programs share: where the bus, the cluster and the page for machines are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.logs import Level

if TYPE_CHECKING:
    from heliograph.bus import ConnectionSettings


class BusSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Connection to the bus.

    Attributes:
        nats: URLs of the cluster's bus; several are members of one NATS cluster.
        nats_credentials: A NATS .creds file.
        nats_user: Name of a NATS user, with nats_password.
        nats_password: Password of the NATS user.
        nats_ca: PEM file of the authority that signed the NATS server's certificate.
        nats_certificate: PEM file of the client certificate, with nats_key.
        nats_key: PEM file of the client certificate's private key.
    """

    nats: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    nats_credentials: Path | None = None
    nats_user: str | None = None
    nats_password: str | None = None
    nats_ca: Path | None = None
    nats_certificate: Path | None = None
    nats_key: Path | None = None

    def bus(
        self, program: str, owner: str | None, urls: tuple[str, ...] = ()
    ) -> ConnectionSettings:
        """Return how to reach the bus, or another one at `urls` with the same identity.

        Replies go below a prefix of the owner's own, so that a bus can keep its members from
        reading one another's: allow `_INBOX_<owner>.>` to each, and no more. Without an owner
        they go where NATS' users have them, below `_INBOX`.
        """
        from heliograph.bus import ConnectionSettings  # noqa: PLC0415 - keeps `--help` quick

        return ConnectionSettings(
            urls=urls or self.nats,
            name=f"{program} of {owner}" if owner else program,
            inbox_prefix=f"_INBOX_{owner}" if owner else "_INBOX",
            credentials=self.nats_credentials,
            user=self.nats_user,
            password=self.nats_password,
            tls_ca=self.nats_ca,
            tls_certificate=self.nats_certificate,
            tls_key=self.nats_key,
        )


class ProgramSettings(BusSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Connections of a program.

    Attributes:
        kubeconfig: PATH or PATH@CONTEXT of the cluster's kubeconfig; without it the pod's own
            service account is used.
        listen: HOST:PORT for /healthz, /readyz and /metrics; without it nothing is served.
        log_level: Least level of log lines.
    """

    kubeconfig: str | None = None
    listen: str = ""
    log_level: Level = "info"

    def cluster_access(self) -> Kubeconfig:
        """Return where the cluster's credentials are."""
        return Kubeconfig.parse(self.kubeconfig) if self.kubeconfig else Kubeconfig()
