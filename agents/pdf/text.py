"""The text of a PDF, taken out by a process of its own within bounds of time, memory and size."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from agents.apart import reading

READER = Path(__file__).parent / "reader.py"
LARGEST = 20 * 1024 * 1024
KEPT = 32
PASSING_SECONDS = 60.0  # what may go better another time is remembered for so long


@dataclass(frozen=True, slots=True)
class PdfText:
    """``text`` names its pages. ``cut``: the file holds more. ``fault``: why there is none, as half a sentence."""

    pages: int = 0
    text: str = ""
    cut: bool = False
    fault: str = ""


_known: OrderedDict[str, tuple[PdfText, float]] = OrderedDict()  # with the moment until which it holds
_lock = threading.Lock()


def text_of(data: bytes) -> PdfText:
    """The text of a PDF; never raises for what is in it. Remembered, as every prompt of a conversation asks again."""
    digest = hashlib.sha256(data).hexdigest()
    with _lock:
        known = _known.get(digest)
        if known is not None and time.monotonic() < known[1]:
            _known.move_to_end(digest)
            return known[0]
    found, lasting = _read(data)
    with _lock:
        _known[digest] = found, float("inf") if lasting else time.monotonic() + PASSING_SECONDS
        _known.move_to_end(digest)
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return found


def _read(data: bytes) -> tuple[PdfText, bool]:
    """What was found, and whether it would be found again."""
    if len(data) > LARGEST:
        return PdfText(fault=f"it is larger than {LARGEST // 1024**2} MB"), True
    try:
        return PdfText(**reading.read(READER, data)), True
    except reading.Unread as error:
        return PdfText(fault=str(error)), error.lasting
