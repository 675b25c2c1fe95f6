"""The collector's responder, listening on both families: `python responder.py PORT SECRET [BYTES_PER_DAY]`."""

import json
import os
import signal
import socket
import subprocess
import sys


def main(port: int, secret: str, bytes_per_day: int = 0) -> None:
    doors = [
        socket.create_server(("0.0.0.0", port)),
        socket.create_server(("::", port), family=socket.AF_INET6),
    ]
    orders = {
        "parent": os.getpid(),
        "sockets": [str(door.fileno()) for door in doors],
        "secret": secret,
        "seconds": 60,
        "tests": 4,
        "bytes_per_day": bytes_per_day,
    }
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "collector.responder"],
        stdin=subprocess.PIPE,
        pass_fds=[door.fileno() for door in doors],
    )
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    assert child.stdin is not None
    child.stdin.write(json.dumps(orders).encode() + b"\n")
    child.stdin.flush()
    child.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
