"""What a session's state is called: one table, read by pages, lists, filters and pushed fragments. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract.phrases import marked as _
from sessions import events as ev

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class State:
    """A state as people see it. ``colour`` names one of the five status hues; ``group`` is the filter
    of the session list that finds it. ``sentence`` says what is so and what to do.
    """

    key: str
    label: str
    sentence: str
    icon: str
    colour: str
    group: str


STATES: dict[str, State] = {
    state.key: state
    for state in (
        State("ready", _("Ready"), _("Nothing has run yet. Send a message to start."), "pause-circle", "quiet", "idle"),
        State("running", _("Working"), _("The agent is working."), "bolt", "working", "working"),
        State(
            "rescheduling",
            _("Trying again"),
            _("A model request failed and is tried again by itself."),
            "arrow-path",
            "working",
            "working",
        ),
        State("requires_action", _("Needs you"), _("The agent waits for an answer."), "hand-raised", "needs", "needs"),
        State(
            "worker",
            _("Waits for a worker"),
            _("A call waits for a worker of the session's environment; nobody has to answer."),
            "computer-desktop",
            "quiet",
            "worker",
        ),
        State(
            "paused",
            _("Paused"),
            _("An operator paused it between two steps. Resume it to go on."),
            "pause-circle",
            "quiet",
            "needs",
        ),
        State(
            "end_turn", _("Done"), _("The turn is finished. Send a message to go on."), "check-circle", "done", "done"
        ),
        State(
            "budget_reached",
            _("Limit reached"),
            _("The session stopped at its limit. Raise the limit to go on."),
            "exclamation-triangle",
            "needs",
            "needs",
        ),
        State(
            "retries_exhausted",
            _("Failed"),
            _("The turn ended after its last try. Try again, or send a message that helps the agent on."),
            "x-circle",
            "failed",
            "failed",
        ),
        State(
            "only_talk",
            _("Paused"),
            _("Two agents only write to each other. Let them go on under Team, or send a message."),
            "pause-circle",
            "needs",
            "failed",
        ),
        State(
            "refusal",
            _("Refused"),
            _("The model declined to answer. Send a different message."),
            "no-symbol",
            "failed",
            "failed",
        ),
        State("stopped", _("Stopped"), _("The agent waits for a message."), "pause-circle", "quiet", "idle"),
        State(
            "terminated",
            _("Ended"),
            _("An error ended this session. Start a new one."),
            "x-circle",
            "failed",
            "failed",
        ),
        State(
            "damaged",
            _("Damaged"),
            _("Its row in the database holds what nobody can read. Set that anew or restore it, then try again."),
            "exclamation-triangle",
            "failed",
            "failed",
        ),
        State("archived", _("Archived"), _("This session is read-only."), "archive-box", "quiet", "archived"),
    )
}

GROUPS: dict[str, str] = {
    "needs": _("Needs you"),
    "working": _("Working"),
    "worker": _("Waits for a worker"),
    "done": _("Done"),
    "failed": _("Failed"),
    "idle": _("Ready or stopped"),
    "archived": _("Archived"),
}


def state_of(
    status: str, stop_reason: Mapping[str, Any] | None, *, archived: bool, started: bool, outside: bool = False
) -> State:
    """The state of a session from its projected columns; ``started`` is true once its log has an entry.

    ``outside``: all calls that wait are for an outside worker to carry out, none for a person or a client.
    """
    if archived:
        return STATES["archived"]
    if status != "idle":
        return STATES.get(status, STATES["stopped"])
    if ev.is_paused(stop_reason):
        return STATES["paused"]
    if ev.only_talks(stop_reason):
        return STATES["only_talk"]
    if stop_reason and outside and stop_reason.get("type") == "requires_action":
        return STATES["worker"]
    if stop_reason:
        return STATES.get(str(stop_reason.get("type")), STATES["stopped"])
    return STATES["stopped" if started else "ready"]


def stop_reasons(group: str) -> list[str]:
    """The ``stop_reason`` types of idle sessions that a filter group holds."""
    return [key for key, state in STATES.items() if state.group == group and key not in _NOT_STOP_REASONS]


_NOT_STOP_REASONS = {
    *("worker", "paused", "only_talk", "ready", "stopped", "running", "rescheduling", "terminated", "archived"),
    "damaged",
}

# A thread's own status, and how an agent of a workflow ended.
OF_THREADS = {
    "running": _("running"),
    "idle": _("idle"),
    "rescheduling": _("waits for the next try"),
    "terminated": _("ended"),
    "done": _("done"),
    "failed": _("failed"),
}
