"""Listening ports inside a namespace, served by one small process: `python listeners.py PORT...`."""

import select
import socket
import sys


def main(ports: list[int]) -> None:
    waiting = select.epoll()
    sockets = {}
    for port in ports:
        listening = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        listening.setblocking(False)
        sockets[listening.fileno()] = listening
        waiting.register(listening, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        for handle, _ in waiting.poll():
            try:
                sockets[handle].accept()[0].close()
            except OSError:
                continue


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]])
