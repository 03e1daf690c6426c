"""What a turn leaves in a trace: the turn, its model requests, its tool calls (GenAI conventions, spec advanced 20)."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from contract import tracing
from sessions import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agents.providers.base import ModelReply
    from agents.sandboxes.base import CallResult
    from sessions.harness.spec import TurnSpec
    from sessions.harness.state import Call, ThreadState

TOOL_NAMES = {
    ev.TOOL_USE: "anthropic.tool_use",
    ev.MCP_TOOL_USE: "anthropic.mcp_tool_use",
    ev.CUSTOM_TOOL_USE: "anthropic.custom_tool_use",
}


def _about(spec: TurnSpec) -> dict[str, Any]:
    return {
        "anthropic.workspace.id": spec.workspace_id,
        "anthropic.session.id": spec.session_id,
        "anthropic.session.thread.id": spec.thread_id,
        "gen_ai.conversation.id": spec.session_id,
        "gen_ai.agent.name": spec.agent_name,
    }


@contextmanager
def turn(spec: TurnSpec, state: ThreadState) -> Iterator[None]:
    """A worker's time with a thread, below what started the thread to run."""
    about = {**_about(spec), "gen_ai.operation.name": "invoke_agent"}
    with tracing.span(f"invoke_agent {spec.agent_name}", about, parent=state.trace):
        yield


@contextmanager
def model(spec: TurnSpec, name: str, messages: Sequence[Any]) -> Iterator[Callable[[ModelReply], ModelReply]]:
    """A model request; the block hands its reply to what it is given, and gets it back."""
    about = {**_about(spec), "gen_ai.operation.name": "chat", "gen_ai.request.model": name}
    begun = time.monotonic()
    with tracing.span(f"chat {name}", about, kind=SpanKind.CLIENT) as current:
        if tracing.content_allowed():
            tracing.say(current, "gen_ai.input.messages", json.dumps(messages[-1:], default=str))

        def told(reply: ModelReply) -> ModelReply:
            usage = reply.usage
            current.set_attributes(
                {
                    "gen_ai.response.model": reply.model,
                    "gen_ai.response.finish_reasons": [reply.stop_reason],
                    "gen_ai.usage.input_tokens": usage.input_tokens,
                    "gen_ai.usage.output_tokens": usage.output_tokens,
                    "gen_ai.usage.cache_read.input_tokens": usage.cache_read_input_tokens,
                    "gen_ai.usage.cache_creation.input_tokens": usage.cache_creation_input_tokens,
                }
            )
            kind = {"gen_ai.operation.name": "chat", "gen_ai.request.model": name}
            tracing.tokens.record(usage.input_tokens, {**kind, "gen_ai.token.type": "input"})
            tracing.tokens.record(usage.output_tokens, {**kind, "gen_ai.token.type": "output"})
            if tracing.content_allowed():
                tracing.say(current, "gen_ai.output.messages", json.dumps(reply.content, default=str))
            return reply

        yield told
    tracing.model_seconds.record(
        time.monotonic() - begun, {"gen_ai.operation.name": "chat", "gen_ai.request.model": name}
    )


def tool(spec: TurnSpec, call: Call, carry_out: Callable[..., CallResult]) -> Callable[..., CallResult]:
    """``carry_out`` with a span of the call around it, for another thread."""
    here = tracing.here()
    name = f"{TOOL_NAMES.get(call.type, 'execute_tool')} {call.name}"
    about = {
        **_about(spec),
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.name,
        "gen_ai.tool.call.id": call.id,
        "mcp.server.name": call.server or None,
    }

    def carried_out(*args: Any, **options: Any) -> CallResult:
        begun = time.monotonic()
        with tracing.within(here), tracing.span(name, about) as at:
            if tracing.content_allowed():
                tracing.say(at, "gen_ai.tool.call.arguments", json.dumps(call.input))
            result = carry_out(*args, **options)
            if result.is_error:
                tracing.failed(at, "tool_error")
            if tracing.content_allowed():
                tracing.say(at, "gen_ai.tool.call.result", json.dumps(result.content))
        tracing.tool_seconds.record(time.monotonic() - begun, {"gen_ai.tool.name": call.name})
        return result

    return carried_out
