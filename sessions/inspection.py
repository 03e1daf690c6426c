"""What the inspector shows of a session: tools, files, threads, access, money. Bounded reads; counts are whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from agents.differences import text_diff
from agents.models import MemoryVersion
from credentials.models import AccessRecord
from sessions import caps, capwords, window
from sessions import events as ev
from sessions.models import Event, Resource, Session, Thread
from sessions.projections import changes, cost
from sessions.projections.columns import Usage
from sessions.projections.status import OF_THREADS

if TYPE_CHECKING:
    from datetime import datetime

    from django.utils.safestring import SafeString

REQUESTS = 2000
CALLS = 2000
MEMORIES = 20
LISTED = 200
LIVE_SECONDS = 15.0
CHART = (320.0, 64.0)

TOOLS = """
SELECT call.payload->>'name', count(*), count(answer.id),
       count(*) FILTER (WHERE (answer.payload->>'is_error')::boolean),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY took), max(took),
       coalesce(sum(coalesce(octet_length(answer.payload->>'content'), (answer.payload->>'$bytes')::int)), 0),
       max(call.seq)
FROM agent_sessions_event call
LEFT JOIN agent_sessions_event answer ON answer.session_id = call.session_id AND answer.seq > call.seq
  AND answer.type = ANY(%(results)s) AND call.id = coalesce(answer.payload->>'tool_use_id',
    answer.payload->>'mcp_tool_use_id', answer.payload->>'custom_tool_use_id')
CROSS JOIN LATERAL (SELECT coalesce((answer.private->>'duration_ms')::float / 1000,
    extract(epoch FROM answer.created_at - call.created_at)) AS took) timed
WHERE call.session_id = %(session)s AND call.type = ANY(%(calls)s) AND call.seq <= %(last)s
GROUP BY 1 ORDER BY 2 DESC LIMIT %(listed)s
"""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool's calls in a session. Times in seconds; ``size`` in bytes; ``last`` is the newest call's number."""

    name: str
    calls: int
    answered: int
    failures: int
    median: float | None
    longest: float | None
    size: int
    last: int


def tools(session: Session) -> list[ToolUse]:
    with connection.cursor() as cursor:
        cursor.execute(
            TOOLS,
            {
                "results": list(ev.RESULTS),
                "calls": list(ev.CALLS),
                "session": session.pk,
                "last": session.last_seq,
                "listed": LISTED,
            },
        )
        return [ToolUse(*row) for row in cursor.fetchall()]


def money(session: Session) -> dict[str, Any]:
    """Spending request by request, the line of the running total, and the caps that bound the session."""
    paid = Event.objects.filter(session=session, type__in=ev.SPENDING, private__has_key="usage")
    rows = paid.filter(seq__lte=session.last_seq)
    newest = rows.order_by("-seq").only("seq", "created_at", "private")[:REQUESTS]
    spent = cost.requests(cost.Spending(row.seq, row.created_at, row.private or {}) for row in reversed(newest))
    bounds = caps.overview(session)
    limit = limit_of(bounds)
    count = Usage.load(session.usage or {}).model_requests
    return {
        "requests": spent[-20:],
        "line": cost.line(spent, width=CHART[0], height=CHART[1], limit=limit),
        "limit": limit,
        "limit_y": _limit_y(spent, limit),
        "caps": [
            capwords.line(kind, cap["used"], cap, known=session.cost_known) for kind, cap in bounds["effective"].items()
        ],
        "request_count": count,
        "cut": len(spent) == REQUESTS and count > REQUESTS,
    }


def limit_of(bounds: dict[str, Any]) -> Decimal | None:
    """The money cap that applies, in dollars."""
    cap = bounds["effective"].get("list_cost")
    return Decimal(cap["limit"]) / 100 if cap else None


def _limit_y(spent: list[cost.Request], limit: Decimal | None) -> float | None:
    if limit is None or not spent:
        return None
    return round(CHART[1] - float(limit / max(limit, spent[-1].total)) * CHART[1], 1)


def written(session: Session) -> list[changes.Change]:
    """The changes of files that succeeded calls made, the newest ``CALLS`` of them; see ``changes``."""
    return changes.changes(writing_calls(session.pk))


def writing_calls(session_id: str) -> list[tuple[int, str, dict[str, Any]]]:
    """Seq, tool and input of the calls that wrote or edited a file, in order: those that succeeded, and as people
    may have changed them before they ran. The newest ``CALLS`` of them.
    """
    mine = Event.objects.filter(session=session_id)
    calls = mine.filter(type=ev.TOOL_USE, payload__name__in=window.WRITING_TOOLS)
    newest = list(reversed(calls.order_by("-seq").only("seq", "payload")[:CALLS]))
    if not newest:
        return []
    answers = mine.filter(type=ev.TOOL_RESULT, seq__gt=newest[0].seq)
    failed = dict(answers.values_list("payload__tool_use_id", "payload__is_error"))
    asked = any(row.payload.get("evaluated_permission") == "ask" for row in newest)
    edits = mine.filter(type=ev.OPS_CALL_EDITED).order_by("seq").only("payload") if asked else ()
    edited = {row.payload["tool_use_id"]: row.payload["input"] for row in edits}
    return [
        (row.seq, str(row.payload["name"]), edited.get(row.pk, row.payload.get("input") or {}))
        for row in newest
        if row.pk in failed and not failed[row.pk]
    ]


def resources(session: Session) -> dict[str, Any]:
    """Files written (a line a path), outputs, mounted resources, skills."""
    made = written(session)
    paths: dict[str, list[changes.Change]] = {}
    for change in made:
        paths.setdefault(change.path, []).append(change)
    mounted = Resource.objects.filter(session=session).select_related("file").order_by("created_at")
    return {
        "paths": [
            (path, len(all_of), sum(one.added for one in all_of), sum(one.removed for one in all_of))
            for path, all_of in list(paths.items())[-LISTED:]
        ],
        "outputs": window.outputs(session),
        "mounted": list(mounted[:LISTED]),
        "skills": session.agent_snapshot.get("skills") or [],
        "memories": memories(session),
    }


def memories(session: Session) -> list[tuple[MemoryVersion, SafeString]]:
    """What the session wrote to memory stores, newest first, each version with what it changed."""
    earlier = MemoryVersion.objects.filter(
        store=OuterRef("store"), memory_id=OuterRef("memory_id"), created_at__lt=OuterRef("created_at")
    )
    wrote = MemoryVersion.objects.filter(
        store__workspace=session.workspace_id, author_kind="session", author_id=session.pk
    ).annotate(before=Subquery(earlier.order_by("-created_at").values("content")[:1]))
    return [
        (one, text_diff((one.before or "").splitlines(), (one.content or "").splitlines()))
        for one in wrote.order_by("-created_at")[:MEMORIES]
    ]


def threads(session: Session) -> list[dict[str, Any]]:
    """Each thread with its state, what it used, and how much its last request sent to the model."""
    rows = list(Thread.objects.filter(session=session).order_by("created_at", "id")[:LISTED])
    ends = Event.objects.filter(session=session, type=ev.MODEL_END).order_by("thread_id", "-seq")
    last = dict(ends.distinct("thread_id").values_list("thread_id", "payload__model_usage"))
    return [
        {
            "thread": row,
            "state": OF_THREADS.get(row.status, row.status),
            "used": Usage.load(row.usage or {}),
            "context": _context(last.get(row.pk)),
        }
        for row in rows
    ]


def _context(used: dict[str, Any] | None) -> int:
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(int((used or {}).get(name) or 0) for name in names)


def access(session: Session) -> dict[str, Any]:
    """Secrets used and hosts asked for on this session's behalf."""
    uses = AccessRecord.objects.filter(session_id=session.pk, workspace_id=session.workspace_id)
    asked = Event.objects.filter(session=session, type=ev.OPS_NETWORK_REQUEST).order_by("-seq")
    return {
        "uses": list(uses.order_by("-created_at")[:LISTED]),
        "use_count": uses.count(),
        "asked": list(asked.values("seq", "created_at", "payload")[:LISTED]),
        "asked_count": asked.count(),
    }


@dataclass(frozen=True, slots=True)
class Pulse:
    """Whether somebody works on a session that should be worked on: ``beats``, or since when nobody does."""

    beats: bool
    since: datetime | None


def pulse(session: Session) -> Pulse | None:
    """None for a session that nobody needs to work on now."""
    if session.status != "running":
        return None
    running = Thread.objects.filter(session=session, status="running")
    expiry = max((row for row in running.values_list("lease_expires", flat=True) if row), default=None)
    if expiry is None:
        return Pulse(beats=False, since=session.updated_at)
    renewed = expiry - timedelta(seconds=float(settings.HOLDFAST_LEASE_SECONDS))
    return Pulse(beats=(timezone.now() - renewed).total_seconds() < LIVE_SECONDS, since=renewed)
