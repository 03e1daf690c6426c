"""The one place where a session becomes HTML: the page is made of these fragments, and so is every push.

A push is ``{"target", "swap", "content"}``. New rows go into ``#log`` by ``upsert`` (a row that is
already there is replaced, so a repeated frame changes nothing); everything else an event changes
travels in the same content as ``<hx-partial>`` elements. What a role may not do is hidden by the
page around the fragments, since one rendering serves every reader.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from agents.models import Agent
from contract.roles import Permission, may
from sessions import caps, capwords, figures, inspection, limitpage, overview, progress, raising, window
from sessions import events as ev
from sessions.projections import transcript
from sessions.projections.columns import Usage
from sessions.system import state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from contract.acting import Acting
    from sessions.models import Event, Session
    from sessions.projections.transcript import Row

INTO_LOG = {"target": "#log", "swap": "upsert key:data-seq"}
RESTING = {"done", "failed", "archived"}  # groups of states in which the clocks stand still
STATE_TYPES = frozenset(
    {
        *ev.CALLS,
        *ev.RESULTS,
        ev.MODEL_START,
        ev.MODEL_END,
        ev.OPS_PACED,
        ev.OPS_ASKED,
        ev.STATUS_RUNNING,
        ev.STATUS_IDLE,
        ev.STATUS_RESCHEDULED,
        ev.STATUS_TERMINATED,
        ev.SESSION_UPDATED,
        ev.OPS_PAUSED,
        ev.OPS_RESUMED,
        ev.OPS_LIMITS_CHANGED,
    }
)
OUTPUT_TYPES = frozenset({ev.TOOL_RESULT, ev.STATUS_IDLE})
NO_PREVIEW = frozenset({ev.MODEL_END, ev.STATUS_IDLE, ev.STATUS_TERMINATED})


def event_frames(event: Event, session: Session, view: str = "") -> list[dict[str, str]]:
    """What an entry of the log changes on the session's page: no frame or one, whole in itself.

    ``session`` is read after the event was appended. ``view``: ``thread`` for the page of the event's own thread,
    ``head`` for readings of which only the header is pushed.
    """
    if view == "head":
        state = _state_partials(session) if event.type in STATE_TYPES else ""
        return [{**INTO_LOG, "content": str(state)}] if state else []
    if not event.on_session and view != "thread":
        return []
    content = SafeString("")
    row = transcript.row_of(event)
    if row is not None:
        content += rows_html([row] if view == "thread" else window.named([row]))
    elif event.type in transcript.ANSWER_TYPES:
        content += _answered(event)
    if event.type in NO_PREVIEW:
        content += partial("#log > .streaming", "delete", SafeString(""))
    if event.type in STATE_TYPES:
        content += _state_partials(session)
    if event.type in OUTPUT_TYPES:
        content += partial("#side-outputs", "innerMorph", outputs_html(session))
    if event.type == ev.TOOL_USE and event.payload.get("name") in window.WRITING_TOOLS:
        content += partial("#side-touched", "innerMorph", touched_html(session))
    if event.type == ev.STATUS_TERMINATED:
        content += partial("#composer", "outerHTML", closed_html(session))
    return [{**INTO_LOG, "content": str(content)}] if content else []


def delta_frame(frame: dict[str, Any]) -> dict[str, str] | None:
    """Text that is not on the log yet: a row at the start, then more text in it.

    The finished ``agent.message`` replaces the row, since it bears the same id.
    """
    if frame.get("type") == "event_start":
        event = frame["event"]
        kind = "thinking" if event["type"] == ev.AGENT_THINKING else "agent"
        html = render_to_string("sessions/parts/streaming.html", {"id": event["id"], "kind": kind})
        return {**INTO_LOG, "content": html}
    if frame.get("type") == "event_delta":
        text = frame["delta"]["content"].get("text", "")
        content = partial(f"#t-{frame['event_id']}", "beforeend", format_html("{}", text))
        return {**INTO_LOG, "content": str(content)}
    return None


def inbox_frames(acting: Acting, zone: ZoneInfo) -> list[dict[str, str]]:
    """The overview's live parts of the caller's workspace."""
    context = overview.context(acting, zone)
    return [_fragment(name, f"sessions/parts/overview_{name}.html", context) for name in overview.PARTS]


def system_frames(acting: Acting) -> list[dict[str, str]]:
    """The system page's live parts."""
    context = {**state.context(acting), "operates": may(acting.role, Permission.OPERATE)}
    return [_fragment(name, f"system/parts/{name}.html", context) for name in state.PARTS]


def limits_frames(acting: Acting) -> list[dict[str, str]]:
    """The live parts of the page of limits."""
    return [_fragment("limits", "limits/now.html", limitpage.context(acting))]


def _fragment(name: str, template: str, context: dict[str, Any]) -> dict[str, str]:
    return {"target": f"#{name}", "swap": "innerMorph", "content": render_to_string(template, context)}


def agent_frames(agent_ids: Sequence[str], acting: Acting) -> list[dict[str, str]]:
    """The figures of those of the agents that are in the caller's workspace."""
    mine = Agent.objects.filter(pk__in=agent_ids, workspace_id=acting.workspace_id)
    known = figures.of_agents(list(mine.values_list("pk", flat=True)))
    return [
        {
            "target": f"#figures-{agent_id}",
            "swap": "outerMorph",
            "content": render_to_string("agents/figures.html", {"agent": {"id": agent_id}, "figures": found}),
        }
        for agent_id, found in known.items()
    ]


def partial(target: str, swap: str, content: SafeString) -> SafeString:
    """Content for another place than the frame's own; nothing happens if that place isn't on the page."""
    return format_html('<hx-partial hx-target="{}" hx-swap="{}">{}</hx-partial>', target, swap, content)


def row_html(row: Row, *, chosen: bool = False) -> SafeString:
    return _template("sessions/parts/row.html", {"row": row, "chosen": chosen})


def rows_html(rows: list[Row], chosen: str = "") -> SafeString:
    """The inside of ``#log``; the row with the id ``chosen`` is marked."""
    return format_html_join("", "{}", ((row_html(row, chosen=row.id == chosen),) for row in rows))


def state_html(session: Session) -> SafeString:
    """The inside of ``#state-now``: pill, sentence, current action, interrupt."""
    shown, note = overview.state_for(session), raising.standing(session)
    if note is not None and shown.key == "budget_reached":
        shown = replace(shown, sentence=capwords.stopped_at(note))
    context = {"session": session, "state": shown, "action": window.current_action(session)}
    context["raise"] = raising.offer(session, note)
    context["place"] = None if context["action"] else progress.queue_place(session)
    return _template("sessions/parts/state.html", context)


def numbers_html(session: Session) -> SafeString:
    """The inside of ``#numbers``: time, tokens, money."""
    return _template("sessions/parts/numbers.html", numbers(session))


def outputs_html(session: Session) -> SafeString:
    """The inside of ``#side-outputs``: files the session made."""
    context = {"session": session, "outputs": window.outputs(session)}
    return _template("sessions/parts/side_outputs.html", context)


def touched_html(session: Session) -> SafeString:
    """The inside of ``#side-touched``: paths that write and edit calls named."""
    context = {"touched": window.touched_files(session)}
    return _template("sessions/parts/side_touched.html", context)


def closed_html(session: Session) -> SafeString:
    """What stands in the composer's place once a session takes no more messages."""
    return _template("sessions/parts/closed.html", {"session": session})


def numbers(session: Session) -> dict[str, Any]:
    """Time, tokens and money of a session. ``since`` is set while it runs, so that a script can count on.

    ``elapsed`` and ``waiting`` are as of the last change; scripts count on from there too, unless it is
    ``over``: then it waits for nothing, though a message may start it again.
    """
    used = Usage.load(session.usage or {})
    since: datetime | None = session.running_since
    until = since or session.ended_at or session.updated_at
    elapsed = max(0.0, (until - session.created_at).total_seconds())
    limit = inspection.limit_of(caps.overview(session)) if session.cost_known else None
    return {
        "session": session,
        "over": overview.state_for(session).group in RESTING,
        "elapsed": elapsed,
        "waiting": max(0.0, elapsed - session.active_seconds),
        "seconds": session.active_seconds,
        "since": since,
        "tokens_in": used.input_tokens + used.cache_read_input_tokens + used.cache_creation_5m + used.cache_creation_1h,
        "tokens_out": used.output_tokens,
        "used": used,
        "limit": limit,
        "share": min(100, round(session.cost / limit * 100)) if limit else 100,
    }


def _state_partials(session: Session) -> SafeString:
    return partial("#state-now", "innerMorph", state_html(session)) + partial(
        "#numbers", "innerMorph", numbers_html(session)
    )


def _answered(event: Event) -> SafeString:
    """The decision and the result of the call that ``event`` answers; the rest of its row stays as it is."""
    row = window.call_row(event)
    if row is None:
        return SafeString("")
    slots = ((partial(f"#{name[0]}-{row.id}", "outerHTML", _slot(name, row)),) for name in ("decision", "result"))
    return format_html_join("", "{}", slots)


def _slot(name: str, row: Row) -> SafeString:
    return _template(f"sessions/parts/{name}.html", {"row": row})


def _template(name: str, context: dict[str, Any]) -> SafeString:
    """A part of ours, without the space around it: what is pushed must equal what is loaded."""
    return mark_safe(render_to_string(name, context).strip())  # noqa: S308  our own template escapes
