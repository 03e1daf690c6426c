"""Starts a reader and waits for it, within bounds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

BEGIN = Path(__file__).parent / "begin.py"
SECONDS = 30.0  # by the wall; the reader's own clock counts its work
AT_ONCE = 4
TOO_LONG = "reading it takes too long"

_slots = threading.BoundedSemaphore(AT_ONCE)


class Unread(Exception):
    """Nothing could be read; the text says why, as half a sentence. ``lasting``: nor will it be another time."""

    def __init__(self, why: str, *, lasting: bool = False) -> None:
        super().__init__(why)
        self.lasting = lasting


def read(reader: Path, data: bytes) -> dict[str, Any]:
    """What ``reader`` makes of ``data``. Raises ``Unread``."""
    if not _slots.acquire(timeout=SECONDS):
        raise Unread("too many others are being read")
    try:
        done = subprocess.run(
            [sys.executable, "-I", BEGIN, reader], input=data, env={}, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unread(TOO_LONG) from None
    except OSError as error:
        raise Unread(f"no process could be started for it ({error.strerror})") from None
    finally:
        _slots.release()
    if done.returncode == -signal.SIGXCPU:
        raise Unread(TOO_LONG, lasting=True)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise Unread("reading it takes too much memory") from None
    if fault := answer.get("fault"):
        raise Unread(fault, lasting=True)
    return answer
