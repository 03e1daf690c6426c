"""The sandbox's only door: a listening socket on its own loopback, handed out to the host before anything runs.

Who accepts on it sits outside, in another network namespace; nothing of it stays open in here.
"""

from __future__ import annotations

import socket

PORT = 3128
BACKLOG = 128


def hand_out(descriptor: int) -> None:
    """Listen on the proxy's port and send that socket through ``descriptor``, a unix socket, which is then closed."""
    with socket.socket(fileno=descriptor) as out, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
        listener.listen(BACKLOG)
        socket.send_fds(out, [b"door"], [listener.fileno()])
