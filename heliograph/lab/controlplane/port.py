"""A port of loopback that is ours for as long as a control plane lives, restarts included."""

from __future__ import annotations

import socket


def hold_port() -> socket.socket:
    """Return a socket that holds a free port of 127.0.0.1; the port is free again once it closes.

    The socket is bound and never listens. A program that sets SO_REUSEPORT can listen on the same
    port, while nobody else is given it: not between choosing it and using it, nor while the
    program is down. Until somebody listens, connections are refused, as with any free port.

    Source: socket(7) and ip(7) on SO_REUSEPORT, and kube-apiserver's --permit-port-sharing.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
    except BaseException:
        holder.close()
        raise
    return holder


def port_of(holder: socket.socket) -> int:
    """Return the port that is held."""
    port: int = holder.getsockname()[1]
    return port
