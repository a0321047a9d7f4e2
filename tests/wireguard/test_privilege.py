"""What a process must be allowed to do before it touches tunnels."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.wireguard.errors import TunnelForbidden
from heliograph.wireguard.privilege import require_rights


def status(folder: Path, effective: str) -> Path:
    """Return a file like /proc/self/status."""
    path = folder / "status"
    path.write_text(f"Name:\tpython\nCapPrm:\t0000000000000000\nCapEff:\t{effective}\n")
    return path


@pytest.mark.parametrize("effective", ["000001ffffffffff", "0000000000001000"])
def test_whoever_may_change_networks_goes_on(tmp_path: Path, effective: str) -> None:
    """Root, and a container with NET_ADMIN alone."""
    require_rights(status(tmp_path, effective))


@pytest.mark.parametrize("effective", ["000001ffffffefff", "0000000000000000"])
def test_whoever_may_not_is_told_before_anything_is_tried(tmp_path: Path, effective: str) -> None:
    """Root without the capability, and somebody with none: what is missing, and what to do."""
    with pytest.raises(TunnelForbidden, match=r"no CAP_NET_ADMIN.*nothing was changed"):
        require_rights(status(tmp_path, effective))
