"""The reference: the loop of a dozen lines that anyone writes first. Nothing is kept, nothing is isolated.

Run as a program, many such loops at once, a thread each: ``python -m tests.bench.bare URL LOOPS STEPS`` says ``ready``,
waits for a line, works, and ends.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic

from tests.bench.model import MODEL
from tests.live import ROOT

PATIENCE_SECONDS = 300.0
BASH: dict[str, Any] = {
    "name": "bash",
    "description": "Run a command.",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}


def client_of(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="bench")


def converse(client: anthropic.Anthropic, task: str) -> None:
    """Work on ``task`` until the model is done."""
    messages: list[Any] = [{"role": "user", "content": task}]
    while True:
        with client.messages.stream(model=MODEL, max_tokens=4096, tools=[BASH], messages=messages) as stream:  # type: ignore[list-item]
            reply = stream.get_final_message()
        messages.append({"role": "assistant", "content": reply.content})
        if reply.stop_reason != "tool_use":
            return
        results = [_run(block) for block in reply.content if block.type == "tool_use"]
        messages.append({"role": "user", "content": results})


def crowd(url: str, loops: int, each: int, processes: int) -> float:
    """Steps a second of ``loops`` loops of ``each`` steps, shared among ``processes``; their start is not counted."""
    argv = [sys.executable, "-m", "tests.bench.bare", url, str(loops // processes), str(each)]
    workers = [
        subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None and worker.stdout.readline() == "ready\n", "a bare loop did not start"
        begun = time.monotonic()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.close()
        ended = [worker.wait(PATIENCE_SECONDS) for worker in workers]
        taken = time.monotonic() - begun
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert not any(ended), "a bare loop failed"
    return loops // processes * processes * each / taken


def _run(block: Any) -> dict[str, Any]:
    done = subprocess.run(["bash", "-c", block.input["command"]], capture_output=True, text=True, check=False)
    return {"type": "tool_result", "tool_use_id": block.id, "content": done.stdout + done.stderr}


def main() -> None:
    url, loops, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    client = client_of(url)
    with ThreadPoolExecutor(loops) as pool:
        print("ready", flush=True)
        sys.stdin.readline()
        list(pool.map(lambda _: converse(client, f"[[demo: steps={each}]]"), range(loops)))


if __name__ == "__main__":
    main()
