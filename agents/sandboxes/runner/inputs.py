"""Checks a tool's input before anything runs; a fault is a sentence that names the field."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple

from .texts import ToolError


# name -> (kind, required)
FIELDS: Dict[str, Dict[str, Tuple[str, bool]]] = {
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


def check(name: str, given: Any) -> Dict[str, Any]:
    """Return the input with absent and null optional fields left out, or raise ``ToolError``."""
    fields = FIELDS.get(name)
    if fields is None:
        raise ToolError("unknown tool: %s" % name[:100])
    if not isinstance(given, Mapping):
        raise ToolError("%s: input must be an object" % name)
    for key in given:
        if key not in fields:
            raise ToolError("%s: unknown field %s" % (name, str(key)[:100]))
    result: Dict[str, Any] = {}
    for field, (kind, required) in fields.items():
        value = given.get(field)
        if value is None:
            if required:
                raise ToolError("%s: %s is required" % (name, field))
            continue
        fault = _fault(kind, value)
        if fault:
            raise ToolError("%s: %s %s" % (name, field, fault))
        result[field] = value
    return result


def _fault(kind: str, value: Any) -> Optional[str]:
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


def _text_fault(value: str, *, path: bool) -> Optional[str]:
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
