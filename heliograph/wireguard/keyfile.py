"""The files that a node's keys are kept in: readable by their owner alone, never half written.

Their form is that of wg(8): one line of base64, so `wg pubkey` reads them.
"""

from __future__ import annotations

import base64
import errno
import os
import stat
from pathlib import Path
from typing import Final

from heliograph.errors import InputError
from heliograph.wireguard.keys import PrivateKey

_MODE: Final = 0o600
_LONGEST_BYTES: Final = 1024


def load_or_make(path: Path) -> PrivateKey:
    """Return the key of a file; makes both where there is no file.

    Raises:
        InputError: The file cannot be used; it is left as it is.
    """
    key = load(path)
    if key is None:
        key = PrivateKey.generate()
        store(path, key)
    return key


def load(path: Path) -> PrivateKey | None:
    """Return the key of a file; None if there is no file. Others' rights to it are taken away.

    Raises:
        InputError: The file cannot be used; it is left as it is.
    """
    try:
        mode = path.stat().st_mode
        key = _parse(path, _read(path, mode))
        if stat.S_IMODE(mode) != _MODE:
            path.chmod(_MODE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    return key


def _read(path: Path, mode: int) -> bytes:
    """Return the content; a pipe is not waited for, and a device not read to its end."""
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no file")
    with path.open("rb") as file:
        return file.read(_LONGEST_BYTES)


def _parse(path: Path, text: bytes) -> PrivateKey:
    try:
        return PrivateKey(base64.b64decode(text.strip(), validate=True))
    except (ValueError, InputError) as error:
        message = (
            f"{path} holds no WireGuard key (base64 of 32 bytes); it was left as it is. Restore "
            f"it, or delete it: then a new key is made, and the other clusters follow"
        )
        raise InputError(message) from error


def store(path: Path, key: PrivateKey) -> None:
    """Write a key in place of whatever the file holds; a crash leaves the old one or the new.

    Where the file is a link, the key goes where that leads.

    Raises:
        InputError: It cannot be written.
    """
    target = _target(path)
    fresh = _fresh(target)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, _MODE)  # whatever umask says
            file.write(base64.b64encode(key.reveal()) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    except OSError as error:
        raise _unusable(path, error) from error


def replace(path: Path, by: Path) -> None:
    """Let one file take the place of another, which is gone then, also after a power failure.

    Where that is a link, of the file that it leads to: it holds the key.

    Raises:
        InputError: It cannot; both are as they were.
    """
    target = _target(path)
    try:
        by.replace(target)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unusable(path, error) from error


def discard(path: Path) -> None:
    """Delete a key, and what an interrupted `store` left of it; there may be none.

    Where the file is a link, both go: it, and what it leads to.

    Raises:
        InputError: It cannot be deleted.
    """
    target = _target(path)
    try:
        for one in (target, _fresh(target), path):
            one.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error


def next_to(path: Path) -> Path:
    """Return where the key is kept that takes the place of a file's key."""
    target = _target(path)
    return target.with_name(f"{target.name}.next")


def _target(path: Path) -> Path:
    """Return where a link leads, or would."""
    return Path(os.path.realpath(path))


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _unusable(path: Path, error: OSError) -> InputError:
    why = error.strerror or type(error).__name__
    return InputError(f"the file of the node's key, {path}, cannot be used: {why}")
