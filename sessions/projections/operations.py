"""What the machinery did for a session, in sentences for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.phrases import Told
from contract.phrases import marked as _
from contract.plain import clean
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
    ev.OPS_UNATTENDED: "clock",
    ev.OPS_RETRY: "arrow-path",
    ev.OPS_PACED: "clock",
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
        return tell(payload).mapped(clean) if tell else ""
    except ev.UNREADABLE:
        return event_type


def _by(phrase: str, *names: str) -> Callable[[Payload], Told]:
    """A phrase whose parameters are fields of the payload."""
    return lambda payload: Told(phrase, **{name: payload[name] for name in names})


def _checked_out(payload: Payload) -> Told:
    commit = str(payload.get("commit") or "")[:12]
    told = Told(_("%(url)s is in the sandbox"), url=payload["url"])
    if commit:
        told = Told(_("%(url)s is in the sandbox at %(commit)s"), url=payload["url"], commit=commit)
    return Told("%(told)s. %(note)s", told=told, note=payload["note"]) if payload.get("note") else told


def _taken_over(payload: Payload) -> Told:
    seconds = payload.get("seconds")
    if payload.get("from") and payload["from"] == payload.get("by"):
        return Told(_("The same worker took it up again"))  # after a fault, or once it had lost the database
    if seconds is None:
        return Told(_("Another worker took over"))
    if silent := payload.get("silent_seconds"):
        phrase = _(
            "Another worker took over: the one before had not been heard of for %(silent)s s, its lease was over"
        )
        return Told(phrase, silent=f"{silent:.1f}")
    return Told(_("Another worker took over after %(seconds)s s"), seconds=f"{seconds:.1f}")


def _unattended(payload: Payload) -> Told:
    seconds = round(payload["seconds"])
    if seconds < 120:
        return Told(_("No worker had this for %(seconds)s s; that is no running time"), seconds=seconds)
    hours, minutes = divmod(round(seconds / 60), 60)
    return Told(
        _("No worker had this for %(hours)s h %(minutes)s min; that is no running time"), hours=hours, minutes=minutes
    )


def _retry(payload: Payload) -> Told:
    phrase = _("Try %(attempt)s of %(of)s in %(seconds)s s")
    return Told(phrase, attempt=payload["attempt"], of=payload["of"], seconds=f"{payload['seconds']:g}")


def _paced(payload: Payload) -> Told:
    seconds = payload["seconds"]
    if seconds is None:
        return Told(_("Waits for the model server's pace: as many requests as it takes are under way"))
    phrase = _("Waits for the model server's pace: it asked for a pause, up to %(seconds)s s more")
    return Told(phrase, seconds=max(1, round(seconds)))


def _restored(payload: Payload) -> Told:
    if payload.get("from"):
        return Told(_begun(payload), old=payload["from"], new=payload["to"])
    if payload.get("earlier_snapshot"):
        phrase = _("The sandbox was lost and its last snapshot is damaged; restored from an earlier one, event %(seq)s")
        return Told(phrase, seq=payload["earlier_snapshot"])
    if payload.get("damaged_snapshot"):
        return Told(_("The sandbox was lost and its snapshot is damaged; it starts empty"))
    if payload["origin"] == "restored":
        return Told(_("Sandbox restored from its last snapshot"))
    return Told(_("The sandbox was lost and starts empty"))


def _begun(payload: Payload) -> str:
    """How a sandbox began on another machine than the one that had it."""
    if payload.get("earlier_snapshot"):
        return _(
            "The session moved from %(old)s to %(new)s, where its last snapshot is missing or damaged, so that its "
            "sandbox was restored from an earlier one; do both machines share DATA_DIR/blobs?"
        )
    if payload.get("damaged_snapshot"):
        return _(
            "The session moved from %(old)s to %(new)s, where its last snapshot is missing or damaged, so that its "
            "sandbox starts empty; do both machines share DATA_DIR/blobs?"
        )
    if payload["origin"] == "restored":
        return _("The session moved from %(old)s to %(new)s, where its sandbox was restored from its last snapshot")
    return _("The session moved from %(old)s to %(new)s, where its sandbox starts empty: there was no snapshot yet")


def _outside(payload: Payload) -> Told:
    if not payload["worker"]:
        return Told(_("An outside worker without a name took the session"))
    return Told(_("The outside worker %(worker)s took the session"), worker=payload["worker"])


def _assigned(payload: Payload) -> Told:
    if not payload["to"]:
        return Told(_("%(by)s passed the decision to everybody"), by=payload["by"])
    return Told(_("%(by)s passed the decision to %(to)s"), by=payload["by"], to=payload["to"])


SENTENCES: dict[str, Callable[[Payload], Told]] = {
    ev.OPS_CALL_EDITED: _by(_("%(by)s changed the call of %(name)s before approving it"), "by", "name"),
    ev.OPS_PERMISSIONS: _by(_("%(by)s changed this session's permission rules"), "by"),
    ev.OPS_REPOSITORY_READY: _checked_out,
    ev.OPS_ASSIGNED: _assigned,
    ev.OPS_WORKER_LOST: _by(_("The worker of this session was lost")),
    ev.OPS_OUTSIDE_STARTED: _outside,
    ev.OPS_OUTSIDE_LOST: _by("%(cause)s %(retry)s", "cause", "retry"),
    ev.OPS_TAKEN_OVER: _taken_over,
    ev.OPS_UNATTENDED: _unattended,
    ev.OPS_RETRY: _retry,
    ev.OPS_PACED: _paced,
    ev.OPS_RETRIED: _by(_("%(by)s asked for another try"), "by"),
    ev.OPS_PAUSED: _by(_("%(by)s paused the session"), "by"),
    ev.OPS_RESUMED: _by(_("%(by)s let the session go on"), "by"),
    ev.OPS_FALLBACK: _by(_("%(from)s failed for good; %(to)s is asked instead"), "from", "to"),
    ev.OPS_SANDBOX_RESTORED: _restored,
    ev.OPS_NO_ROOM: _by(_("%(message)s It goes on by itself"), "message"),
    ev.OPS_FAILED: _by(_("Attempt %(times)s of 3 met an internal error: %(fault)s"), "times", "fault"),
    ev.OPS_REPAIRED: _by(_("The session's rows did not agree with its log and were repaired")),
    ev.OPS_LIMIT_REACHED: _by("%(message)s", "message"),
    ev.OPS_OUTPUT_LEFT_OUT: _by("%(message)s", "message"),
    ev.OPS_LIMITS_CHANGED: _by(_("%(by)s changed this session's limits"), "by"),
    ev.OPS_CLEARED: _by(_("Old results left the model's view; the log keeps them")),
    ev.OPS_REMINDER: _by(_("The agent was reminded: %(text)s"), "text"),
    ev.OPS_ONLY_TALK: _by(
        _("Paused: it and %(with)s exchanged %(messages)s messages in a row and did nothing else"), "with", "messages"
    ),
    ev.OPS_FORKED: _by(_("Forked: %(message)s"), "message"),
    ev.OPS_IMPORTED: _by(_("Imported: %(message)s"), "message"),
}
