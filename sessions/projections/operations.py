"""What the machinery did for a session, in sentences for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessions import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Payload = Mapping[str, Any]

ICONS: dict[str, str] = {
    ev.OPS_CALL_EDITED: "pencil-square",
    ev.OPS_PERMISSIONS: "shield-check",
    ev.OPS_ASSIGNED: "user",
    ev.OPS_WORKER_LOST: "exclamation-triangle",
    ev.OPS_OUTSIDE_STARTED: "server-stack",
    ev.OPS_OUTSIDE_LOST: "exclamation-triangle",
    ev.OPS_TAKEN_OVER: "arrow-path",
    ev.OPS_RETRY: "arrow-path",
    ev.OPS_RETRIED: "arrow-path",
    ev.OPS_PAUSED: "pause-circle",
    ev.OPS_RESUMED: "play",
    ev.OPS_FALLBACK: "arrow-path",
    ev.OPS_SANDBOX_RESTORED: "cube",
    ev.OPS_REPAIRED: "exclamation-triangle",
    ev.OPS_NO_ROOM: "exclamation-triangle",
    ev.OPS_FAILED: "exclamation-triangle",
    ev.OPS_LIMIT_REACHED: "exclamation-triangle",
    ev.OPS_OUTPUT_LEFT_OUT: "exclamation-triangle",
    ev.OPS_LIMITS_CHANGED: "check-circle",
    ev.OPS_REMINDER: "exclamation-triangle",
    ev.OPS_ONLY_TALK: "pause-circle",
    ev.OPS_REPOSITORY_READY: "code-bracket",
    ev.OPS_FORKED: "arrow-turn-down-right",
    ev.OPS_IMPORTED: "inbox",
    ev.OPS_CLEARED: "queue-list",
}


def sentence(event_type: str, payload: Payload) -> str:
    """One operator event as a sentence; empty for a type that has none, the bare type for one that lacks a field."""
    tell = SENTENCES.get(event_type)
    try:
        return tell(payload) if tell else ""
    except (KeyError, TypeError, ValueError):
        return event_type


def _checked_out(payload: Payload) -> str:
    commit = str(payload.get("commit") or "")[:12]
    told = f"{payload['url']} is in the sandbox" + (f" at {commit}" if commit else "")
    return f"{told}. {payload['note']}" if payload.get("note") else told


def _taken_over(payload: Payload) -> str:
    seconds = payload.get("seconds")
    return "Another worker took over" + (f" after {seconds:.1f} s" if seconds is not None else "")


def _retry(payload: Payload) -> str:
    return f"Try {payload['attempt']} of {payload['of']} in {payload['seconds']:g} s"


def _restored(payload: Payload) -> str:
    if payload.get("from"):
        return f"The session moved from {payload['from']} to {payload['to']}, where {_begun(payload)}"
    if payload.get("damaged_snapshot"):
        return "The sandbox was lost and its snapshot is damaged; it starts empty"
    if payload["origin"] == "restored":
        return "Sandbox restored from its last snapshot"
    return "The sandbox was lost and starts empty"


def _begun(payload: Payload) -> str:
    """How a sandbox began on another machine than the one that had it."""
    if payload.get("damaged_snapshot"):
        return (
            "its last snapshot is missing or damaged, so that its sandbox starts empty; "
            "do both machines share DATA_DIR/blobs?"
        )
    if payload["origin"] == "restored":
        return "its sandbox was restored from its last snapshot"
    return "its sandbox starts empty: there was no snapshot yet"


SENTENCES: dict[str, Callable[[Payload], str]] = {
    ev.OPS_CALL_EDITED: lambda payload: f"{payload['by']} changed the call of {payload['name']} before approving it",
    ev.OPS_PERMISSIONS: lambda payload: f"{payload['by']} changed this session's permission rules",
    ev.OPS_REPOSITORY_READY: _checked_out,
    ev.OPS_ASSIGNED: lambda payload: f"{payload['by']} passed the decision to {payload['to'] or 'everybody'}",
    ev.OPS_WORKER_LOST: lambda payload: "The worker of this session was lost",
    ev.OPS_OUTSIDE_STARTED: lambda payload: (
        f"The outside worker {payload['worker'] or 'without a name'} took the session"
    ),
    ev.OPS_OUTSIDE_LOST: lambda payload: f"{payload['cause']} {payload['retry']}",
    ev.OPS_TAKEN_OVER: _taken_over,
    ev.OPS_RETRY: _retry,
    ev.OPS_RETRIED: lambda payload: f"{payload['by']} asked for another try",
    ev.OPS_PAUSED: lambda payload: f"{payload['by']} paused the session",
    ev.OPS_RESUMED: lambda payload: f"{payload['by']} let the session go on",
    ev.OPS_FALLBACK: lambda payload: f"{payload['from']} failed for good; {payload['to']} is asked instead",
    ev.OPS_SANDBOX_RESTORED: _restored,
    ev.OPS_NO_ROOM: lambda payload: f"{payload['message']} It goes on by itself",
    ev.OPS_FAILED: lambda payload: f"Attempt {payload['times']} of 3 met an internal error: {payload['fault']}",
    ev.OPS_REPAIRED: lambda payload: "The session's rows did not agree with its log and were repaired",
    ev.OPS_LIMIT_REACHED: lambda payload: str(payload["message"]),
    ev.OPS_OUTPUT_LEFT_OUT: lambda payload: str(payload["message"]),
    ev.OPS_LIMITS_CHANGED: lambda payload: f"{payload['by']} changed this session's limits",
    ev.OPS_CLEARED: lambda payload: "Old results left the model's view; the log keeps them",
    ev.OPS_REMINDER: lambda payload: f"The agent was reminded: {payload['text']}",
    ev.OPS_ONLY_TALK: lambda payload: (
        f"Paused: it and {payload['with']} exchanged {payload['messages']} messages in a row and did nothing else"
    ),
    ev.OPS_FORKED: lambda payload: f"Forked: {payload['message']}",
    ev.OPS_IMPORTED: lambda payload: f"Imported: {payload['message']}",
}
