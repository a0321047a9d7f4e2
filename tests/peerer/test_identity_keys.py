"""The files of a node's keys while it changes them: one place each, readable by their owner."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from heliograph.errors import InputError
from heliograph.wireguard import keyfile
from heliograph.wireguard.keys import PrivateKey
from services.peerer.wireguard.identity import Identity
from services.peerer.wireguard.settings import AgentSettings
from tests.support.tunnels import Known


def identity(folder: Path) -> Identity:
    """Return the identity of an agent that begins."""
    return Identity(AgentSettings(node="h1", key_file=folder / "wireguard.key"), Known({}))


def files(folder: Path) -> dict[str, int]:
    """Return the names and modes of all files."""
    return {f.name: stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()}


def test_the_next_key_is_kept_beside_the_present_one(tmp_path: Path) -> None:
    """Both with mode 0600; whoever begins anew finds it."""
    own = identity(tmp_path)
    present = own.key.public
    own.make_next()
    assert files(tmp_path) == {"wireguard.key": 0o600, "wireguard.key.next": 0o600}

    again = identity(tmp_path)
    assert again.following is not None
    assert own.following is not None
    assert again.following.public == own.following.public != present
    assert again.key.public == present


def test_committed_it_is_the_only_one(tmp_path: Path) -> None:
    """The old key is in no file any more."""
    own = identity(tmp_path)
    old = own.key.reveal()
    own.make_next()
    following = own.following
    assert following is not None
    own.switch(to_next=True)
    own.commit()

    assert files(tmp_path) == {"wireguard.key": 0o600}
    assert (own.key, own.following, own.switched) == (following, None, False)
    kept = keyfile.load(tmp_path / "wireguard.key")
    assert kept is not None
    assert kept.reveal() == following.reveal() != old


def test_discarded_nothing_of_it_is_left(tmp_path: Path) -> None:
    """Not what an interrupted write left, either."""
    own = identity(tmp_path)
    present = own.key
    own.make_next()
    (tmp_path / "wireguard.key.next.new").write_text("half")
    own.discard_next()

    assert files(tmp_path) == {"wireguard.key": 0o600}
    assert (own.key, own.following) == (present, None)
    own.discard_next()  # safe to repeat


def test_the_device_has_the_key_that_is_in_use(tmp_path: Path) -> None:
    """The present one, also while a next one is kept; once switched that one, until switched back.

    An interface that is made anew meanwhile gets the same.
    """
    own = identity(tmp_path)
    own.make_next()
    following = own.following
    assert own.key_for(None) is own.key
    own.switch(to_next=True)
    assert own.key_for(own.key.public) is following
    assert own.key_for(None) is following
    own.switch(to_next=False)
    assert own.following is not None
    assert own.key_for(own.following.public) is own.key


def test_a_device_with_the_next_key_keeps_it_over_a_restart(tmp_path: Path) -> None:
    """The predecessor was trying; only the device tells."""
    own = identity(tmp_path)
    own.make_next()
    assert own.following is not None
    following = own.following.public

    trying, preparing, anew = (identity(tmp_path) for _ in range(3))
    assert trying.key_for(following).public == following
    assert trying.switched
    assert preparing.key_for(own.key.public).public == own.key.public
    assert not preparing.switched
    assert anew.key_for(None).public == own.key.public


def test_a_damaged_next_key_is_as_none(tmp_path: Path) -> None:
    """Nobody relies on it: the present key is the one to keep."""
    identity(tmp_path).make_next()
    (tmp_path / "wireguard.key.next").write_text("nonsense")
    own = identity(tmp_path)
    assert own.following is None
    own.make_next()
    assert own.following is not None


def test_a_folder_that_takes_no_file_is_told(tmp_path: Path) -> None:
    """In one sentence with the reason; the present key is as it was."""
    own = identity(tmp_path)
    present = own.key
    (tmp_path / "wireguard.key.next.new").mkdir()
    with pytest.raises(InputError, match=r"wireguard\.key\.next, cannot be used"):
        own.make_next()
    assert (own.key, own.following) == (present, None)


def test_where_the_file_is_a_link_nothing_stays_behind_it(tmp_path: Path) -> None:
    """The key goes where the link leads, and so does the next one; both go from there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "wireguard.key").symlink_to(elsewhere / "key")
    own = identity(tmp_path)
    old = own.key.public
    own.make_next()
    assert files(elsewhere) == {"key": 0o600, "key.next": 0o600}
    own.commit()

    assert files(elsewhere) == {"key": 0o600}
    assert (tmp_path / "wireguard.key").is_symlink()
    kept = keyfile.load(elsewhere / "key")
    assert kept is not None
    assert kept.public == own.key.public != old
    keyfile.discard(tmp_path / "wireguard.key")
    assert (files(elsewhere), sorted(files(tmp_path))) == ({}, ["elsewhere"])


def test_no_key_is_shown(tmp_path: Path) -> None:
    """Whatever prints an identity, or what it holds, prints no secret."""
    own = identity(tmp_path)
    own.make_next()
    secrets = [keyfile.load(f) for f in tmp_path.iterdir()]
    assert all(isinstance(one, PrivateKey) for one in secrets)
    texts = [f.read_text().strip() for f in tmp_path.iterdir()]
    assert not any(text in repr(vars(own)) for text in texts)
