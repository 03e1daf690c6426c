"""What a built-in tool is, and the check of a call's input against its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

from contract import sdk

Schema = Mapping[str, Any]

_TYPES = "anthropic.types.beta.beta_managed_agents_agent_toolset20260401_"
_SCALARS: dict[Any, str] = {str: "string", bool: "boolean", int: "integer"}


def always() -> str | None:
    """For tools that every installation has."""
    return None


@dataclass(frozen=True)
class ToolDefinition:
    """A tool of the agent toolset (spec core 5.2), or one of ours.

    ``runs``: in the session's sandbox, on the server, or over the session's own log. ``read_only``: calling it again
    does no harm. ``sdk_type``: the SDK's input class, from which the fields, their types and which are
    required are taken; ``fields`` only adds what the model should know about each.
    ``schema`` is for tools whose input the SDK doesn't know. ``not_offered`` says why agents can't have the tool in
    this installation, as a sentence; None if they can.
    """

    name: str
    description: str
    runs: Literal["sandbox", "server", "log"]
    read_only: bool
    sdk_type: str = ""
    schema: Schema | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    not_offered: Callable[[], str | None] = always

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the input. The SDK is imported at first use: that takes over a second."""
        if self.schema is not None:
            return dict(self.schema)
        module = sdk.part(_TYPES + self.name + "_input")
        model = getattr(module, self.sdk_type)
        properties = {}
        for name, info in model.model_fields.items():
            properties[name] = {**_schema_of(info.annotation), "description": self.fields[name]}
        required = [name for name, info in model.model_fields.items() if info.is_required()]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def params(self) -> dict[str, Any]:
        """The tool as a Messages API request names it."""
        return {"name": self.name, "description": self.description, "input_schema": self.input_schema}


def _schema_of(annotation: Any) -> dict[str, Any]:
    """The JSON Schema of an SDK field's type; ``Optional`` only says that it may be left out."""
    choices = [arg for arg in get_args(annotation) if arg is not type(None)]
    if type(None) in get_args(annotation):
        return _schema_of(choices[0])
    if get_origin(annotation) is list:
        return {"type": "array", "items": _schema_of(choices[0])}
    return {"type": _SCALARS[annotation]}


def validate_input(schema: Schema, tool_input: Any) -> str | None:
    """What is wrong with a call's input, in one sentence that names the field; None if nothing.

    Knows type, properties, required, additionalProperties: false, items, minItems, maxItems, enum
    and const. Other keywords are not checked: whoever runs the tool has the last word.
    """
    return _fault(schema, tool_input, "input")


def _fault(schema: Schema, value: Any, where: str) -> str | None:
    allowed = schema.get("type")
    if allowed is not None:
        kinds = [allowed] if isinstance(allowed, str) else list(allowed)
        if not any(_KINDS[kind](value) for kind in kinds if kind in _KINDS):
            return f"{where} must be {' or '.join(_NAMES.get(kind, kind) for kind in kinds)}."
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} must be one of {', '.join(map(repr, schema['enum']))}."
    if "const" in schema and value != schema["const"]:
        return f"{where} must be {schema['const']!r}."
    if isinstance(value, Mapping):
        return _object_fault(schema, value, where)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _array_fault(schema, value, where)
    return None


def _object_fault(schema: Schema, value: Mapping[str, Any], where: str) -> str | None:
    prefix = "" if where == "input" else where + "."
    for name in schema.get("required", ()):
        if name not in value:
            return f"{prefix}{name} is required."
    properties = schema.get("properties", {})
    for name, item in value.items():
        if name in properties:
            if fault := _fault(properties[name], item, prefix + name):
                return fault
        elif schema.get("additionalProperties") is False:
            return f"{prefix}{name} is not a field of this tool; there are: {', '.join(properties) or 'none'}."
    return None


def _array_fault(schema: Schema, value: Sequence[Any], where: str) -> str | None:
    if len(value) < schema.get("minItems", 0):
        return f"{where} must have at least {schema['minItems']} items."
    if len(value) > schema.get("maxItems", len(value)):
        return f"{where} must have at most {schema['maxItems']} items."
    items = schema.get("items")
    if not isinstance(items, Mapping):
        return None
    faults = (_fault(items, item, f"{where}.{index}") for index, item in enumerate(value))
    return next((fault for fault in faults if fault), None)


def _is_integer(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


_KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, Sequence) and not isinstance(value, str),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "null": lambda value: value is None,
}
_NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}
