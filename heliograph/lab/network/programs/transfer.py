"""Fetches bytes from a backend and sends it as many. Run as a script, so that it starts quickly.

Arguments: the URL of a server of `backend.py`, how many bytes, and seconds after which it has
failed when nothing moves. Ends with exit code 0 once all have arrived in both directions.
"""

from __future__ import annotations

import sys
import urllib.request


def main() -> int:
    """Return the exit code."""
    url, count, timeout_s = sys.argv[1].rstrip("/"), int(sys.argv[2]), float(sys.argv[3])
    with urllib.request.urlopen(f"{url}/bytes/{count}", timeout=timeout_s) as answer:  # noqa: S310 - http alone
        fetched = len(answer.read())
    with urllib.request.urlopen(url, data=bytes(count), timeout=timeout_s) as answer:  # noqa: S310
        sent = int(answer.read())
    sys.stdout.write(f"fetched {fetched} bytes and sent {sent}\n")
    return int((fetched, sent) != (count, count))


if __name__ == "__main__":
    sys.exit(main())
