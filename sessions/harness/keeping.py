"""Long results of calls that ran elsewhere, kept in a file of the session's sandbox (spec core 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.tools import registry as tools
from sessions import events as ev
from sessions.harness import spill
from sessions.harness.hands.base import CannotCarryOut
from sessions.harness.hands.registry import opened, place_of
from sessions.harness.state import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessions.harness.hands.registry import Commit, Hands
    from sessions.harness.spec import TurnSpec

LONGEST_FILE = 8_000_000  # characters; the rest of a longer result is lost
NO_READER = "this agent has no tools to read files with"


def bounded(
    content: Sequence[dict[str, Any]],
    call: Call,
    spec: TurnSpec,
    hands: Hands,
    commit: Commit,
) -> list[dict[str, Any]]:
    """``content``, or a preview of it and the path of the whole; see ``spill.bounded``.

    ``commit`` puts on the log what opening the sandbox leaves to say. Belongs to the turn's own thread.
    """
    if place_of(call) == "sandbox":  # it has done this by itself
        return list(content)

    def write(path: str, text: str) -> str | None:
        if tools.SANDBOX_TOOLS.isdisjoint(spec.grants):
            return NO_READER
        given = {"file_path": path, "content": text[:LONGEST_FILE]}
        writing = Call(call.id, ev.TOOL_USE, "write", given, call.seq, "allow")
        hand = hands.of(writing)
        try:
            opened(hand, commit)
            result = hand.call(writing, reattempt=True)
        except CannotCarryOut as error:
            return str(error)
        return "the sandbox could not write it" if result.is_error else None

    return spill.bounded(content, call.id, write)
