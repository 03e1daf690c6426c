"""A server's tools, read page by page and made fit for a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp_types import PaginatedRequestParams

from agents.mcp.base import MOST_LISTED, MOST_PAGES, Listing, masked
from agents.mcp.tools import LONGEST_NAME, McpTool
from agents.sandboxes.results import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mcp.client import Client
    from mcp_types import Tool

LARGEST_TOOL = 100_000  # characters of one tool
LARGEST_LISTING = 8_000_000  # characters of all tools of a server


async def read(client: Client, server: str, mask: Callable[[str], str]) -> Listing:
    """All tools of a server, up to ``MOST_LISTED``. Raises what the client raises."""
    if client.server_capabilities.tools is None:
        return Listing((), 0)
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        found += page.tools
        cursor = page.next_cursor
        if not cursor or len(found) >= MOST_LISTED:
            break
    return fit(server, found, mask)


def fit(server: str, found: Iterable[Tool], mask: Callable[[str], str] = str) -> Listing:
    """The tools that a model can be given, each name once; ``mask`` goes over what the server says of them."""
    tools: dict[str, McpTool] = {}
    size = dropped = 0
    for listed in found:
        tool = _tool(server, listed, mask)
        taken = 0 if tool is None else len(tool.description) + len(json.dumps(tool.input_schema))
        if (
            tool is None
            or tool.name in tools
            or len(tools) >= MOST_LISTED
            or taken > LARGEST_TOOL
            or size + taken > LARGEST_LISTING
        ):
            dropped += 1
            continue
        tools[tool.name] = tool
        size += taken
    return Listing(tuple(tools.values()), size, dropped)


def _tool(server: str, listed: Tool, mask: Callable[[str], str]) -> McpTool | None:
    schema: dict[str, Any] = masked(listed.input_schema, mask)
    if not 1 <= len(listed.name) <= LONGEST_NAME or schema.get("type") != "object":
        return None
    hints = listed.annotations
    read_only = hints is not None and hints.read_only_hint is True
    about = clean(mask(listed.description or listed.title or ""))
    return McpTool(server, clean(mask(listed.name)), about, schema, read_only)
