"""What an export would hold, before it is taken out: how much, and each place where a value was masked."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credentials.masking import MASK
from sessions import exports
from sessions.finding import bare_session

if TYPE_CHECKING:
    from contract.acting import Acting
    from sessions.models import Session

PLACES = 50
AROUND = 60  # characters on each side of a mask


@dataclass(frozen=True, slots=True)
class Place:
    """A masked value: the number of its event (None for the head) and the text around it."""

    seq: int | None
    before: str
    after: str


@dataclass(slots=True)
class Preview:
    """``places`` are the first ``PLACES`` of ``masked``; ``size`` is the file's, in bytes."""

    session: Session
    size: int = 0
    masked: int = 0
    places: list[Place] = field(default_factory=list)


def preview(session_id: str, acting: Acting) -> Preview:
    """Write the export to nowhere and tell of it. Raises what ``exports.export`` raises."""
    _, lines = exports.export(session_id, acting)
    found = Preview(bare_session(session_id, acting))
    last = ""
    for line in lines:
        found.size += len(line.encode())
        if MASK in line and len(found.places) < PLACES:
            found.places += _places(line)[: PLACES - len(found.places)]
        last = line
    found.masked = int(json.loads(last)["masked"])
    return found


def _places(line: str) -> list[Place]:
    entry = json.loads(line)
    entry.pop("shown", None)  # it says the same once more
    parts = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).split(MASK)
    seq = entry.get("seq")
    return [Place(seq, one[-AROUND:], other[:AROUND]) for one, other in itertools.pairwise(parts)]
