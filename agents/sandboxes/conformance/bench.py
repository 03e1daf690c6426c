"""What the checks work with: a sandbox of their own, and short ways to use it."""

from __future__ import annotations

import io
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from agents.sandboxes.base import (
    CallResult,
    Limits,
    Opened,
    SandboxBackend,
    SandboxError,
    SandboxLost,
    SandboxSpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_SECONDS = 30.0


class Failed(Exception):
    """A backend does not behave as it must."""


def expect(held: bool, *seen: object) -> None:
    if not held:
        raise Failed(" ".join(map(repr, seen)))


class Bench:
    """A fresh sandbox id on a backend, and short ways to use it."""

    def __init__(self, backend: SandboxBackend, limits: Limits | None = None) -> None:
        self.backend = backend
        self.limits = limits or Limits()
        self.id = f"conformance-{uuid.uuid4().hex[:12]}"

    def open(self, snapshot: bytes | None = None, **spec: Any) -> Opened:
        made = SandboxSpec(self.id, limits=self.limits, **{"first": True, **spec})
        return self.backend.open(made, io.BytesIO(snapshot) if snapshot is not None else None)

    def call(self, name: str, call_id: str | None = None, **tool_input: Any) -> CallResult:
        return self.backend.call(self.id, call_id or uuid.uuid4().hex, name, tool_input)

    def bash(self, command: str, **more: Any) -> str:
        """Text of a command that must succeed."""
        result = self.call("bash", command=command, **more)
        expect(not result.is_error, command, result)
        return text(result)

    def discard(self) -> None:
        self.backend.close(self.id, discard=True)


def text(result: CallResult) -> str:
    return "".join(block.get("text", "") for block in result.content)


def background(work: Callable[[], CallResult]) -> tuple[threading.Thread, list[CallResult]]:
    """Run a call in a thread; its result is the list's only item once the thread has ended."""
    results: list[CallResult] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    return thread, results


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        expect(time.monotonic() < deadline, "waited too long")
        time.sleep(0.01)


def refused(work: Callable[[], object]) -> None:
    try:
        seen = work()
    except SandboxError:
        return
    raise Failed(f"not refused: {seen!r}")


def lost(work: Callable[[], object]) -> None:
    try:
        seen = work()
    except SandboxLost:
        return
    raise Failed(f"not lost: {seen!r}")
