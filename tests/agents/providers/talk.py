"""Talking to the demo in tests: a small loop that answers its calls with real-looking results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.providers.base import ModelReply, ModelRequest, Provider, StreamPart

if TYPE_CHECKING:
    from collections.abc import Callable

BASH = {
    "name": "bash",
    "description": "Run a command",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
}
WRITE = {
    "name": "write",
    "description": "Write a file",
    "input_schema": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["file_path", "content"],
    },
}
WEATHER = {
    "name": "get_weather",
    "description": "Ask for the weather",
    "input_schema": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"enum": ["celsius", "kelvin"]},
            "days": {"type": "integer", "minimum": 2},
            "where": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "note": {"type": ["string", "null"]},
        },
        "required": ["city", "unit", "days", "where", "tags", "note"],
    },
}
SEND = {
    "name": "send_to_agent",
    "description": "Send work to another agent",
    "input_schema": {
        "type": "object",
        "properties": {"agent": {"type": "string"}, "message": {"type": "string"}},
        "required": ["agent", "message"],
    },
}

Answer = tuple[str, bool]


def fine(call: dict[str, Any]) -> Answer:
    return f"ran {call['name']}", False


def refused(call: dict[str, Any]) -> Answer:
    return f"{call['name']} went wrong", True


class Talk:
    """One conversation: ``say`` something, then ``reply`` until the turn is over."""

    def __init__(self, provider: Provider, *tools: dict[str, Any], model: str = "demo", **options: Any) -> None:
        self.provider = provider
        self.tools = list(tools)
        self.model = model
        self.options = options
        self.messages: list[dict[str, Any]] = []
        self.parts: list[StreamPart] = []

    def say(self, text: str) -> Talk:
        self.messages.append({"role": "user", "content": text})
        return self

    def request(self) -> ModelRequest:
        return ModelRequest(self.model, self.messages, tools=self.tools, **self.options)

    def once(self) -> ModelReply:
        """One reply, added to the conversation."""
        reply = self.provider.stream(self.request(), self.parts.append, lambda: False)
        if reply.content:
            self.messages.append({"role": "assistant", "content": reply.content})
        return reply

    def answer(self, reply: ModelReply, how: Callable[[dict[str, Any]], Answer] = fine) -> None:
        """Results for every call of a reply, in one user message."""
        results = []
        for call in calls(reply):
            text, is_error = how(call)
            results.append({"type": "tool_result", "tool_use_id": call["id"], "content": text, "is_error": is_error})
        self.messages.append({"role": "user", "content": results})

    def turn(self, how: Callable[[dict[str, Any]], Answer] = fine, limit: int = 100) -> list[ModelReply]:
        """Replies until one asks for no tool, ``limit`` at most."""
        replies: list[ModelReply] = []
        while len(replies) < limit:
            replies.append(self.once())
            if replies[-1].stop_reason != "tool_use":
                break
            self.answer(replies[-1], how)
        return replies


def calls(reply: ModelReply) -> list[dict[str, Any]]:
    return [block for block in reply.content if block["type"] == "tool_use"]


def text(reply: ModelReply) -> str:
    return "".join(block["text"] for block in reply.content if block["type"] == "text")


def commands(replies: list[ModelReply]) -> list[str]:
    return [call["input"]["command"] for reply in replies for call in calls(reply)]
