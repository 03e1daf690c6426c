"""The reference: the loop of a dozen lines that anyone writes first. Nothing is kept, nothing is isolated."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import anthropic

from tests.bench.model import MODEL

if TYPE_CHECKING:
    from tests.bench.model import TimedModel

BASH: dict[str, Any] = {
    "name": "bash",
    "description": "Run a command.",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}


def converse(model: TimedModel, task: str) -> list[float]:
    """Work on ``task`` until the model is done; milliseconds between each reply and the next request."""
    client = anthropic.Anthropic(base_url=model.url, api_key="bench")
    messages: list[Any] = [{"role": "user", "content": task}]
    model.forget()
    while True:
        with client.messages.stream(model=MODEL, max_tokens=4096, tools=[BASH], messages=messages) as stream:  # type: ignore[list-item]
            reply = stream.get_final_message()
        messages.append({"role": "assistant", "content": reply.content})
        if reply.stop_reason != "tool_use":
            return list(model.gaps)
        results = [_run(block) for block in reply.content if block.type == "tool_use"]
        messages.append({"role": "user", "content": results})


def _run(block: Any) -> dict[str, Any]:
    done = subprocess.run(["bash", "-c", block.input["command"]], capture_output=True, text=True, check=False)
    return {"type": "tool_result", "tool_use_id": block.id, "content": done.stdout + done.stderr}
