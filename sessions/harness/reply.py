"""A model's reply as log entries: one commit holds all of it (spec core 11.7). Pure.

The provider's own blocks are kept in ``private``, text and calls as references to the events that
carry them, so that the prompt can be rebuilt exactly and nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents import policies
from agents.policies import NOT_ENABLED, Verdict
from agents.providers.base import ModelReply, ProviderError, Usage
from agents.rules import Request
from sessions import events as ev
from sessions.events import Draft

if TYPE_CHECKING:
    from agents.mcp.tools import McpTool
    from agents.policies import Grant
    from agents.tools.coordination import TeamTool

NewId = Callable[[], str]
CheckInput = Callable[[str, Mapping[str, Any]], str | None]
JudgeCall = Callable[[Request, "Grant"], Verdict]

BROKEN = "The input of this call was not valid JSON; it was not run. Send the call again."
CUT_OFF = "The reply was cut off by its output limit before this call was complete; it was not run."


@dataclass(slots=True)
class Ids:
    """The ids that previews on open streams already use for events that are not yet on the log."""

    request: str
    message: str
    thinking: str


@dataclass(slots=True)
class Reply:
    """Builds the drafts of one reply. ``check`` says what is wrong with a built-in tool's input."""

    ids: Ids
    new_id: NewId
    grants: Mapping[str, Grant]
    check: CheckInput
    judge: JudgeCall = policies.judge
    outside: Container[str] = ()  # tools that an outside worker carries out
    texts: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Draft] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    thought: bool = False

    def drafts(
        self,
        reply: ModelReply,
        cost: str | None,
        first_token_ms: float | None = None,
        context_tokens: int | None = None,
    ) -> list[Draft]:
        """Thinking mark, message, calls and the end of the request span, in canonical order.

        ``context_tokens``: the size of prompt and reply, where the server's own count can't be true.
        """
        faults = dict.fromkeys(reply.broken_inputs, BROKEN)
        if reply.stop_reason == "max_tokens" and reply.content and reply.content[-1]["type"] == "tool_use":
            faults[reply.content[-1]["id"]] = CUT_OFF
        for block in reply.content:
            self._take(block, faults.get(block.get("id", "")))
        found: list[Draft] = []
        if self.thought:
            found.append(Draft(ev.AGENT_THINKING, id=self.ids.thinking))
        if self.texts:
            found.append(Draft(ev.AGENT_MESSAGE, {"content": self.texts}, id=self.ids.message))
        private = {
            "blocks": self.blocks,
            "stop_reason": reply.stop_reason,
            "stop_details": reply.stop_details,
            "usage": {**spent(reply.usage), "steps": int(bool(self.calls))},
            "cost": cost,
            "first_token_ms": first_token_ms,
            "model": reply.model,
            "request_id": reply.request_id,
        } | ({} if context_tokens is None else {"context_tokens": context_tokens})
        return [*found, *self.calls, request_end(self.ids.request, reply.usage, reply.speed, private)]

    def _take(self, block: dict[str, Any], fault: str | None) -> None:
        if block["type"] == "text":
            if block["text"].strip():
                reference = {"type": "text", "event": self.ids.message, "index": len(self.texts)}
                self.blocks.append(reference)
                self.texts.append({"type": "text", "text": block["text"]})
        elif block["type"] == "tool_use":
            call = self._call(block, fault)
            self.calls.append(call)
            reference = {"type": "tool_use", "event": call.id, "id": block["id"]}
            if call.payload["name"] != block["name"]:  # the model knows tools of MCP servers by names of our making
                reference["name"] = block["name"]
            self.blocks.append(reference)
        else:
            self.thought = self.thought or block["type"] in ("thinking", "redacted_thinking")
            self.blocks.append(block)

    def _call(self, block: dict[str, Any], fault: str | None) -> Draft:
        name, tool_input = block["name"], block["input"]
        grant = self.grants.get(name)
        if grant is not None and grant.custom is not None and fault is None:
            return Draft(ev.CUSTOM_TOOL_USE, {"name": name, "input": tool_input}, id=self.new_id())
        if grant is not None and grant.team is not None:
            return self._team_call(grant.team, tool_input, fault)
        tool = grant.mcp if grant is not None else None
        refusal = policies.refusal(name) if grant is None else fault
        if grant is not None and tool is None and not refusal:
            refusal = self.check(name, tool_input)
        verdict = self.judge(_request(name, tool, tool_input), grant) if grant and not refusal else NOT_ENABLED
        if verdict.evaluated_permission == "deny" and not refusal:
            refusal = policies.refusal(name, verdict.why)
        about = {"name": name} if tool is None else {"mcp_server_name": tool.server, "name": tool.name}
        payload: dict[str, Any] = {
            **about,
            "input": tool_input,
            "evaluated_permission": verdict.evaluated_permission,
        }
        if verdict.evaluation is not None:
            payload["evaluation"] = dict(verdict.evaluation)
        private: dict[str, Any] = {"permission": dict(verdict.why)} | ({"refusal": refusal} if refusal else {})
        if tool is None and name in self.outside and not refusal:
            private["outside"] = True
        call_type = ev.TOOL_USE if tool is None else ev.MCP_TOOL_USE
        return Draft(call_type, payload, private=private, id=self.new_id())

    def _team_call(self, tool: TeamTool, tool_input: dict[str, Any], fault: str | None) -> Draft:
        refusal = fault or tool.fault(tool_input)
        payload = {"name": tool.name, "input": tool_input, "evaluated_permission": "deny" if refusal else "allow"}
        return Draft(ev.OPS_TEAM_USE, payload, private={"refusal": refusal} if refusal else None, id=self.new_id())


def _request(name: str, tool: McpTool | None, tool_input: Mapping[str, Any]) -> Request:
    """What the rules judge: a server's tool goes by its own name, not by the one the model knows."""
    return Request(name, tool_input) if tool is None else Request(tool.name, tool_input, tool.server)


def request_end(
    start_id: str, usage: Usage, speed: str, private: Mapping[str, Any], *, is_error: bool = False
) -> Draft:
    """The end of a model request's span (spec core 11.4)."""
    model_usage = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_creation_input_tokens": usage.cache_creation_input_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "speed": speed,
    }
    payload = {"model_request_start_id": start_id, "model_usage": model_usage, "is_error": is_error}
    return Draft(ev.MODEL_END, payload, private=private)


def failed_request(start_id: str, error: ProviderError, speed: str, *, compacting: bool = False) -> Draft:
    """The end of a request that failed; the loop reads ``failure`` and decides what follows.

    ``compacting``: it was for a summary, which is asked for again.
    """
    failure = {
        "kind": error.kind,
        "message": error.message,
        "retryable": error.retryable,
        "retry_after": error.retry_after,
    }
    private = {"failure": failure} | ({"compacting": True} if compacting else {})
    return request_end(start_id, Usage(), speed, private, is_error=True)


def spent(usage: Usage) -> dict[str, int]:
    """One request's usage under the keys of ``sessions.projections.columns.Usage``."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "cache_creation_5m": usage.cache_creation_5m,
        "cache_creation_1h": usage.cache_creation_1h,
        "model_requests": 1,
    }
