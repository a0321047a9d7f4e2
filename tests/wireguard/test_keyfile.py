"""The file of a node's key: its owner's alone, never half written, and never shown."""

from __future__ import annotations

import base64
import copy
import logging
import os
import pickle
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from heliograph.errors import InputError
from heliograph.wireguard import keyfile
from heliograph.wireguard.keys import PrivateKey

SECRET = bytes(range(1, 33))
TEXT = base64.b64encode(SECRET)
PUBLIC = "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="


def mode(path: Path) -> int:
    """Return the rights to a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """With its folder; only its owner may read it, as wg(8) does, and it is the same afterwards."""
    path = tmp_path / "new" / "folder" / "wireguard.key"
    made = keyfile.load_or_make(path)

    assert mode(path) == 0o600
    assert path.read_bytes() == base64.b64encode(made.reveal()) + b"\n"
    assert [one.name for one in path.parent.iterdir()] == ["wireguard.key"]
    assert keyfile.load_or_make(path).public == made.public


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_nobody_else_may_read_it_at_any_umask(tmp_path: Path, umask: int) -> None:
    """The rights do not depend on how the agent was started."""
    path, before = tmp_path / "key", os.umask(umask)
    try:
        keyfile.store(path, PrivateKey(SECRET))
        keyfile.load(path)
    finally:
        os.umask(before)

    assert mode(path) == 0o600


def test_rights_of_others_are_taken_away(tmp_path: Path) -> None:
    """A file that others could read is used, and they cannot from now on."""
    path = tmp_path / "key"
    path.write_bytes(TEXT + b"\n")
    path.chmod(0o644)

    assert keyfile.load_or_make(path).public == PUBLIC
    assert mode(path) == 0o600


@pytest.mark.parametrize("text", [TEXT, TEXT + b"\n", b"\n " + TEXT + b"\r\n"])
def test_a_key_of_wg_is_read(tmp_path: Path, text: bytes) -> None:
    """With or without an end of its line."""
    path = tmp_path / "key"
    path.write_bytes(text)

    assert keyfile.load_or_make(path).reveal() == SECRET


GARBAGE = {
    "empty": b"",
    "half written": TEXT[:20],
    "without its end": TEXT[:-1],
    "31 bytes": base64.b64encode(SECRET[:31]),
    "33 bytes": base64.b64encode(SECRET + b"!"),
    "two lines": TEXT + b"\n" + TEXT,
    "in hex": SECRET.hex().encode(),
    "raw": SECRET,
    "not ASCII": "é".encode() * 22,
    "only zeros": base64.b64encode(bytes(32)),
    "large": TEXT * 100_000,
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_a_file_without_a_key_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    """One sentence says which file, and what to do; nothing of its content is in there."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o640)
    with pytest.raises(InputError) as caught:
        keyfile.load_or_make(path)

    assert str(path) in str(caught.value)
    assert "holds no WireGuard key" in str(caught.value)
    assert "\n" not in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert TEXT.decode()[:20] not in shown
    assert SECRET.hex()[:20] not in shown
    assert (path.read_bytes(), mode(path)) == (content, 0o640)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("no folder")


UNUSABLE = (a_folder, a_pipe, a_device, a_loop, below_a_file)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", UNUSABLE, ids=lambda make: make.__name__)
def test_what_is_no_file_is_not_used(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Nor waited for: one sentence says which one, and why."""
    path = tmp_path / "folder" / "key"
    path.parent.mkdir()
    make(path)

    with pytest.raises(InputError, match=r"the file of the node's key, .*/key, cannot be used: "):
        keyfile.load_or_make(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Where nothing can be written, one sentence says so; /proc takes no folders from anybody."""
    with pytest.raises(InputError, match=r"the file of the node's key, .* cannot be used: "):
        keyfile.load_or_make(Path("/proc/heliograph/wireguard.key"))
    assert list(tmp_path.iterdir()) == []


def test_a_symlink_leads_to_the_key(tmp_path: Path) -> None:
    """People keep keys on another disk; a new key goes there as well, and the link stays."""
    real, path = tmp_path / "disk" / "key", tmp_path / "key"
    real.parent.mkdir()
    path.symlink_to(real)
    made = keyfile.load_or_make(path)

    assert path.is_symlink()
    assert real.read_bytes().strip() == base64.b64encode(made.reveal())
    keyfile.store(path, PrivateKey(SECRET))
    assert path.is_symlink()
    assert (keyfile.load_or_make(path).public, mode(real)) == (PUBLIC, 0o600)


def test_a_file_of_a_crash_is_in_nobodys_way(tmp_path: Path) -> None:
    """A half-written new key beside the file, even as a link elsewhere, is made anew."""
    path, elsewhere = tmp_path / "key", tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    (tmp_path / "key.new").symlink_to(elsewhere)
    keyfile.store(path, PrivateKey(SECRET))

    assert keyfile.load_or_make(path).public == PUBLIC
    assert not path.is_symlink()
    assert elsewhere.read_text() == "theirs"


def test_an_interrupted_write_leaves_the_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk is full, the file is as it was, and a sentence says why."""
    path = tmp_path / "key"
    keyfile.store(path, PrivateKey(SECRET))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot be used: No space left on device"):
        keyfile.store(path, PrivateKey.generate())
    assert keyfile.load_or_make(path).public == PUBLIC


def test_a_key_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    """In no text, log, error or copy; its public key is, since that tells which one it is."""
    key = PrivateKey(SECRET)
    logging.getLogger("test").warning("%s %r %s", key, key, {"key": key})
    shown = [repr(key), str(key), f"{key}", repr([key]), repr({"k": key}), caplog.text]
    shown += traceback.format_exception(RuntimeError("failed with", key))

    for text in shown:
        for secret in (SECRET.hex(), TEXT.decode(), repr(SECRET)[2:-1], str(list(SECRET))):
            assert secret not in text
    assert repr(key) == f"<private key of {PUBLIC}>"
    for steal in (pickle.dumps, copy.copy, copy.deepcopy, vars):
        with pytest.raises(TypeError):
            steal(key)
