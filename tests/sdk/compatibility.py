"""Writes docs/compatibility.md: every Managed Agents method and event type of the installed SDK and its proof.

A test says what it proves by the marker ``proves``; the marks are read from the sources, nothing is run.
``python -m tests.sdk.compatibility`` prints the page.
"""

from __future__ import annotations

import ast
import inspect
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import anthropic
from anthropic.types.beta.sessions import (
    BetaManagedAgentsEventParams,
    BetaManagedAgentsSessionEventType,
    BetaManagedAgentsStreamSessionEvents,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
MARK = "pytest.mark.proves"
ROOTS = ("beta", "files", "models", "skills", "user_profiles", "organization")

# What belongs to other products of the hosted service; the first pattern that fits counts.
ELSEWHERE = (
    ("beta.organization.webhooks.*", ""),
    ("*organization.*", "administers the hosted service; 404 that says so"),
    ("beta.messages.*", "the Messages API is the model server's, not this product's"),
    ("beta.tunnels.*", "tunnels of the hosted service; 404 that says so"),
)


def methods() -> list[str]:
    """Every method of the SDK's client that asks the server something, but for other products' roots."""
    client = anthropic.Anthropic(api_key="none", base_url="http://127.0.0.1:9")
    found = [name for root in ROOTS for name in _methods(getattr(client, root), root)]
    return [name for name in found if _elsewhere(name) is None]


def elsewhere() -> list[tuple[str, str]]:
    """Patterns of methods that are not this product's, with the reason."""
    return [(pattern, reason) for pattern, reason in ELSEWHERE if reason]


def _elsewhere(name: str) -> str | None:
    return next((reason or None for pattern, reason in ELSEWHERE if fnmatch(name, pattern)), None)


def _methods(resource: Any, path: str) -> Iterator[str]:
    for name in sorted(dir(type(resource))):
        if name.startswith(("_", "with_")):
            continue
        value = getattr(resource, name)
        if type(value).__module__.startswith("anthropic.resources"):
            yield from _methods(value, f"{path}.{name}")
        elif inspect.ismethod(value):
            yield f"{path}.{name}"


def events() -> list[str]:
    """Every event type that the SDK knows from lists and streams."""
    listed = get_args(BetaManagedAgentsSessionEventType)
    streamed = _types(BetaManagedAgentsStreamSessionEvents)
    return sorted({*listed, *streamed})


def sendable() -> list[str]:
    return sorted(f"send {name}" for name in _types(BetaManagedAgentsEventParams))


def _types(union: Any) -> set[str]:
    """The values of ``type`` of a union's members."""
    members = get_args(union)
    if members and not isinstance(members[0], type):  # Annotated[Union[…], …]
        members = get_args(members[0])
    return {name for member in members for name in get_args(_type_of(member))}


def _type_of(member: Any) -> Any:
    """The annotation of ``type``, of a model or of a TypedDict."""
    fields = getattr(member, "model_fields", None)
    return fields["type"].annotation if fields else get_type_hints(member)["type"]


def proofs() -> dict[str, list[str]]:
    """What each marked test says it proves: name -> ``path::test``."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        where, text = file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")
        for node in ast.parse(text).body if MARK in text else ():
            if isinstance(node, ast.FunctionDef):
                for name in _marked(node):
                    found.setdefault(name, []).append(f"{where}::{node.name}")
    return found


def _marked(function: ast.FunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == MARK:
            yield from (str(argument.value) for argument in decorator.args if isinstance(argument, ast.Constant))


def page() -> str:
    """The whole page."""
    found = proofs()
    lines = [
        "# What the official SDK can do here",
        "",
        f"Made by `make compatibility` from the Python SDK {anthropic.__version__} and the tests' own marks.",
        "A test fails when the installed SDK has a Managed Agents method or event type that this page doesn't know.",
        "How answers differ from the hosted service's is in [differences.md](differences.md).",
    ]
    for title, names in (
        ("Methods", methods()),
        ("Events that clients send", sendable()),
        ("Events that are listed or streamed", events()),
    ):
        lines += ["", f"## {title}", "", "| name | proof |", "| --- | --- |"]
        lines += [f"| `{name.removeprefix('send ')}` | {_proof(name, found)} |" for name in names]
    lines += ["", "## Not here", "", "| methods | why |", "| --- | --- |"]
    lines += [f"| `{pattern}` | {reason} |" for pattern, reason in elsewhere()]
    return "\n".join(lines) + "\n"


def _proof(name: str, found: dict[str, list[str]]) -> str:
    if name not in found:
        return "**no proof**"
    where, _, test = found[name][0].partition("::")
    return f"[{test.removeprefix('test_').replace('_', ' ')}](../{where})"


if __name__ == "__main__":
    sys.stdout.write(page())
