"""A process that has the application loaded already: web, workers and sweeper are forked off it in a few milliseconds.

``python -m config.services.nursery --socket PATH`` loads Django, the loop and the SDK once, opens no connection and
starts no thread, and waits. The supervisor asks over the socket for a program; the fork becomes a child of the
supervisor (which adopts orphans) and runs it as if it had just been executed. What is loaded is shared memory.

The nursery holds nothing else. While it is away, the supervisor executes programs the long way.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import runpy
import signal
import socket
import struct
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from config.services import kernel
from contract.processes import die_with
from contract.watchdog import Heart

# What every program needs sooner or later. None of them may connect or start a thread when it is imported.
LOADED = (
    "config.celery",
    "config.api",
    "config.urls",
    "sessions.harness.runner",
    "sessions.sweeper",
    "celery.apps.worker",
)
REQUEST_BYTES = 65536
ADOPTION_SECONDS = 5.0
ANSWER_SECONDS = 2.0


class Program(NamedTuple):
    """What the supervisor asks for. ``argv`` as for exec; ``keep``: inherited descriptors that it needs."""

    name: str
    argv: list[str]
    keep: list[int]


def load() -> None:
    """Everything up to the point where a program would first touch the world."""
    from config import telemetry

    telemetry.hold()
    import django

    django.setup()
    for module in LOADED:
        import_module(module)
    from agents.providers import registry
    from config.warm import build_models

    build_models()
    registry.warm_up()
    gc.collect()
    gc.freeze()  # so that the collector does not touch, and thereby copy, what the programs share


def serve(listener: socket.socket, inherited: list[int]) -> Program:
    """Fork on request, for ever; returns in the forks only, with what they are to run."""
    heart = Heart()
    listener.settimeout(heart.pause)
    while True:
        heart.beat()
        try:
            link, _ = listener.accept()
        except TimeoutError:
            continue
        with link:
            link.settimeout(ANSWER_SECONDS)
            try:
                program = _forked(link, listener, inherited)
            except (OSError, ValueError, KeyError, TypeError) as error:
                print(f"A request to fork could not be served: {error!r}", flush=True)
                continue
        if program is not None:
            return program


def _forked(link: socket.socket, listener: socket.socket, inherited: list[int]) -> Program | None:
    """Two forks, so that the second is an orphan at once, which the supervisor adopts. None in the nursery itself."""
    supervisor = os.getppid()
    peer, _, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    data, descriptors, _, _ = socket.recv_fds(link, REQUEST_BYTES, 1)
    if not data:
        return None  # somebody only looked whether we are there
    try:
        if peer != supervisor:
            raise ValueError(f"process {peer} is not the supervisor")
        program = Program(**json.loads(data))
        between = os.fork()
        if between:
            os.waitpid(between, 0)
            return None
        if os.fork():
            os._exit(0)
        try:
            _settle(link, listener, descriptors[0], supervisor, [fd for fd in inherited if fd not in program.keep])
        except BaseException:
            os._exit(1)  # never a second nursery
        return program
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _settle(link: socket.socket, listener: socket.socket, output: int, supervisor: int, unwanted: list[int]) -> None:
    """In the fork: become a process of its own, and go on only if the supervisor still wants us."""
    listener.close()
    deadline = time.monotonic() + ADOPTION_SECONDS
    while os.getppid() != supervisor:
        if time.monotonic() > deadline:
            raise TimeoutError("nobody adopted us")
        time.sleep(0.001)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in ((0, nothing), (1, output), (2, output)):
        os.dup2(descriptor, number)
    for descriptor in (nothing, *unwanted):
        os.close(descriptor)
    die_with(supervisor, signal.SIGKILL)
    link.send(str(os.getpid()).encode())
    if link.recv(16) != b"go":
        raise TimeoutError("the supervisor gave us up")


def run(program: Program) -> None:
    """Be the program: ``python -m MODULE …`` or ``python FILE …``."""
    from config import telemetry
    from config.settings import HOLDFAST

    kernel.call_oneself(program.name)
    _, what, *rest = program.argv
    telemetry.release(HOLDFAST, rest[0] if what == "-m" else Path(what).name)
    if what == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [what, *rest]
        runpy.run_path(what, run_name="__main__")


def main() -> None:
    parser = argparse.ArgumentParser(prog="config.services.nursery", description="Loads the application; forks.")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to serve")
    parser.add_argument("--inherit", type=int, nargs="*", default=[], help="descriptors that some programs need")
    options = parser.parse_args()
    load()
    draft = options.socket.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(draft))
        listener.listen(8)
        draft.rename(options.socket)  # from now on there is something that answers
        program = serve(listener, options.inherit)
    run(program)


if __name__ == "__main__":
    main()
