"""What the parts of the MCP client share: how a server is reached, what it lists, how it fails."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

    from agents.mcp.tools import McpTool
    from contract.secret import Secret

CONNECT_SECONDS = 15.0  # to be connected, either way
LIST_SECONDS = 30.0  # for all pages of a listing
LARGEST_EVENT = 16 * 1024 * 1024  # bytes of one server-sent event; other answers are bounded by the transport
MOST_LISTED = 10_000  # tools read of one server
MOST_PAGES = 200


@dataclass(frozen=True, slots=True)
class Access:
    """How one session reaches one server. ``transport`` makes the way out, which checks what it dials; ``mask`` takes
    the token out of what the server says, for a server may say back what it got.
    """

    session_id: str
    server: str
    url: str
    token: Secret | None
    transport: Callable[[], httpx2.AsyncBaseTransport]
    mask: Callable[[str], str]

    @property
    def listing_key(self) -> str:
        """Whoever has the same token sees the same tools."""
        return self._digest("")

    @property
    def connection_key(self) -> str:
        """Servers keep state by connection, so sessions don't share them."""
        return self._digest(self.session_id)

    def _digest(self, holder: str) -> str:
        token = self.token.reveal() if self.token else ""
        return hashlib.sha256(f"{holder}\n{self.server}\n{self.url}\n{token}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Listing:
    """The tools of a server. ``size``: characters they take; ``dropped``: tools that can't be offered to a model."""

    tools: tuple[McpTool, ...]
    size: int
    dropped: int = 0


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """A JSON value with ``mask`` over all its texts, keys too."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(key): masked(one, mask) for key, one in value.items()}
    return [masked(one, mask) for one in value] if isinstance(value, list) else value


class ServerFailed(Exception):
    """A server can't be used; the text says why and names no secret.

    ``sent``: the request may have reached the server, so nobody knows what became of it.
    """

    def __init__(self, text: str, *, sent: bool = False) -> None:
        super().__init__(text)
        self.sent = sent


class NotAuthorised(ServerFailed):
    """The server wants another token than it was given, or one at all. The request had no effect."""


class SessionOver(ServerFailed):
    """The server has forgotten this connection; a new one can be made. The request had no effect."""


class ToolRefused(Exception):
    """The server's own error answer to a call; the text is for the model."""
