"""MCP servers as a place of calls. They keep no journal: a call that may have run is never sent a second time."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from django.conf import settings

from agents.mcp import content
from agents.mcp.base import ServerFailed, ToolRefused
from agents.mcp.pool import pool
from agents.sandboxes.base import CallResult
from agents.sandboxes.results import unknown
from sessions.harness import servers
from sessions.intake import INTERRUPTED

if TYPE_CHECKING:
    from concurrent.futures import Future

    from agents.mcp.base import Access
    from sessions.events import Draft
    from sessions.harness.hands.base import Turn
    from sessions.harness.state import Call


class McpHand:
    """Calls tools of the session's MCP servers."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._running: dict[str, Future[dict[str, Any]]] = {}
        self._failures: dict[str, Draft] = {}
        self._stopped = False

    def open(self) -> list[Draft]:
        """Connections are made by the calls that need them."""
        self._stopped = False
        return []

    def call(self, call: Call, *, reattempt: bool) -> CallResult:
        """Call a tool once. What the server said no to, or never got, is an error; the rest may be unknown."""
        if reattempt and not self._is_read_only(call):
            return unknown("the worker that ran it stopped before it had an answer")
        started = time.monotonic()
        try:
            answer = servers.ask(self._turn.spec, call.server, call.name, lambda access: self._send(access, call))
        except CancelledError:
            return _error(INTERRUPTED)
        except ToolRefused as error:
            return _error(str(error))
        except servers.FAILURES as error:
            self._failures[call.id] = servers.failure(call.server, error)
            return self._lost(call, error)
        finally:
            self._running.pop(call.id, None)
        elapsed = (time.monotonic() - started) * 1000
        return CallResult(content.blocks(answer), is_error=bool(answer.get("isError")), duration_ms=elapsed)

    def _send(self, access: Access, call: Call) -> Future[dict[str, Any]]:
        future = pool().call(access, call.name, call.input, settings.HOLDFAST_MCP_CALL_SECONDS)
        self._running[call.id] = future
        if self._stopped:
            future.cancel()
        return future

    def _is_read_only(self, call: Call) -> bool:
        tools = (grant.mcp for grant in self._turn.spec.grants.values() if grant.mcp is not None)
        return any(tool.read_only for tool in tools if (tool.server, tool.name) == (call.server, call.name))

    def _lost(self, call: Call, error: Exception) -> CallResult:
        reason = f"the MCP server {call.server} can't be used: {str(error).rstrip('.')}"
        if isinstance(error, ServerFailed) and error.sent and not self._is_read_only(call):
            return unknown(reason)
        return _error(f"The call was not carried out: {reason}.")

    def finished(self, call: Call, result: CallResult) -> list[Draft]:
        """A server that failed is told of once until the session next starts to run."""
        draft = self._failures.pop(call.id, None)
        return [draft] if draft is not None and call.server not in self._turn.state.mcp_failed else []

    def interrupt(self) -> None:
        """Stop waiting; servers are told that nobody wants their answers any more."""
        self._stopped = True
        for future in list(self._running.values()):
            future.cancel()


def _error(text: str) -> CallResult:
    return CallResult([{"type": "text", "text": text}], is_error=True)
