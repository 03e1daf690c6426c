"""The sandbox's only door: a listening socket on its own loopback, handed out to the host before anything runs.

Who accepts on it sits outside, in another network namespace; nothing of it stays open in here.
The interpreter's own sockets do: what the ``socket`` package adds takes longer to load than all this takes.
"""

from __future__ import annotations

import sys
from _socket import AF_INET, AF_UNIX, SCM_RIGHTS, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket

PORT = 3128
BACKLOG = 128


def hand_out(way: str) -> None:
    """Listen on the proxy's port and send that socket out by ``way``: the number of a unix socket that was left open
    for it, or the path of one to connect to. It is closed afterwards.
    """
    out, listener = _outward(way), socket(AF_INET, SOCK_STREAM)
    try:
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
        listener.listen(BACKLOG)
        number = listener.fileno().to_bytes(4, sys.byteorder)
        out.sendmsg([b"door"], [(SOL_SOCKET, SCM_RIGHTS, number)])
    finally:
        listener.close()
        out.close()


def _outward(way: str) -> socket:
    if way.isdigit():
        return socket(fileno=int(way))
    out = socket(AF_UNIX, SOCK_STREAM)
    out.connect(way)
    return out
