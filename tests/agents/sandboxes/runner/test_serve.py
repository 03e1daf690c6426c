"""What the runner makes of calls, without a sandbox around it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from agents.sandboxes.runner import crew, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from agents.sandboxes.runner.lines import Lines
    from agents.sandboxes.runner.toolbox import Toolbox


class Tools:
    """In a toolbox's place: answers each call with its name."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = str(outputs)

    def call(self, name: str, *given: object) -> tuple[list[dict[str, Any]], bool]:
        return [{"type": "text", "text": name}], False


class Quiet(serve.Server):
    """Keeps what it says."""

    def __init__(self, outputs: Path) -> None:
        super().__init__(cast("Toolbox", Tools(outputs)), cast("Lines", SimpleNamespace()))
        self.said: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.said.append(message)

    def hears(self, number: int) -> dict[str, Any]:
        """What it says to a call of a file tool."""
        call = {"op": "call", "id": number, "name": "read", "input": {}, "label": "", "lane": ""}
        self.see_to([json.dumps(call).encode()])
        return self.said[-1]


def test_a_call_for_which_there_can_be_no_thread_is_answered_and_the_next_is_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_processes(work: Callable[..., None], *given: object) -> None:
        raise RuntimeError("can't start new thread")

    server = Quiet(tmp_path)
    monkeypatch.setattr(crew, "in_background", out_of_processes)
    for number in range(serve.FILE_THREADS + 1):
        answer = server.hears(number)
        assert (answer["id"], answer["is_error"]) == (number, True)
        assert "out of processes" in answer["content"][0]["text"]
    monkeypatch.setattr(crew, "in_background", lambda work, job: server._run(job))
    answer = server.hears(9)
    assert (answer["id"], answer["is_error"], answer["content"][0]["text"]) == (9, False, "read")
    assert not server._stops
