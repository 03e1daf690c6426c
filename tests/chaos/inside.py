"""What only the database and the sandbox host can tell: a process of the installation's own, asked as often as needed.

Starting it takes seconds of a processor, so each installation that is asked keeps one until it ends. It keeps no
connection between questions, so that it holds on to nothing that a test kills.
"""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import django
from django.core.management import CommandError, call_command
from django.db import connection, connections

from tests.live import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from django.db.backends.postgresql.base import DatabaseWrapper

    from tests.live import Installation

SECONDS = 60.0
_running: dict[Path, subprocess.Popen[bytes]] = {}


def verify(installation: Installation) -> str:
    """`manage.py verify` of the installation: empty if every session agrees with its log."""
    return cast("str", _ask(installation, "verify"))


def left_over(installation: Installation) -> dict[str, int]:
    """How many leases of threads that do nothing, and sandboxes of no session, there are."""
    return cast("dict[str, int]", _ask(installation, "left_over"))


def _ask(installation: Installation, question: str) -> Any:
    process = _running.get(installation.data_dir) or _start(installation)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{question}\n".encode())
    assert select.select([process.stdout], [], [], SECONDS)[0], f"no answer to {question}"
    answer = process.stdout.readline()
    if not answer:
        del _running[installation.data_dir]  # another may do better
    assert answer, f"the process that was asked to {question} ended with {process.wait(SECONDS)}"
    return json.loads(answer)


def _start(installation: Installation) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.inside"],
        cwd=ROOT,
        env={**installation.environment, "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    _running[installation.data_dir] = process
    installation.closing.callback(_end, process, installation.data_dir)
    return process


def _end(process: subprocess.Popen[bytes], data_dir: Path) -> None:
    _running.pop(data_dir, None)
    process.communicate(timeout=SECONDS)  # the end of its questions ends it


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    answers = {"verify": _verify, "left_over": _left_over}
    for question in sys.stdin:
        answer = answers[question.strip()]()
        connections.close_all()
        cast("DatabaseWrapper", connection).close_pool()
        print(json.dumps(answer), flush=True)


def _verify() -> str:
    errors = io.StringIO()
    try:
        call_command("verify", stdout=io.StringIO(), stderr=errors)
    except CommandError as error:
        return f"{errors.getvalue()}{error}"
    return ""


def _left_over() -> dict[str, int]:
    from sessions import workspaces
    from sessions.models import Thread

    held = Thread.objects.filter(lease_expires__isnull=False).exclude(status__in=("running", "rescheduling"))
    return {"leases": held.count(), "sandboxes": len(workspaces.sweep_here())}


if __name__ == "__main__":
    main()
