"""What a Messages API server refuses with 400, in its words. Pure.

Strict on purpose: a request that the real API would refuse must not pass here, or a mistake
in the loop would show only with a key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agents.providers.demo.signing import genuine, sign
from agents.providers.wire import is_compacted

if TYPE_CHECKING:
    from collections.abc import Set

TOP_LEVEL = {
    *("max_tokens", "messages", "model", "stream", "system", "tools", "tool_choice"),
    *("billing_policy", "cache_control", "compaction", "container", "context_management"),
    *("diagnostics", "fallback_credit_token", "fallbacks", "inference_geo", "mcp_servers"),
    *("metadata", "output_config", "service_tier", "speed", "stop_sequences", "thinking", "thread"),
}
# What a kind of block must have, and what it may have besides. Kinds not named here pass.
_REQUIRED = {
    "text": frozenset({"type", "text"}),
    "tool_use": frozenset({"type", "id", "name", "input"}),
    "tool_result": frozenset({"type", "tool_use_id"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
_OPTIONAL = {
    "text": frozenset({"citations", "cache_control"}),
    "tool_use": frozenset({"caller", "toolset", "cache_control"}),
    "tool_result": frozenset({"content", "is_error", "cache_control"}),
    "thinking": frozenset[str](),
    "redacted_thinking": frozenset[str](),
}
_MESSAGE = frozenset({"role", "content"})
_ROLES = frozenset({"user", "assistant", "system"})
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL_KEYS = {
    *("name", "type", "description", "input_schema", "cache_control", "strict"),
    *("defer_loading", "input_examples", "allowed_callers", "eager_input_streaming"),
}


class Refused(Exception):
    """The request is invalid; the text says what and where."""


def validate(body: object, *, counting: bool = False) -> dict[str, Any]:
    """The body, known to be sound. Raises ``Refused``. ``counting`` is for count_tokens, which
    takes no ``max_tokens``.
    """
    if not isinstance(body, dict):
        raise Refused("The request body must be a JSON object")
    unknown = sorted(set(body) - TOP_LEVEL)
    if unknown:
        raise Refused(f"{unknown[0]}: Extra inputs are not permitted")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Refused("model: Field required")
    if not counting:
        _max_tokens(body.get("max_tokens"))
    _tools(body.get("tools"))
    _system(body.get("system"))
    _messages(body.get("messages"))
    return body


def _max_tokens(value: object) -> None:
    if value is None:
        raise Refused("max_tokens: Field required")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refused("max_tokens: Input should be greater than or equal to 1")


def _system(system: object) -> None:
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise Refused("system: Input should be a valid string or list")
    for index, block in enumerate(system):
        _block(block, "system", index)


def _tools(tools: object) -> None:
    if tools is None:
        return
    if not isinstance(tools, list):
        raise Refused("tools: Input should be a valid list")
    names: set[str] = set()
    for index, tool in enumerate(tools):
        where = f"tools.{index}"
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise Refused(f"{where}.name: Field required")
        if tool["name"] in names:
            raise Refused("tools: Tool names must be unique.")
        names.add(tool["name"])
        if tool.get("type", "custom") == "custom":
            _custom_tool(tool, where)


def _custom_tool(tool: dict[str, Any], where: str) -> None:
    unknown = sorted(set(tool) - _TOOL_KEYS)
    if unknown:
        raise Refused(f"{where}.{unknown[0]}: Extra inputs are not permitted")
    if not _TOOL_NAME.fullmatch(tool["name"]):
        raise Refused(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    schema = tool.get("input_schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Refused(f"{where}.input_schema.type: Input should be 'object'")


def _messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refused("messages: at least one message is required")
    waiting: list[str] = []
    seen: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        _message(message, where)
        if index == 0 and message["role"] == "assistant" and not is_compacted(messages):
            raise Refused("messages: first message must use the user role")
        if message["role"] == "system":
            continue
        if message["role"] == "user":
            _answers(message, where, waiting)
            waiting = []
            continue
        if waiting:
            raise Refused(_unanswered(where, waiting))
        waiting = _new_calls(message, where, seen)
    if waiting:
        raise Refused(_unanswered(f"messages.{len(messages) - 1}", waiting))


def _message(message: object, where: str) -> None:
    if not isinstance(message, dict):
        raise Refused(f"{where}: Input should be an object")
    if message.keys() - _MESSAGE:
        raise Refused(f"{where}.{min(message.keys() - _MESSAGE)}: Extra inputs are not permitted")
    if message.get("role") not in _ROLES:
        raise Refused(f"{where}.role: Input should be 'user', 'assistant' or 'system'")
    content = message.get("content")
    if not isinstance(content, str | list):
        raise Refused(f"{where}.content: Input should be a valid string or list")
    if not content or (isinstance(content, str) and content.isspace()):
        raise Refused(f"{where}: {message['role']} messages must have non-empty content")
    if isinstance(content, list):
        for index, block in enumerate(content):
            _block(block, where, index)


def _block(block: object, where: str, index: int) -> None:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        raise Refused(f"{where}.content.{index}.type: Field required")
    kind = block["type"]
    required = _REQUIRED.get(kind)
    if kind == "compaction" and block.get("encrypted_content") != sign(str(block.get("content"))):
        raise Refused(f"{where}.content.{index}: Invalid `encrypted_content` in `compaction` block")
    if required is None:
        return
    keys = block.keys()
    if keys != required:
        _keys(keys, required, kind, f"{where}.content.{index}.{kind}")
    if kind == "text":
        text = block["text"]
        if not isinstance(text, str) or not text or text.isspace():
            raise Refused("messages: text content blocks must be non-empty")
    elif kind == "tool_use":
        if not isinstance(block["input"], dict):
            raise Refused(f"{where}.content.{index}.tool_use.input: Input should be an object")
    elif kind != "tool_result" and not genuine(block):
        raise Refused(f"{where}.content.{index}: Invalid `signature` in `{kind}` block")


def _keys(keys: Set[str], required: frozenset[str], kind: str, where: str) -> None:
    if required - keys:
        raise Refused(f"{where}.{min(required - keys)}: Field required")
    extra = keys - required - _OPTIONAL[kind]
    if extra:
        raise Refused(f"{where}.{min(extra)}: Extra inputs are not permitted")


def _new_calls(message: dict[str, Any], where: str, seen: set[str]) -> list[str]:
    content = message["content"]
    if isinstance(content, str):
        return []
    calls = [block["id"] for block in content if block["type"] == "tool_use"]
    for call in calls:
        if call in seen:
            raise Refused(f"{where}: `tool_use` ids must be unique")
        seen.add(call)
    return calls


def _answers(message: dict[str, Any], where: str, waiting: list[str]) -> None:
    content = message["content"]
    blocks = [] if isinstance(content, str) else content
    answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    for call in answered:
        if call not in waiting:
            raise Refused(
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous "
                "message."
            )
    if len(answered) != len(set(answered)):
        raise Refused(f"{where}: each tool_use must have a single result")
    missing = [call for call in waiting if call not in answered]
    if missing:
        raise Refused(_unanswered(where, missing))


def _unanswered(where: str, missing: list[str]) -> str:
    return (
        f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` "
        "block in the next message."
    )
