"""How to reach the bus: addresses, identity, TLS. No I/O but reading the TLS files."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from typing_extensions import override

from heliograph.errors import InputError


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One connection to one NATS server, or to the members of one server cluster.

    Attributes:
        urls: "nats://host:port" or "tls://host:port"; several are members of one server cluster.
        name: Shown in the server's monitoring, so say which program of which cluster.
        credentials: A `.creds` file (user JWT and seed); read anew for every connection, so that
            a renewed one is taken up.
        user: Name of a user of the server's configuration, with `password`.
        password: Never shown.
        token: Token of the server's configuration, instead of a user; never shown.
        tls_ca: PEM file of the authority that signed the server's certificate; None for the
            system's authorities.
        tls_certificate: PEM file of the client's certificate, with `tls_key`.
        tls_key: PEM file of the client's private key.
        inbox_prefix: First tokens of reply subjects. With a prefix for each cluster, guarded by
            permissions, nobody reads the replies of another.
        connect_timeout_s: Bound of the first connection; later ones are retried for ever.
    """

    urls: tuple[str, ...]
    name: str
    credentials: Path | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    inbox_prefix: str = "_INBOX"
    connect_timeout_s: float = 5.0

    @override
    def __repr__(self) -> str:
        """Show where and as whom, never a secret."""
        return f"ConnectionSettings(urls={self.shown_urls!r}, name={self.name!r})"

    @property
    def shown_urls(self) -> tuple[str, ...]:
        """The addresses without the credentials that a URL may carry."""
        return tuple(shown(url) for url in self.urls)

    @property
    def wants_tls(self) -> bool:
        """Whether a connection in clear text must be refused."""
        files = self.tls_ca or self.tls_certificate
        return bool(files) or any(urlsplit(url).scheme == "tls" for url in self.urls)


def shown(url: str) -> str:
    """Return `url` without user name and password, fit for messages and logs."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def tls_context(settings: ConnectionSettings) -> ssl.SSLContext | None:
    """Read the TLS files; None when none is named and no address asks for TLS."""
    if not settings.wants_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        if settings.tls_certificate is not None:
            context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:  # of which ssl.SSLError is one
        raise InputError(
            f"TLS files for {' or '.join(settings.shown_urls)} cannot be used ({error}); check CA "
            f"{settings.tls_ca}, certificate {settings.tls_certificate}, key {settings.tls_key}."
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
