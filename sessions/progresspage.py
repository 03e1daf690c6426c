"""What the inspector's tab of progress shows: the API's answer in the words, clocks and bars of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract.phrases import marked as _
from sessions import capwords, headlines, overview
from sessions import events as ev
from sessions.progress import answer, followed
from sessions.projections.status import OF_THREADS, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sessions.models import Session
    from sessions.projections.progress import Progress, Turn, Underway

SHOWN_TURNS = 20
TIMES = (
    ("model", _("Model"), "k-model"),
    ("tools", _("Tools"), "k-tool"),
    ("people", _("Waited for people"), "k-person"),
    ("limits", _("Stood at a limit"), "k-failed"),
    ("retries", _("Waited to try again"), "k-memory"),
    ("turn", _("Waited for a turn"), "k-system"),
    ("pace", _("Waited for the model server's pace"), "k-memory"),
)
RARE = frozenset({"limits", "retries", "turn", "pace"})  # shown once there was some
LEAST = 0.5  # percent of the bar of time below which a stretch can't be seen


@dataclass(frozen=True, slots=True)
class Now:
    """One thing under way. ``call`` is empty for a model request; ``waits_for`` as in ``Underway``."""

    seq: int
    call: str
    since: datetime
    waits_for: str | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A kind of time, and where it lies on a bar 100 wide."""

    label: str
    colour: str
    seconds: float
    x: float
    width: float


def read(session: Session) -> dict[str, Any]:
    """``told`` is the API's answer, the rest is drawn from it."""
    with followed(session.pk) as folded:
        told = answer(session, folded)
        now = [_now(one) for one in folded.underway]
        turns = [_turn(turn) for turn in folded.turns[: -SHOWN_TURNS - 1 : -1]]
        phases = _phases(folded)
    return {
        "told": told,
        "state": overview.state_for(session),
        "now": now,
        "lines": _lines(told),
        "times": _times(told["seconds"]),
        "turns": turns,
        "turn_count": len(told["turns"]),
        "phases": phases,
    }


def _now(one: Underway) -> Now:
    payload = one.entry.payload
    is_call = one.entry.type != ev.MODEL_START
    call = headlines.of_call(str(payload.get("name", "")), payload.get("input") or {}) if is_call else ""
    return Now(one.entry.seq, call, one.since, one.waits_for)


def _turn(turn: Turn) -> dict[str, Any]:
    state = STATES.get(turn.stop or "running", STATES["stopped"])
    seconds = None if turn.ended_at is None else (turn.ended_at - turn.began_at).total_seconds()
    return {"turn": turn, "state": state, "seconds": seconds}


def _phases(folded: Progress) -> list[dict[str, Any]]:
    return [
        {
            "phase": phase,
            "state": OF_THREADS["running" if phase.ended_at is None else "done"],
            "seconds": None if phase.ended_at is None else (phase.ended_at - phase.began_at).total_seconds(),
        }
        for phase in folded.phases.values()
    ]


def _lines(told: Mapping[str, Any]) -> list[capwords.Line]:
    """What is counted of every session, and what else is limited."""
    used: dict[str, Any] = {
        "steps": told["steps"],
        "model_requests": told["model_requests"],
        "tokens": told["tokens"],
        "list_cost": told["usage"]["list_cost"]["amount"],
        "running_seconds": told["seconds"]["active"],
    }
    used |= {kind: cap["used"] for kind, cap in told["limits"].items() if kind not in used}
    known, caps = told["cost_known"], told["limits"]
    return [capwords.line(kind, value, caps.get(kind), known=known) for kind, value in used.items()]


def _times(seconds: Mapping[str, Any]) -> list[Stretch]:
    spent = {"model": seconds["model"], "tools": seconds["tools"], **seconds["waiting"]}
    whole, at, found = sum(spent.values()), 0.0, []
    for kind, label, colour in TIMES:
        if not spent[kind] and kind in RARE:
            continue
        width = spent[kind] * 100 / whole if whole else 0.0
        found.append(Stretch(label, colour, spent[kind], at, width if width >= LEAST else 0.0))
        at += width
    return found
