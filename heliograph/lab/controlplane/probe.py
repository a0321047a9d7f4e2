"""Asks an API server for a path and looks at the status only. Synchronous, one question at a time.

It is for waiting until a control plane is ready; whoever wants objects uses a real client.
"""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from heliograph.lab.access import ClusterAccess

_ANSWER_S = 2.0  # an API server that is starting answers at once or is not listening


class Probe:
    """Questions to one API server, each over a connection of its own."""

    def __init__(self, access: ClusterAccess) -> None:
        self._netloc = urlsplit(access.server).netloc
        self._headers = {"Authorization": f"Bearer {access.token}"}
        self._tls = ssl.create_default_context(cadata=access.ca_pem)

    def ok(self, path: str) -> bool:
        """Whether it answers `path` with 200; no answer at all is no."""
        connection = http.client.HTTPSConnection(self._netloc, timeout=_ANSWER_S, context=self._tls)
        try:
            connection.request("GET", path, headers=self._headers)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
