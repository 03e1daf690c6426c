"""Public MCP servers of others, run by node in processes of their own: `make js` installs them where npm can."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.services import kernel
from tests.live import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parents[2] / "js"
PACKAGES = FOLDER / "node_modules" / "@modelcontextprotocol"
EVERYTHING = PACKAGES / "server-everything" / "dist" / "index.js"
OAUTH = PACKAGES / "sdk" / "dist" / "esm" / "examples" / "server" / "simpleStreamableHttp.js"
SECONDS = 120.0

needs_node = [
    pytest.mark.skipif(shutil.which("node") is None, reason="MCP servers of others: node is not installed"),
    pytest.mark.skipif(not PACKAGES.is_dir(), reason="MCP servers of others: not installed; `make js` does it"),
]


@contextmanager
def running(*script: str | Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that ends with the block, on loopback only."""
    process = subprocess.Popen(
        ["node", "--import", str(FOLDER / "loopback.mjs"), *map(str, script)],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=kernel.setup(signal.SIGKILL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def everything(transport: str, path: str) -> Iterator[str]:
    """The address of `server-everything` over a transport: ``streamableHttp`` or ``sse``."""
    port = free_port()
    with running(EVERYTHING, transport, PORT=str(port)) as process:
        _listening(process, port)
        yield f"http://127.0.0.1:{port}{path}"


@contextmanager
def signing_in() -> Iterator[str]:
    """The address of the official example with an authorization server of its own, which lets everybody in."""
    port, other = free_port(), free_port()
    with running(OAUTH, "--oauth", MCP_PORT=str(port), MCP_AUTH_PORT=str(other)) as process:
        _listening(process, port)
        _listening(process, other)
        yield f"http://localhost:{port}/mcp"


def _listening(process: subprocess.Popen[bytes], port: int) -> None:
    def answers() -> bool:
        assert process.poll() is None, "the server ended at once"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(answers, SECONDS, "the server does not listen")
