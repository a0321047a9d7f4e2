"""The first connection stands within its bound, or says in one sentence what to do."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from heliograph.bus import (
    BusUnreachable,
    ConnectionSettings,
    EmbeddedServer,
    NoResponders,
    connect,
    stream_info,
)
from heliograph.bus.server import find_binary
from heliograph.errors import InputError
from heliograph.process import Child, ChildSettings
from tests.bus.support import connected, embedded, eventually, to

pytestmark = pytest.mark.nats


async def refusal(url: str, **settings: object) -> str:
    """Return the sentence of the error that connecting ends with."""
    with pytest.raises(BusUnreachable) as raised:
        async with connected(url, **settings):
            pytest.fail("connected")
    return str(raised.value)


@contextlib.asynccontextmanager
async def answering(greeting: bytes) -> AsyncIterator[str]:
    """Run something that is no NATS server; it greets with these bytes, and waits."""
    connections: list[asyncio.StreamWriter] = []

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(greeting)
        await writer.drain()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in connections:
            writer.transport.abort()


async def test_nothing_listens(tmp_path: Path) -> None:
    """The sentence names the address; it comes when the bound is over, as a server may be late."""
    with embedded(tmp_path) as server:
        pass
    async with asyncio.timeout(2):
        said = await refusal(server.url, connect_timeout_s=0.5)
    assert said == (
        f"NATS server {server.url} cannot be reached (connect call failed "
        f"('127.0.0.1', {server.port})); is it running, and the address right?"
    )


async def test_a_server_that_comes_late_is_in_time(tmp_path: Path) -> None:
    """Programs and server may be started in any order."""
    with embedded(tmp_path) as server:
        server.stop()
        connecting = connected(server.url)
        entering = asyncio.create_task(connecting.__aenter__())
        await asyncio.sleep(0.3)
        server.start()
        async with asyncio.timeout(5):
            connection = await entering
        assert (connection.connected, connection.generation) == (True, 1)
        await connecting.__aexit__(None, None, None)


async def test_the_name_does_not_exist() -> None:
    """A misspelt name is named."""
    said = await refusal("nats://no-such-host.invalid:4222", connect_timeout_s=0.5)
    assert "nats://no-such-host.invalid:4222 cannot be reached" in said


@pytest.mark.parametrize(
    "greeting",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"INFO\r\n", b"INFO {nonsense\r\n", b"x" * 100_000],
)
async def test_something_else_listens(greeting: bytes) -> None:
    """A port of another program is recognised at once, and not tried for long."""
    async with answering(greeting) as url, asyncio.timeout(2):
        assert await refusal(url) == (
            f"NATS server {url} answers, but not like a NATS server; look at the address and "
            "what listens there."
        )


async def test_something_silent_listens() -> None:
    """HTTP servers wait for the client to speak: so does nothing of NATS."""
    async with answering(b"") as url:
        assert "does not greet like a NATS server" in await refusal(url, connect_timeout_s=2.5)


async def test_the_server_never_answers(server: EmbeddedServer) -> None:
    """A bound is a bound, also for a server that is frozen."""
    server.pause()
    async with asyncio.timeout(2):
        said = await refusal(server.url, connect_timeout_s=0.5)
    assert "does not answer" in said


async def test_one_of_several_servers_is_enough(tmp_path: Path) -> None:
    """A member that is down is passed over, at first and after a loss."""
    with embedded(tmp_path / "a", name="a") as first, embedded(tmp_path / "b", name="b") as other:
        first.stop()
        settings = ConnectionSettings(urls=(first.url, other.url), name="test")
        async with connect(settings, on_warning=lambda _: None) as connection:
            assert connection.connected
            other.stop()
            first.start()
            await eventually(lambda: connection.generation == 2)


USERS = "authorization { users = [ { user: west, password: right } ] }"


async def test_the_user_is_refused(tmp_path: Path) -> None:
    """A wrong password ends the attempt at once; it is named nowhere."""
    with embedded(tmp_path, extra_config=USERS) as server:
        async with asyncio.timeout(2):
            said = await refusal(server.url, user="west", password="wrong-secret")  # noqa: S106
            anonymous = await refusal(server.url)
        assert said == anonymous
        assert said == (
            f"NATS server {server.url} refuses this user; check user, password, token or "
            "credentials file."
        )
        async with connected(server.url, user="west", password="right") as connection:  # noqa: S106
            assert connection.connected


async def test_credentials_in_the_address(tmp_path: Path) -> None:
    """They work, and are shown nowhere."""
    with embedded(tmp_path, extra_config=USERS) as server:
        good = server.url.replace("//", "//west:right@")
        async with connected(good) as connection:
            assert connection.connected
        said = await refusal(server.url.replace("//", "//west:wrong@"))
        assert f"NATS server {server.url} refuses this user" in said
        assert "right" not in repr(to(good, password="right", token="right"))  # noqa: S106


async def test_no_jetstream_is_a_warning(tmp_path: Path) -> None:
    """The connection stands; the operator hears what is missing."""
    warnings: list[str] = []
    with without_jetstream(tmp_path) as url:
        async with connect(to(url), on_warning=warnings.append) as connection:
            assert connection.connected
            with pytest.raises(NoResponders):
                await stream_info(connection, "ANY")
    assert warnings == [f"NATS server {url} runs without JetStream"]


@contextlib.contextmanager
def without_jetstream(directory: Path) -> Iterator[str]:
    ports = directory / "ports"
    ports.mkdir()
    config = directory / "plain.conf"
    config.write_text(f'listen: "127.0.0.1:-1"\nports_file_dir: "{ports}"', encoding="utf-8")
    command = (find_binary(), "-c", str(config))
    settings = ChildSettings(name="nats-server", command=command, log=directory / "log")

    def url() -> str:
        try:
            file = ports / f"nats-server_{child.pid}.ports"
            return str(msgspec.json.decode(file.read_bytes())["nats"][0])
        except (OSError, msgspec.MsgspecError):
            return ""

    with Child(settings) as child:
        child.wait_ready(lambda: bool(url()))
        yield url()


class Certificates:
    """An authority with certificates for 127.0.0.1."""

    def __init__(self, directory: Path, host: str = "127.0.0.1") -> None:
        self.ca, self.certificate, self.key = (
            directory / name for name in ("ca.pem", "cert.pem", "key.pem")
        )
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.ca.write_bytes(_signed(issuer, issuer, ca_key, ca_key, None))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        self.certificate.write_bytes(_signed(subject, issuer, key, ca_key, host))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    @property
    def config(self) -> str:
        """The server's part of it."""
        return (
            f'tls {{ cert_file: "{self.certificate}", key_file: "{self.key}", '
            f'ca_file: "{self.ca}", verify: true }}'
        )


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    ca_key: ec.EllipticCurvePrivateKey,
    host: str | None,
) -> bytes:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
    )
    if host is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def mutual(tmp_path: Path) -> Iterator[tuple[EmbeddedServer, Certificates]]:
    """Return a server that wants certificates, and certificates it trusts."""
    certificates = Certificates(tmp_path)
    with embedded(tmp_path / "nats", extra_config=certificates.config) as server:
        yield server, certificates


def tls(certificates: Certificates) -> dict[str, Path]:
    return {
        "tls_ca": certificates.ca,
        "tls_certificate": certificates.certificate,
        "tls_key": certificates.key,
    }


async def test_certificates_on_both_sides(
    mutual: tuple[EmbeddedServer, Certificates],
) -> None:
    """With the right files the connection stands, and comes back after a restart."""
    server, certificates = mutual
    async with connected(server.url, **tls(certificates)) as connection:
        server.restart()
        async with asyncio.timeout(10):
            while connection.generation < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_certificate_that_nobody_vouches_for(
    mutual: tuple[EmbeddedServer, Certificates],
) -> None:
    """An unknown authority is called by its name."""
    server, _ = mutual
    assert "shows a certificate that is not trusted" in await refusal(server.url)


async def test_a_certificate_for_another_host(tmp_path: Path) -> None:
    """The name is checked."""
    certificates = Certificates(tmp_path, host="127.0.0.2")
    with embedded(tmp_path / "nats", extra_config=certificates.config) as server:
        said = await refusal(server.url, **tls(certificates))
        assert "not trusted (IP address mismatch, certificate is not valid for" in said


async def test_the_client_shows_no_certificate(
    mutual: tuple[EmbeddedServer, Certificates],
) -> None:
    """The server breaks off; the sentence points at the certificates."""
    server, certificates = mutual
    said = await refusal(server.url, tls_ca=certificates.ca, connect_timeout_s=1)
    assert "certificate" in said  # an alert or a reset comes first


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_no_clear_text_where_tls_was_asked_for(
    server: EmbeddedServer, tmp_path: Path, scheme: str
) -> None:
    """A server without TLS gets no credentials, whether address or files ask for TLS."""
    settings = {} if scheme == "tls" else {"tls_ca": Certificates(tmp_path).ca}
    said = await refusal(server.url.replace("nats", scheme), **settings)
    assert "offers no TLS, though it was asked for" in said


async def test_files_that_cannot_be_used(server: EmbeddedServer, tmp_path: Path) -> None:
    """A file that is missing is named, before anything is sent."""
    for settings in ({"tls_ca": tmp_path / "none.pem"}, {"credentials": tmp_path / "none.pem"}):
        given = ConnectionSettings(urls=(server.url,), name="test", **settings)
        with pytest.raises(InputError, match=r"none\.pem"):
            async with connect(given):
                pytest.fail("connected")


@pytest.mark.parametrize("url", ["ws://127.0.0.1:8080", "wss://user:secret@bus.example"])
async def test_websockets_are_refused(url: str) -> None:
    """In one sentence with what to give instead, without a password, and without dialling."""
    with pytest.raises(InputError, match=r"^the bus is not reached by WebSocket \(ws") as raised:
        async with connected(url):
            pytest.fail("connected")
    assert "secret" not in str(raised.value)


def test_nobody_loads_what_websockets_need() -> None:
    """The adapter loads without aiohttp, and leaves aiohttp as it is to others."""
    code = (
        "import sys, heliograph.bus;"
        "assert 'aiohttp' not in sys.modules and 'multidict' not in sys.modules;"
        "import aiohttp;"
        "assert aiohttp.ClientSession"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
