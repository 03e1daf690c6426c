"""Checks a tool's input before anything runs; a fault is a sentence that names the field."""

from __future__ import annotations

from .texts import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# name -> (kind, required)
FIELDS: dict[str, dict[str, tuple[str, bool]]] = {
    "bash": {"command": ("string", False), "restart": ("boolean", False), "timeout_ms": ("integer", False)},
    "read": {"file_path": ("path", True), "view_range": ("range", False)},
    "write": {"file_path": ("path", True), "content": ("string", True)},
    "edit": {
        "file_path": ("path", True),
        "old_string": ("string", True),
        "new_string": ("string", True),
        "replace_all": ("boolean", False),
    },
    "glob": {"pattern": ("path", True), "path": ("path", False)},
    "grep": {"pattern": ("string", True), "path": ("path", False)},
}


def check(name: str, given: Any) -> dict[str, Any]:
    """Return the input with absent and null optional fields left out, or raise ``ToolError``."""
    fields = FIELDS.get(name)
    if fields is None:
        raise ToolError(f"unknown tool: {name[:100]}")
    if not isinstance(given, dict):
        raise ToolError(f"{name}: input must be an object")
    for key in given:
        if key not in fields:
            raise ToolError(f"{name}: unknown field {str(key)[:100]}")
    result: dict[str, Any] = {}
    for field, (kind, required) in fields.items():
        value = given.get(field)
        if value is None:
            if required:
                raise ToolError(f"{name}: {field} is required")
            continue
        fault = _fault(kind, value)
        if fault:
            raise ToolError(f"{name}: {field} {fault}")
        result[field] = value
    return result


def _fault(kind: str, value: Any) -> str | None:
    if kind == "range":
        return None if _is_range(value) else "must be [start_line, end_line]"
    if kind == "integer":
        if not isinstance(value, int) or isinstance(value, bool):
            return "must be a whole number"
        return "must not be negative" if value < 0 else None
    if kind == "boolean":
        return None if isinstance(value, bool) else "must be true or false"
    if not isinstance(value, str):
        return "must be a string"
    return _text_fault(value, path=kind == "path")


def _text_fault(value: str, *, path: bool) -> str | None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid Unicode text"
    if path and not value:
        return "must not be empty"
    if path and "\x00" in value:
        return "must not contain NUL"
    return None


def _is_range(value: Any) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return False
    return all(isinstance(n, int) and not isinstance(n, bool) for n in value)
