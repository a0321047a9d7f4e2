"""An HTTPS connection over a TCP connection that somebody else opens."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from typing_extensions import override

from heliograph.lab.access import ClusterAccess
from heliograph.lab.controlplane.place import Connect


class DialledConnection(http.client.HTTPSConnection):
    """A connection to a cluster's API server; every use of it raises OSError or HTTPException.

    Args:
        access: The cluster.
        connect: How it is reached.
        timeout_s: Seconds for connecting, and for every read and write after that.
    """

    def __init__(self, access: ClusterAccess, connect: Connect, timeout_s: float) -> None:
        self._tls = ssl.create_default_context(cadata=access.ca_pem)
        super().__init__(urlsplit(access.server).netloc, context=self._tls)
        self._open, self._timeout_s = connect, timeout_s

    @override
    def connect(self) -> None:
        plain = self._open((self.host, self.port), self._timeout_s)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
