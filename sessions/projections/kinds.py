"""Who did a thing (a kind), and what time was spent on (a phase): the tables behind every colour and legend. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from contract.phrases import marked as _
from sessions import events as ev


@dataclass(frozen=True, slots=True)
class Kind:
    """``key`` is the ``k-…`` class of the style sheet, ``label`` its word in the legend."""

    key: str
    label: str


KINDS = (
    Kind("model", _("Model")),
    Kind("tool", _("Tool")),
    Kind("person", _("Person")),
    Kind("memory", _("Memory")),
    Kind("system", _("System")),
    Kind("failed", _("Error")),
)


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a bar of the waterfall; ``key`` is its ``p-…`` class, ``says`` what passes in it."""

    key: str
    label: str
    says: str


PHASES = (
    Phase("queue", _("Queued"), _("A message waits until the agent reads it")),
    Phase("provision", _("Sandbox"), _("The sandbox is being made ready")),
    Phase("first", _("First token"), _("The model has the request and has not begun to answer")),
    Phase("model", _("Model"), _("The model writes its answer")),
    Phase("tool", _("Tool"), _("A tool runs")),
    Phase("wait", _("Waiting for a person"), _("A call waits for an answer")),
)

_KIND_OF = {
    ev.USER_MESSAGE: "person",
    ev.USER_INTERRUPT: "person",
    ev.USER_TOOL_CONFIRMATION: "person",
    ev.SYSTEM_MESSAGE: "system",
    ev.AGENT_MESSAGE: "model",
    ev.AGENT_THINKING: "model",
    ev.MODEL_START: "model",
    ev.MODEL_END: "model",
    ev.SESSION_ERROR: "failed",
    ev.STATUS_TERMINATED: "failed",
    **dict.fromkeys(ev.CALLS, "tool"),
    **dict.fromkeys(ev.RESULTS, "tool"),
}


def types_of(kind: str) -> list[str]:
    """The event types of a kind that isn't the system's."""
    return [event_type for event_type, its in _KIND_OF.items() if its == kind]
