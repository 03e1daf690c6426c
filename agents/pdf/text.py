"""The text of a PDF, taken out by a process of its own within bounds of time, memory and size."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

READER = Path(__file__).parent / "reader.py"
SECONDS = 30.0  # by the wall; the reader's own clock counts its work
LARGEST = 20 * 1024 * 1024
AT_ONCE = 2
KEPT = 32


@dataclass(frozen=True, slots=True)
class PdfText:
    """``text`` names its pages. ``cut``: the file holds more. ``fault``: why there is none, as half a sentence."""

    pages: int = 0
    text: str = ""
    cut: bool = False
    fault: str = ""


_slots = threading.BoundedSemaphore(AT_ONCE)
_known: OrderedDict[str, PdfText] = OrderedDict()
_lock = threading.Lock()


def text_of(data: bytes) -> PdfText:
    """The text of a PDF; never raises for what is in it. Remembered, as every prompt of a conversation asks again."""
    digest = hashlib.sha256(data).hexdigest()
    with _lock:
        if digest in _known:
            _known.move_to_end(digest)
            return _known[digest]
    with _slots:
        found = _read(data)
    with _lock:
        _known[digest] = found
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return found


def _read(data: bytes) -> PdfText:
    if len(data) > LARGEST:
        return PdfText(fault=f"it is larger than {LARGEST // 1024**2} MB")
    try:
        done = subprocess.run(
            [sys.executable, "-I", READER], input=data, env={}, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return PdfText(fault="reading it takes too long")
    except OSError as error:
        return PdfText(fault=f"no process could be started for it ({error.strerror})")
    try:
        return PdfText(**json.loads(done.stdout))
    except (ValueError, TypeError):
        return PdfText(fault="reading it takes too long or too much memory")
