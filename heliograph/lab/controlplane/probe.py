"""Asks an API server for a path and looks at the status only. Synchronous, one question at a time.

It is for waiting until a control plane is ready; whoever wants objects uses a real client.
"""

from __future__ import annotations

import http.client
import socket

from heliograph.lab.access import ClusterAccess
from heliograph.lab.controlplane.dialling import DialledConnection
from heliograph.lab.controlplane.place import Connect

_ANSWER_S = 2.0  # an API server that is starting answers at once or is not listening


class Probe:
    """Questions to one API server, each over a connection of its own."""

    def __init__(self, access: ClusterAccess, connect: Connect = socket.create_connection) -> None:
        self._access, self._connect = access, connect
        self._headers = {"Authorization": f"Bearer {access.token}"}

    def ok(self, path: str) -> bool:
        """Whether it answers `path` with 200; no answer at all is no."""
        connection = DialledConnection(self._access, self._connect, _ANSWER_S)
        try:
            connection.request("GET", path, headers=self._headers)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
