"""The MCP servers of a session: what they add to a turn's tools, and one request to one of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import connection

from agents.mcp import tools as mcp_tools
from agents.mcp.base import Access, NotAuthorised, ServerFailed
from agents.mcp.pool import pool
from credentials import servers as credentials
from credentials.masking import masker
from credentials.outbound import CheckedTransport
from credentials.servers import Refused
from sessions import events as ev
from sessions.events import Draft
from sessions.projections.faults import session_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Future

    from agents.mcp.base import Listing
    from agents.mcp.tools import McpTool
    from sessions.harness.spec import TurnSpec

T = TypeVar("T")
CONNECTION_FAILED = "mcp_connection_failed_error"
AUTHENTICATION_FAILED = "mcp_authentication_failed_error"
FAILURES = (ServerFailed, Refused)


def ask(spec: TurnSpec, server: str, tool: str | None, request: Callable[[Access], Future[T]]) -> T:
    """Do one request with the session's credential for ``tool`` (None: to list them).

    Once more with a renewed token if the server refuses the one it got. Gives the database connection back before it
    waits. Raises ``FAILURES`` and what the request raises.
    """
    url = spec.mcp_servers.get(server)
    if url is None:
        raise ServerFailed("this session has no MCP server of that name")
    try:
        key = credentials.key_for(spec.borrower, url, tool)
        connection.close()
        while True:
            token = key.token if key else None
            access = Access(spec.session_id, server, url, token, CheckedTransport, masker([token] if token else []))
            try:
                return request(access).result()
            except NotAuthorised:
                if key is None or key.was_renewed:
                    raise
                key = credentials.renewed(spec.borrower, key)
                connection.close()
    finally:
        connection.close()


def joined(spec: TurnSpec, failed: Collection[str], left_out: Mapping[str, int]) -> tuple[TurnSpec, list[Draft]]:
    """``spec`` with the tools of its servers, and what there is to tell.

    Servers that ``failed`` since the session last started to run are not tried again (spec core 5.5). ``left_out``:
    how many tools of each server were known not to be offered.
    """
    wanted = [server for server in spec.toolsets if server not in failed]
    if not wanted:
        return spec, []
    listed, drafts = _listings(spec, wanted)
    offer = mcp_tools.offer(spec.toolsets, {server: listing.tools for server, listing in listed.items()})
    for server, listing in listed.items():
        count = listing.dropped + offer.left_out.get(server, 0)
        if count and count != left_out.get(server):
            drafts.append(Draft(ev.OPS_TOOLS_LEFT_OUT, {"mcp_server_name": server, "count": count}))
    params = [_tool(grant.mcp).params(name) for name, grant in offer.grants.items()]
    grants = {**spec.grants, **offer.grants}
    return replace(spec, grants=grants, tool_params=[*spec.tool_params, *params]), drafts


def _tool(tool: McpTool | None) -> McpTool:
    if tool is None:
        raise TypeError("An MCP server's offer holds nothing but its tools.")
    return tool


def _listings(spec: TurnSpec, wanted: list[str]) -> tuple[dict[str, Listing], list[Draft]]:
    """Asked side by side, so that several silent servers cost no more time than one."""
    connection.close()
    listed: dict[str, Listing] = {}
    drafts: list[Draft] = []
    with ThreadPoolExecutor(max_workers=len(wanted), thread_name_prefix="mcp-list") as threads:
        asked = {server: threads.submit(ask, spec, server, None, pool().tools) for server in wanted}
    for server, future in asked.items():
        try:
            listed[server] = future.result()
        except FAILURES as error:
            drafts.append(failure(server, error))
    return listed, drafts


def failure(server: str, error: Exception) -> Draft:
    """What the session tells of a server that can't be used (spec core 13.2)."""
    kind = AUTHENTICATION_FAILED if isinstance(error, (NotAuthorised, Refused)) else CONNECTION_FAILED
    reason = str(error).rstrip(".")
    text = f"The MCP server {server} can't be used: {reason}. It is tried again when the session next starts to run."
    told: dict[str, Any] = {**session_error(kind, text, "retrying"), "mcp_server_name": server}
    return Draft(ev.SESSION_ERROR, {"error": told})
