"""A real MCP server, made with the official library, in a process of its own: ``python -m tests.agents.mcp.peer``.

It prints its port, then lives until its parent does. Tools: echo, sent (its headers), add (read-only), count (state),
sleepy, big, faulty, picture, question (asks the client's user). Options in the environment: ``TOKEN`` (wanted as a
bearer token), ``OAUTH`` (register, or anything for no registration), ``SSE`` (the older transport), ``MANY`` (that
many more tools), ``STARTED_FILE`` (gets a line for each ``sleepy`` begun).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp_types import ToolAnnotations
from pydantic import AnyHttpUrl, BaseModel

from config.services import kernel
from tests.agents.mcp.consent import Consenting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette

ROOT = Path(__file__).resolve().parent.parent.parent.parent
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass
class Peer:
    """The running server."""

    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def sse_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/sse"

    def stop(self) -> None:
        """End it; its port answers no more."""
        self.process.kill()
        self.process.wait(20)


@contextmanager
def running(port: int = 0, **options: str) -> Iterator[Peer]:
    """A server with ``options`` as its environment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.agents.mcp.peer"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PORT": str(port), **options},
        preexec_fn=kernel.setup(signal.SIGKILL),
    )
    peer = Peer(int(process.stdout.readline()) if process.stdout else 0, process)
    try:
        yield peer
    finally:
        peer.stop()
        if process.stdout:
            process.stdout.close()


class OneToken:
    """Accepts one bearer token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def verify_token(self, token: str) -> AccessToken | None:
        return AccessToken(token=token, client_id="holdfast", scopes=[]) if token == self._token else None


class Answer(BaseModel):
    """What ``question`` asks for."""

    name: str


def build(port: int) -> Starlette:
    token = os.environ.get("TOKEN", "")
    here = AnyHttpUrl(f"http://127.0.0.1:{port}")
    auth: dict[str, Any] = {}
    if token:
        auth = {
            "token_verifier": OneToken(token),
            "auth": AuthSettings(
                issuer_url=here, resource_server_url=here, required_scopes=[], validate_token_resource=False
            ),
        }
    elif os.environ.get("OAUTH"):
        auth = {
            "auth_server_provider": Consenting(),
            "auth": AuthSettings(
                issuer_url=here,
                resource_server_url=AnyHttpUrl(f"{here}mcp"),
                client_registration_options=ClientRegistrationOptions(enabled=os.environ["OAUTH"] == "register"),
                validate_token_resource=True,
            ),
        }
    server = MCPServer("peer", **auth)
    _quick(server)
    _slow(server)
    tools = server._tool_manager._tools  # made one by one, ten thousand would take a minute
    for number in range(int(os.environ.get("MANY", "0"))):
        copied = tools["echo"].model_copy(update={"name": f"many_{number}"})
        tools[copied.name] = copied
    return server.sse_app() if os.environ.get("SSE") else server.streamable_http_app()


def _quick(server: MCPServer) -> None:
    counted: dict[int, int] = {}

    @server.tool()
    def echo(text: str) -> str:
        """Say it again."""
        return f"echo: {text}"

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    def sent(ctx: Context[Any, Any]) -> str:
        """Say back the headers, as a debugging server does."""
        request = ctx.request_context.request
        return json.dumps(dict(request.headers) if request else {})

    @server.tool()
    def count(ctx: Context[Any, Any]) -> str:
        """How often this connection has called."""
        key = id(ctx.session)
        counted[key] = counted.get(key, 0) + 1
        return str(counted[key])


def _slow(server: MCPServer) -> None:
    @server.tool()
    async def sleepy(seconds: float) -> str:
        """Take a while."""
        if "STARTED_FILE" in os.environ:
            with Path(os.environ["STARTED_FILE"]).open("a", encoding="utf-8") as file:
                file.write("started\n")
        await asyncio.sleep(seconds)
        return "rested"

    @server.tool()
    def big(characters: int) -> str:
        """A long text."""
        return "x" * characters

    @server.tool()
    def faulty() -> str:
        """Fail."""
        raise ValueError("this tool always fails")

    @server.tool()
    def picture() -> Image:
        """A picture of one dot."""
        return Image(data=DOT, format="png")

    @server.tool()
    async def question(ctx: Context[Any, Any]) -> str:
        """Ask the client's user."""
        answer = await ctx.elicit(message="Your name?", schema=Answer)
        return f"answer: {answer.action}"


def main() -> None:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(os.environ.get("PORT", "0"))))
    port = listening.getsockname()[1]
    config = uvicorn.Config(build(port), log_level="error")
    server = uvicorn.Server(config)

    async def serve() -> None:
        running_ = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        print(port, flush=True)
        await running_

    asyncio.run(serve())


if __name__ == "__main__":
    main()
