"""Writes every packet of an interface to a file. Run as a script.

Arguments: the interface and the file, which is made in the form of pcap (draft-ietf-opsawg-pcap),
with whole Ethernet frames. Writes "capturing" once nothing is missed any more; ends with SIGTERM.
"""

from __future__ import annotations

import signal
import socket
import struct
import sys
import time
from pathlib import Path
from types import FrameType

_ETH_P_ALL = 3  # linux/if_ether.h
_LARGEST = 65535
_RECEIVE_BYTES = 32 * 1024 * 1024  # of the socket's queue: a burst must not be lost
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h


def main() -> None:
    """Write until SIGTERM, and then what is still in the queue."""
    interface, path = sys.argv[1], Path(sys.argv[2])
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
    packets.bind((interface, _ETH_P_ALL))
    ending: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        ending.append(number)
        packets.settimeout(0)

    signal.signal(signal.SIGTERM, end)
    packets.settimeout(0.2)  # so that a signal between two calls is not slept through
    with path.open("wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _LARGEST, 1))
        sys.stdout.write("capturing\n")
        sys.stdout.flush()
        while True:
            try:
                frame = packets.recv(_LARGEST)
            except (BlockingIOError, TimeoutError):
                if ending:
                    return
                file.flush()
                continue
            seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
            head = struct.pack("=IIII", seconds, nanoseconds // 1000, len(frame), len(frame))
            file.write(head + frame)


if __name__ == "__main__":
    main()
