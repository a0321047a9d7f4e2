"""An HTTP client that keeps asking. Run as a script, so that it starts quickly.

Arguments: a URL, seconds from the start of one request to that of the next (0 for at once), and
seconds after which a request has failed. Every request resolves the name anew and has a connection
of its own. Writes a line of JSON for each: when it began (seconds of the epoch), how long it took,
whether it was answered with 200, and by whom or why not.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
import urllib.parse
from http import HTTPStatus


def main() -> None:
    """Ask until somebody ends the process."""
    url, every_s, timeout_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    while True:
        began, began_s = time.time(), time.monotonic()
        ok, said = _ask(url, timeout_s)
        took_s = time.monotonic() - began_s
        line = {"at": began, "took_ms": round(took_s * 1000, 3), "ok": ok, "said": said}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        time.sleep(max(every_s - took_s, 0))


def _ask(url: str, timeout_s: float) -> tuple[bool, str]:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        response = connection.getresponse()
        text = response.read(1024).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return response.status == HTTPStatus.OK, text


if __name__ == "__main__":
    main()
