"""Who did a thing (a kind), and what time was spent on (a phase): the tables behind every colour and legend. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sessions import events as ev


@dataclass(frozen=True, slots=True)
class Kind:
    """``key`` is the ``k-…`` class of the style sheet, ``label`` its word in the legend."""

    key: str
    label: str


KINDS = (
    Kind("model", "Model"),
    Kind("tool", "Tool"),
    Kind("person", "Person"),
    Kind("memory", "Memory"),
    Kind("system", "System"),
    Kind("failed", "Error"),
)


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a bar of the waterfall; ``key`` is its ``p-…`` class, ``says`` what passes in it."""

    key: str
    label: str
    says: str


PHASES = (
    Phase("queue", "Queued", "A message waits until the agent reads it"),
    Phase("provision", "Sandbox", "The sandbox is being made ready"),
    Phase("first", "First token", "The model has the request and has not begun to answer"),
    Phase("model", "Model", "The model writes its answer"),
    Phase("tool", "Tool", "A tool runs"),
    Phase("wait", "Waiting for a person", "A call waits for an answer"),
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


def kind_of(event_type: str) -> str:
    """The kind of an event; what isn't known is the system's."""
    return _KIND_OF.get(event_type, "system")


def types_of(kind: str) -> list[str]:
    """The event types of a kind that isn't the system's."""
    return [event_type for event_type, its in _KIND_OF.items() if its == kind]
