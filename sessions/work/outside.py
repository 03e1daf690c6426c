"""A worker for any machine: takes sessions of a self_hosted environment and runs their tools in our sandboxes.

The SDK's own worker does the talking; the tools it is given run in this machine's sandbox host, which is started
beside it, knows no key, and keeps a journal: a call that was begun here before is asked for, not run again. Skills and
memory stores are shown inside as the server's own sandboxes show them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from agents.memory.mounted import Memories, told
from agents.sandboxes import registry
from agents.sandboxes.base import SKILLS, SandboxError, SandboxLost, SandboxSpec, SandboxUnavailable, Upload
from agents.tools.registry import SANDBOX_TOOLS
from sessions import events as ev
from sessions.work import memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents.sandboxes.base import CallResult, SandboxBackend

log = logging.getLogger(__name__)

LOOKED_AT = 200
OPENINGS = 3  # of a sandbox that gets lost while one call runs
START_SECONDS = 120.0  # a container's first start on a busy machine takes tens of seconds
OF_CALLS = [ev.TOOL_USE, ev.USER_TOOL_RESULT, ev.OPS_OUTSIDE_LOST]


@dataclass(frozen=True, slots=True)
class Outside:
    """What a worker is started with. ``data``: where sandboxes are kept on this machine; ``image``: what containers
    are made of, where the backend makes some.
    """

    base_url: str
    environment_id: str
    environment_key: str
    backend: str
    data: Path
    max_idle: float
    worker_id: str | None = None
    image: str = ""


@contextlib.contextmanager
def host(options: Outside) -> Iterator[SandboxBackend]:
    """This machine's sandbox host, for as long as the block lasts. Raises ``SandboxError`` where none can be."""
    options.data.mkdir(parents=True, exist_ok=True)
    options.data.chmod(0o711)
    path = options.data / "sandbox.sock"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "agents.sandboxes.host", "--socket", str(path), "--data", str(options.data)]
    kind = ["--backend", options.backend, "--image", options.image]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    with subprocess.Popen([*command, *kind, "--die-with-parent"], env=kept) as process:
        try:
            backend = registry.client(options.backend, path)
            _wait_until_it_answers(process, backend)
            yield backend
        finally:
            process.terminate()


def _wait_until_it_answers(process: subprocess.Popen[bytes], backend: SandboxBackend) -> None:
    """Its socket is there before it has tried whether sandboxes work here, and ended where they don't."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            backend.inventory(())
            return
        except SandboxUnavailable:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SandboxError("The sandbox host did not start; what it said is above.") from None
        time.sleep(0.05)


def tools_for(backend: SandboxBackend, context: Any) -> Sequence[Any]:
    """The sandbox's tools for one session; ``context`` is the SDK's ``AgentToolContext``."""
    from anthropic.lib.tools import BetaAsyncBuiltinFunctionTool, ToolError

    calls = Calls(backend, context)

    class SandboxTool(BetaAsyncBuiltinFunctionTool):
        def __init__(self, name: str) -> None:
            self._name = name

        def to_dict(self) -> Any:
            return {"type": "custom", "name": self._name, "input_schema": {"type": "object"}}

        async def call(self, input: object) -> Any:  # noqa: A002  the SDK's name
            result = await calls.run(self._name, input)
            if result.is_error:
                raise ToolError(result.content)  # type: ignore[arg-type]  # the same blocks
            return result.content

    return [SandboxTool(name) for name in SANDBOX_TOOLS]


class Calls:
    """The calls of one session, carried out one after the other in its sandbox here."""

    def __init__(self, backend: SandboxBackend, context: Any) -> None:
        self._backend, self._client, self._session_id = backend, context.client, context.session.id
        mounted = memory.mounts(context.session)
        self._spec = SandboxSpec(
            self._session_id,
            uploads=tuple(skills(Path(context.workdir) / "skills")),
            folders=tuple(mount.folder for mount in mounted),
        )
        exchange = partial(backend.exchange, self._session_id)
        self._memories = Memories(mounted, exchange, memory.Shelf(context.client, asyncio.get_running_loop()))
        self._done: set[str] = set()

    async def run(self, name: str, tool_input: Any) -> CallResult:
        """Carry out the call that the worker is at."""
        call_id, again = await self._which(name, tool_input)
        self._done.add(call_id)
        return await asyncio.to_thread(self._call, call_id, name, tool_input, again)

    async def _which(self, name: str, tool_input: Any) -> tuple[str, bool]:
        """The oldest open call of this name and input, and whether a worker that got lost may have begun it."""
        page = await self._client.beta.sessions.events.list(
            self._session_id, order="desc", limit=LOOKED_AT, types=OF_CALLS
        )
        answered: set[str] = set()
        lost, found = False, ("", False)
        for event in page.data:  # newest first
            if event.type == ev.USER_TOOL_RESULT:
                answered.add(event.tool_use_id)
            elif event.type == ev.OPS_OUTSIDE_LOST:
                lost = True
            elif event.id not in answered | self._done and (event.name, event.input) == (name, tool_input):
                found = (event.id, lost)
        if not found[0]:
            raise SandboxError("The call is no longer open.")
        return found

    def _call(self, call_id: str, name: str, tool_input: Any, again: bool) -> CallResult:
        last = ""
        for _ in range(OPENINGS):
            try:
                opened = self._backend.open(replace(self._spec, first=not again))
                if opened.origin != "running":
                    self._memories.forget()
                self._memories.bring_in()
                result = self._backend.call(self._session_id, call_id, name, tool_input, reattempt=again)
                return told(result, self._memories.send_out())
            except SandboxLost as error:
                again, last = True, str(error)
        raise SandboxError(f"The sandbox was lost {OPENINGS} times in a row while this call ran. {last}")


def skills(directory: Path) -> Iterator[Upload]:
    """What the SDK has fetched of the session's skills, as files to be shown inside; links are left out."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            where = f"{SKILLS}/{path.relative_to(directory).as_posix()}"
            yield Upload(where, status.st_size, partial(_opened, path), executable=bool(status.st_mode & 0o100))


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


async def serve(options: Outside, backend: SandboxBackend) -> None:
    """Take sessions one after the other until cancelled. Raises the SDK's errors for a key that isn't good."""
    import anthropic

    client = anthropic.AsyncAnthropic(base_url=options.base_url, api_key="unused", max_retries=4)
    worker = client.beta.environments.work.worker(
        environment_id=options.environment_id,
        environment_key=options.environment_key,
        tools=lambda context: tools_for(backend, context),
        workdir=str(options.data),
        max_idle=options.max_idle,
        memory_sync_interval=None,
        worker_id=options.worker_id,
    )
    await worker.run()
