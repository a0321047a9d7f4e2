"""Asks programs inside the network for their pages, from this process."""

from __future__ import annotations

import http.client

from heliograph.lab.network.host import Host


def answers(host: Host, address: tuple[str, int], path: str) -> bool:
    """Whether a GET of a path is answered with 200, asked from a host itself; takes its time."""
    connection = http.client.HTTPConnection(*address)
    try:
        connection.sock = host.connect(address, 1.0)
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
