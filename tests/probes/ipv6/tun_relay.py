"""A line between two network namespaces over a TUN device in each, that holds each packet back; run by vantage_lab.py.

tun_relay.py NAME LEFT RIGHT SECONDS4 SECONDS6: device NAME in both; packets to the right wait so long by family.
"""

import ctypes
import fcntl
import heapq
import os
import select
import struct
import sys
import time
from pathlib import Path

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _CLONE_NEWNET = 0x400454CA, 0x1, 0x1000, 0x40000000


def open_tun(space: str, name: str) -> int:
    """Make the device inside a namespace; the descriptor works from anywhere."""
    handle = os.open(f"/run/netns/{space}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), space)
    os.close(handle)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH14x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return tun


def main(name: str, left: str, right: str, four: float, six: float) -> None:
    """Carry packets until killed."""
    ends = {open_tun(left, name): True, open_tun(right, name): False}
    there, here = ends
    waiting: list[tuple[float, int, int, bytes]] = []
    count = 0
    poll = select.poll()
    for tun in ends:
        poll.register(tun, select.POLLIN)
    print("ready", flush=True)
    while True:
        left_over = None if not waiting else max(0.0, waiting[0][0] - time.monotonic()) * 1000
        for tun, _ in poll.poll(left_over):
            try:
                packet = os.read(tun, 65_536)
            except OSError:
                time.sleep(0.01)  # the device is still down
                continue
            wait = (four if packet[0] >> 4 == 4 else six) if ends[tun] else 0.0
            count += 1
            heapq.heappush(waiting, (time.monotonic() + wait, count, here if ends[tun] else there, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, tun, packet = heapq.heappop(waiting)
            try:
                os.write(tun, packet)
            except OSError:
                continue


if __name__ == "__main__":
    Path("/dev/net/tun").stat()
    name, left, right, four, six = sys.argv[1:6]
    main(name, left, right, float(four), float(six))
