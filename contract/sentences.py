"""Pydantic's error lists as one plain sentence that names the field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from contract.schema import TAG

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 3
FIXED = {
    "missing": "Field required",
    "extra_forbidden": "Extra inputs are not permitted",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "float_type": "must be a number",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def field_path(location: Sequence[str | int]) -> str:
    """``("body", "body", "tools", 0, "‹custom", "name")`` -> ``tools.0.name``."""
    steps = [str(step) for step in location if not str(step).startswith(TAG)]
    return ".".join(steps)


def complaint(error: dict[str, Any]) -> str:
    """What is wrong with the value, without the field's name and without repeating the value."""
    kind, message = error["type"], str(error["msg"])
    if kind in FIXED:
        return FIXED[kind]
    if kind == "literal_error":
        return "must be one of: " + re.sub(r"' or '", "', '", error["ctx"]["expected"]).replace("'", "")
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def sentence(errors: Sequence[dict[str, Any]], *, drop: int = 0) -> str:
    """The first few errors, joined; ``drop`` leading steps of each location are left out."""
    parts = []
    for error in errors[:SHOWN]:
        path = field_path(error["loc"][drop:])
        parts.append(f"{path}: {complaint(error)}" if path else complaint(error))
    if len(errors) > SHOWN:
        parts.append(f"and {len(errors) - SHOWN} more")
    return "; ".join(parts)
