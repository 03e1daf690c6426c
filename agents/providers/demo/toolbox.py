"""The tools a request offers, and how to fill in a call by their schemas. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BUILT_IN = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")

_ALIASES: dict[str, tuple[str, ...]] = {
    "path": ("file_path", "path", "filename", "file"),
    "content": ("content", "file_text", "text", "contents"),
    "command": ("command", "cmd", "script"),
    "pattern": ("pattern", "regex", "query", "glob"),
    "folder": ("path", "directory", "dir"),
    "old": ("old_string", "old_str", "old"),
    "new": ("new_string", "new_str", "new"),
    "url": ("url", "uri"),
    "query": ("query", "q", "search"),
    "agent": ("agent", "agent_name", "name", "to", "agent_id", "recipient"),
    "message": ("message", "prompt", "task", "text", "content", "input"),
}
_SAMPLES: dict[str, Any] = {
    "string": "demo",
    "integer": 1,
    "number": 1,
    "boolean": True,
    "array": [],
    "null": None,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call to make."""

    name: str
    input: dict[str, Any]


class Toolbox:
    """The offered tools by name."""

    def __init__(self, tools: list[dict[str, Any]]) -> None:
        self._tools: dict[str, dict[str, Any]] = {str(tool["name"]): tool for tool in tools if "name" in tool}

    @property
    def names(self) -> list[str]:
        return list(self._tools)

    def has(self, name: str) -> bool:
        return name in self._tools

    def containing(self, *words: str) -> str | None:
        """The first tool whose name contains one of the words, the words in order."""
        for word in words:
            for name in self._tools:
                if word in name.lower():
                    return name
        return None

    def custom(self) -> str | None:
        """The first tool that is neither built in nor of an MCP server."""
        return next((n for n in self._tools if n not in BUILT_IN and "mcp" not in n.lower()), None)

    def call(self, name: str, **wanted: Any) -> Call:
        """A call of an offered tool: what is wanted goes to the property that means it, the
        other required properties get a sample value that fits their schema.
        """
        schema = self._tools[name].get("input_schema") or {}
        properties: dict[str, Any] = schema.get("properties") or {}
        filled: dict[str, Any] = {}
        for meaning, value in wanted.items():
            filled[_property(meaning, properties)] = value
        for required in schema.get("required") or ():
            if required not in filled:
                filled[required] = sample(properties.get(required) or {})
        return Call(name, filled)


def sample(schema: dict[str, Any]) -> Any:
    """A small value that fits a JSON schema (constants, enums, types, required properties)."""
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return sample(schema[key][0])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: sample(properties.get(name) or {}) for name in schema.get("required") or ()}
    if kind == "array" and schema.get("minItems"):
        return [sample(schema.get("items") or {})] * int(schema["minItems"])
    if kind in ("integer", "number") and "minimum" in schema:
        return schema["minimum"]
    return _SAMPLES.get(str(kind), "demo")


def _property(meaning: str, properties: dict[str, Any]) -> str:
    names = _ALIASES[meaning]
    return next((name for name in names if name in properties), names[0])
