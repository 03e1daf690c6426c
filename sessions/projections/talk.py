"""Whether two agents only talk to each other: messages back and forth with no work between them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessions import events as ev
from sessions.projections import tasks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sessions.events import Entry

REMIND_AFTER = 8
PAUSE_AFTER = 16
WORK = frozenset(
    {ev.TOOL_RESULT, ev.MCP_TOOL_RESULT, ev.USER_CUSTOM_TOOL_RESULT, ev.USER_MESSAGE, ev.OPS_RETRIED, *tasks.TYPES}
)
RELEVANT = (ev.MESSAGE_SENT, *sorted(WORK))

REMINDER = (
    "You and {name} have exchanged {count} messages in a row and neither of you has done anything else. Decide and "
    "act, or end your turn."
)
PAUSED = (
    "The message was not sent: you and {name} have exchanged {count} messages in a row and neither of you has done "
    "anything else. Your turn pauses here; a person is asked to decide."
)


def exchanged(newest_first: Iterable[Entry], one: str, other: str) -> int:
    """How many messages threads ``one`` and ``other`` have exchanged since either last did some work.

    ``newest_first``: entries of both threads, of the ``RELEVANT`` types. A person's message counts as work.
    """
    count = 0
    for entry in newest_first:
        if entry.type in WORK:
            return count
        if {entry.thread_id, entry.payload.get("to_session_thread_id")} == {one, other}:
            count += 1
    return count
