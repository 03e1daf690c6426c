"""The sandbox's only door: a listening socket on its own loopback, handed out to the host before anything runs.

Who accepts on it sits outside, in another network namespace; nothing of it stays open in here.
"""

from __future__ import annotations

import socket

PORT = 3128
BACKLOG = 128


def hand_out(way: str) -> None:
    """Listen on the proxy's port and send that socket out by ``way``: the number of a unix socket that was left open
    for it, or the path of one to connect to. It is closed afterwards.
    """
    with _outward(way) as out, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
        listener.listen(BACKLOG)
        socket.send_fds(out, [b"door"], [listener.fileno()])


def _outward(way: str) -> socket.socket:
    if way.isdigit():
        return socket.socket(fileno=int(way))
    out = socket.socket(socket.AF_UNIX)
    out.connect(way)
    return out
