"""An HTTP server that says which pod it is. Run as a script, so that it starts quickly.

Arguments: the name it says, and the port. GET / answers the name; GET /bytes/N answers N zero
bytes; POST answers how many bytes it was sent. Every answer names the pod in the header X-Pod.
"""

from __future__ import annotations

import signal
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import override

_CHUNK = 64 * 1024


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        head, _, count = self.path.rpartition("/")
        if head == "/bytes" and count.isdigit():
            self._begin(int(count))
            self._fill(int(count))
        else:
            text = f"{sys.argv[1]}\n".encode()
            self._begin(len(text))
            self.wfile.write(text)

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        taken = 0
        while taken < left:
            taken += len(self.rfile.read(min(_CHUNK, left - taken)))
        text = f"{taken}\n".encode()
        self._begin(len(text))
        self.wfile.write(text)

    def _begin(self, length: int) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Pod", sys.argv[1])
        self.end_headers()

    def _fill(self, count: int) -> None:
        for first in range(0, count, _CHUNK):
            self.wfile.write(bytes(min(_CHUNK, count - first)))

    @override
    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Log no request: what matters is what its client saw."""


def main() -> None:
    """Serve until SIGTERM, which ends the process at once."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ThreadingHTTPServer(("", int(sys.argv[2])), _Answers).serve_forever()


if __name__ == "__main__":
    main()
