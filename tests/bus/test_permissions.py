"""What the server's permissions allow, works; what they do not, is said and harms nothing."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from heliograph.bus import Connection, EmbeddedServer, PermissionDenied, ensure_stream
from heliograph.bus.credentials import sign, user_jwt
from heliograph.errors import InputError
from tests.bus.support import (
    STREAM,
    STREAM_SETTINGS,
    connected,
    embedded,
    eventually,
    reading,
    writing,
)

pytestmark = pytest.mark.nats

CONFIG = f"""
authorization {{ users = [
  {{ user: east, password: x }}
  {{ user: west, password: x, permissions: {{
      publish: [
        "$JS.API.STREAM.INFO.{STREAM}",
        "$JS.API.CONSUMER.CREATE.{STREAM}.*.east.for-west.>",
        "$JS.API.CONSUMER.MSG.NEXT.{STREAM}.*",
        "$JS.API.CONSUMER.DELETE.{STREAM}.*",
      ],
      subscribe: ["_INBOX_west.>"] }} }}
] }}
"""


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """Return a server where west may read its part of east's stream, and nothing else."""
    with embedded(tmp_path / "guarded", extra_config=CONFIG) as server:
        async with connected(server.url, user="east", password="x") as east:  # noqa: S106
            await ensure_stream(east, STREAM_SETTINGS)
            async with writing(east) as writer:
                writer.offer("east.for-west.a", "x")
                writer.offer("east.for-north.a", "x")
                await writer.settled()
        yield server


def west(server: EmbeddedServer, **settings: Any) -> Any:  # noqa: ANN401
    given = {"user": "west", "password": "x", "inbox_prefix": "_INBOX_west", **settings}
    return connected(server.url, **given)


async def test_an_importer_reads_its_part(guarded: EmbeddedServer) -> None:
    """The filter stands in the request's subject, where permissions can see it."""
    async with west(guarded) as connection, reading(connection, "east.for-west.>") as reader:
        await eventually(lambda: reader.complete)
        assert set(reader.table) == {"east.for-west.a"}


@pytest.mark.parametrize("filters", [["east.>"], ["east.for-north.>"], ["east.for-west.>"] * 2])
async def test_an_importer_reads_nothing_else(guarded: EmbeddedServer, filters: list[str]) -> None:
    """Other filters, and several at once, are refused; that is said once, at once."""
    async with west(guarded) as connection, reading(connection, *filters) as reader:
        took_s = await eventually(lambda: reader.interruptions)
        await eventually(lambda: reader.consumer._failures > 1)  # noqa: SLF001
        (reason,) = reader.interruptions
        assert reason.startswith(f"may not publish to $JS.API.CONSUMER.CREATE.{STREAM}.*")
        assert reader.deliveries == []
    assert took_s < 2


async def test_a_denied_request_fails_at_once(guarded: EmbeddedServer) -> None:
    """No timeout has to run out, and the letters of the subject are those of the request."""
    async with west(guarded) as connection:
        with pytest.raises(PermissionDenied) as raised:
            await connection.request("$JS.API.STREAM.NAMES", timeout_s=60)
    assert (raised.value.operation, raised.value.subject) == ("publish", "$JS.API.STREAM.NAMES")


async def test_replies_that_may_not_be_read(guarded: EmbeddedServer) -> None:
    """A wrong inbox prefix is named, instead of an endless wait."""
    async with west(guarded, inbox_prefix="_INBOX_north") as connection:
        for _ in range(2):
            with pytest.raises(PermissionDenied, match=r"may not subscribe to _INBOX_north\.>; gr"):
                await connection.request(f"$JS.API.STREAM.INFO.{STREAM}", timeout_s=60)


class Operator:
    """Makes users whose rights end: operator, account and user JWTs."""

    def __init__(self) -> None:
        self._operator, self._account, system = (Ed25519PrivateKey.generate() for _ in range(3))
        limits = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "wildcards": True}
        limits |= {"imports": -1, "exports": -1, "disk_storage": -1, "mem_storage": -1}
        limits |= {"streams": -1, "consumer": -1}
        account = {"type": "account", "limits": limits}
        operator_jwt = _jwt(self._operator, "O", self._operator, "O", {"type": "operator"})
        account_jwt = _jwt(self._account, "A", self._operator, "O", account)
        system_jwt = _jwt(system, "A", self._operator, "O", {"type": "account"})
        self.config = f"""
            operator: {operator_jwt}
            system_account: {_public(system, "A")}
            resolver: MEMORY
            resolver_preload {{
              {_public(self._account, "A")}: {account_jwt}
              {_public(system, "A")}: {system_jwt}
            }}
        """

    def write_credentials(self, path: Path, *, valid_s: float) -> None:
        """Write a user's file, as the tools of NATS do."""
        user = Ed25519PrivateKey.generate()
        claims = {"type": "user", "subs": -1, "data": -1, "payload": -1}
        token = _jwt(user, "U", self._account, "A", claims, expires=time.time() + valid_s)
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{_seed(user, 'U')}\n------END USER NKEY SEED------\n",
            encoding="utf-8",
        )


_PREFIXES = {"O": 14 << 3, "A": 0, "U": 20 << 3}


def _base32(raw: bytes) -> str:
    whole = raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(whole).decode().rstrip("=")


def _public(key: Ed25519PrivateKey, kind: str) -> str:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return _base32(bytes([_PREFIXES[kind]]) + raw)


def _seed(key: Ed25519PrivateKey, kind: str) -> str:
    prefix = _PREFIXES[kind]
    return _base32(bytes([18 << 3 | prefix >> 5, (prefix & 31) << 3]) + key.private_bytes_raw())


def _url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _jwt(
    subject: Ed25519PrivateKey,
    kind: str,
    issuer: Ed25519PrivateKey,
    issuer_kind: str,
    claims: dict[str, object],
    expires: float | None = None,
) -> str:
    body: dict[str, object] = {
        "iat": int(time.time()),
        "iss": _public(issuer, issuer_kind),
        "sub": _public(subject, kind),
        "name": "test",
        "jti": _base32(hashlib.sha256(os.urandom(8)).digest()),
        "nats": {**claims, "version": 2},
    }
    if expires is not None:
        body["exp"] = int(expires)
    head = _url64(b'{"typ":"JWT","alg":"ed25519-nkey"}')
    signed = f"{head}.{_url64(msgspec.json.encode(body))}"
    return f"{signed}.{_url64(issuer.sign(signed.encode()))}"


GOOD = "-----BEGIN NATS USER JWT-----\nabc.def.ghi\n------END NATS USER JWT------\n"
SEED = "-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n"


def test_a_file_of_credentials_is_read(tmp_path: Path) -> None:
    """The JWT is passed on as it is; the seed signs, so that the public key can verify."""
    key, file = Ed25519PrivateKey.generate(), tmp_path / "x.creds"
    file.write_text(GOOD + SEED.format(_seed(key, "U")), encoding="utf-8")
    assert user_jwt(file) == b"abc.def.ghi"
    key.public_key().verify(base64.b64decode(sign(file, "nonce")), b"nonce")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read"),
        ("", "holds no user JWT"),
        (GOOD, "holds no seed"),
        (GOOD + SEED.format("SUAB"), "seed is damaged"),
        (GOOD + SEED.format("1!"), "seed is damaged"),
        (GOOD + SEED.format("A" * 58), "seed is damaged"),
    ],
)
def test_a_file_that_is_of_no_use(tmp_path: Path, text: str | None, why: str) -> None:
    """The sentence names the file and what is wrong with it, never what is in it."""
    file = tmp_path / "x.creds"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"x\.creds is of no use: .*{why}"):
        _ = user_jwt(file), sign(file, "nonce")


def test_a_seed_with_a_wrong_digit(tmp_path: Path) -> None:
    """The checksum catches a slip of the pen."""
    seed, file = _seed(Ed25519PrivateKey.generate(), "U"), tmp_path / "x.creds"
    wrong = seed[:20] + ("A" if seed[20] != "A" else "B") + seed[21:]
    file.write_text(GOOD + SEED.format(wrong), encoding="utf-8")
    with pytest.raises(InputError, match="seed is damaged"):
        sign(file, "nonce")


async def test_connection_type_is_public(connection: Connection) -> None:
    """Requests to ourselves are answered, and late or strange replies are ignored."""
    inbox = connection.new_inbox()

    def answer(message: object) -> None:
        heard.append(message)

    heard: list[Any] = []
    await connection.subscribe(inbox, answer)
    await connection.publish(inbox, b"hello", {"Key": "value"}, reply="somewhere")
    await eventually(lambda: heard)
    message = heard[0]
    assert (message.subject, message.payload, message.reply, dict(message.headers)) == (
        inbox,
        b"hello",
        "somewhere",
        {"Key": "value"},
    )
    assert message.status == ""
