"""The list of sessions: one page of lines, and how they change while somebody looks.

A page is read by key (``created_at``, ``id``), never by counting rows; what a line needs besides its row is asked for
all lines at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.template.loader import render_to_string

from agents.models import AgentVersion
from contract.errors import InvalidRequest
from contract.pages import paginate
from contract.phrases import Told
from contract.phrases import marked as _
from contract.roles import Permission, may
from contract.schema import OURS
from sessions import events as ev
from sessions import filters, headlines, overview, search
from sessions.harness.limits import Caps
from sessions.models import Event, Session
from sessions.projections.columns import Usage, budget_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from django.db.models import QuerySet

    from contract.acting import Acting
    from contract.pages import Page
    from sessions.projections.status import State
    from sessions.search import Hit

PAGE_SIZE = 50
LOOKED_BACK = 40  # entries among which a session's last step is looked for
MOST_NEW = 99
LATEST_COMMIT = timedelta(seconds=10)  # how much later than its moment a change may be seen
STEPS = (*ev.CALLS, ev.AGENT_MESSAGE, ev.USER_MESSAGE, ev.SESSION_ERROR)

# Of an input only the beginnings that a headline may show: a whole file may be in it.
LAST_STEPS = """
SELECT s.id, e.id, e.type, e.payload->>'name', left(coalesce(e.payload->'content'->0->>'text',
         e.payload->'error'->>'message'), 160), e.input, e.payload ? '$sealed'
FROM agent_sessions_session s CROSS JOIN LATERAL (
  SELECT id, type, payload, (SELECT jsonb_object_agg(key, left(value, 200))
      FROM jsonb_each_text(CASE WHEN jsonb_typeof(payload->'input') = 'object' THEN payload->'input' END)
      WHERE key IN ('command', 'file_path', 'path', 'pattern', 'url', 'query')) AS input
  FROM agent_sessions_event
  WHERE session_id = s.id AND seq > s.last_seq - %(back)s AND type = ANY(%(types)s)
  ORDER BY seq DESC LIMIT 1) e
WHERE s.id = ANY(%(ids)s)
"""


WORDLESS = {ev.USER_MESSAGE: Told(_("A message")), ev.SESSION_ERROR: Told(_("An error"))}


@dataclass(frozen=True, slots=True)
class Step:
    """The last thing that a session's log tells of, in a line, and its entry."""

    text: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the list. Times in seconds, money in dollars; ``share`` is of ``limit``, in percent.

    ``hit``: the entry that answers the search, if it was an entry.
    """

    session: Session
    state: State
    tokens: int
    waiting: float
    limit: Decimal | None
    step: Step | None
    hit: Hit | None

    @property
    def share(self) -> int:
        return min(100, round(self.session.cost / self.limit * 100)) if self.limit else 0

    @property
    def by(self) -> str:
        session = self.session
        if session.created_by is not None:
            return session.created_by.get_username()
        return "API key" if session.created_by_key else ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the list. ``cut``: the search found more than it looked at; ``partial``: some lay sealed."""

    lines: list[Line]
    newer: str | None
    older: str | None
    cut: bool
    partial: bool


def page(wanted: Mapping[str, str], cursor: str | None, zone: ZoneInfo, acting: Acting) -> Listed:
    """The lines of one page, the newest sessions first; of the first page for a cursor that is none of this list."""
    found = search.in_logs(wanted["q"], acting.workspace_id) if "q" in wanted else None
    shown = _paged(filters.narrowed(_mine(acting), wanted, found, zone), cursor)
    sessions = _whole(shown.rows, acting)
    hits: dict[str, Hit] = {}
    if found is not None:
        here = [found.events[row.pk] for row in sessions if row.pk in found.events]
        hits = {hit.session.pk: hit for hit in search.hits(here, wanted["q"], sessions)} if here else {}
    cut, partial = (found.cut, found.sealed) if found is not None else (False, False)
    return Listed(lines(sessions, hits), shown.prev_page, shown.next_page, cut, partial)


def _paged(rows: QuerySet[Session], cursor: str | None) -> Page[Session]:
    try:
        return paginate(rows, kind="sessions", fields=("created_at", "id"), limit=PAGE_SIZE, page=cursor)
    except InvalidRequest:
        return _paged(rows, None)


def _mine(acting: Acting) -> QuerySet[Session]:
    """Only what a page is cut by: whatever the planner makes of the filters, it sorts narrow rows."""
    return Session.objects.filter(workspace_id=acting.workspace_id).only("id", "created_at")


def _whole(shown: Sequence[Session], acting: Acting) -> list[Session]:
    """The rows of a page in its order, with what their lines show."""
    rows = {row.pk: row for row in _rows(acting).filter(pk__in=[one.pk for one in shown])} if shown else {}
    return [rows[one.pk] for one in shown if one.pk in rows]


def _rows(acting: Acting) -> QuerySet[Session]:
    rows = Session.listed("agent_snapshot", "metadata", "permission_rules", "remembered_rules", "outcomes")
    return rows.filter(workspace_id=acting.workspace_id).defer("sandbox_config").select_related("agent", "created_by")


def lines(sessions: Sequence[Session], hits: Mapping[str, Hit] | None = None) -> list[Line]:
    """What is shown of sessions. Two queries for all of them."""
    if not sessions:
        return []
    steps, limits = _steps([session.pk for session in sessions]), _limits(sessions)
    return [_line(session, steps, limits, hits or {}) for session in sessions]


def _line(session: Session, steps: Mapping[str, Step], limits: Mapping[str, Decimal], hits: Mapping[str, Hit]) -> Line:
    until = session.running_since or session.ended_at or session.updated_at
    elapsed = max(0.0, (until - session.created_at).total_seconds())
    return Line(
        session,
        overview.state_for(session),
        Usage.load(session.usage or {}).tokens,
        max(0.0, elapsed - session.active_seconds),
        limits.get(session.pk) if session.cost_known else None,
        steps.get(session.pk),
        hits.get(session.pk),
    )


def _limits(sessions: Iterable[Session]) -> dict[str, Decimal]:
    """The tightest cap of money on each session, where there is one. One query."""
    current = AgentVersion.objects.filter(
        agent__in={session.agent_id for session in sessions}, version=F("agent__version")
    )
    stored = {
        agent: (of_agent or {}, of_workspace or {})
        for agent, of_agent, of_workspace in current.values_list(
            "agent_id", f"spec__{OURS}__limits", "agent__workspace__limits"
        )
    }
    found = {}
    for session in sessions:
        of_agent, of_workspace = stored.get(session.agent_id, ({}, {}))
        levels = (settings.HOLDFAST_LIMITS, of_workspace, of_agent, session.limits)
        cap = Caps(tuple(("", one) for one in levels)).tightest("list_cost")
        known = [Decimal(cap[1]) / 100] if cap else []
        budget = budget_dollars(session.budget)
        known += [budget] if budget is not None else []
        if known and min(known) > 0:
            found[session.pk] = min(known)
    return found


def _steps(ids: list[str]) -> dict[str, Step]:
    with connection.cursor() as cursor:
        cursor.execute(LAST_STEPS, {"ids": ids, "types": list(STEPS), "back": LOOKED_BACK})
        rows = cursor.fetchall()
    sealed = [row[1] for row in rows if row[6]]
    opened = Event.objects.defer("words", "private").in_bulk(sealed) if sealed else {}
    return {row[0]: Step(_sealed(opened[row[1]]) if row[1] in opened else _words(*row[2:6]), row[1]) for row in rows}


def _sealed(event: Event) -> str:
    """The same of an entry that the database can't read."""
    payload = event.payload
    blocks = payload.get("content") or [{}]
    text = blocks[0].get("text") or (payload.get("error") or {}).get("message")
    return _words(event.type, payload.get("name"), str(text or "")[:160], payload.get("input"))


def _words(kind: str, name: str | None, text: str | None, given: Any) -> str:
    if kind in ev.CALLS:
        told = json.loads(given) if isinstance(given, str) else given
        return headlines.of_call(name or "", told or {})
    return " ".join((text or "").split()) or WORDLESS.get(kind, "")


@dataclass(slots=True)
class Live:
    """A page of the list that somebody looks at since ``at``: its rows stay where they are, and are told anew."""

    wanted: dict[str, str]
    cursor: str | None
    at: datetime
    zone: ZoneInfo
    ids: list[str] = field(default_factory=list)
    since: datetime | None = None
    told: dict[str, datetime] = field(default_factory=dict)  # when each row was changed as it was sent last
    new: int = 0

    def frames(self, acting: Acting) -> list[dict[str, str]]:
        """Rows that changed since the last look, and how many sessions came that the list would show now."""
        return [*self._changed(acting), *self._newer(acting)]

    def _changed(self, acting: Acting) -> list[dict[str, str]]:
        if self.since is None:
            self._begin(acting)
        after = (self.since or self.at) - LATEST_COMMIT
        rows = _rows(acting).filter(pk__in=self.ids, updated_at__gt=after) if self.ids else ()
        changed = [row for row in rows if self.told.get(row.pk, self.at) < row.updated_at]
        if not changed:
            return []
        self.told |= {session.pk: session.updated_at for session in changed}
        self.since = max(self.told.values())
        operates = may(acting.role, Permission.OPERATE)
        html = "".join(
            render_to_string("sessions/parts/list_row.html", {"line": line, "operates": operates}).strip()
            for line in lines(changed)
        )
        return [{"target": "#rows", "swap": "upsert", "content": html}]

    def _begin(self, acting: Acting) -> None:
        found = search.in_logs(self.wanted["q"], acting.workspace_id) if "q" in self.wanted else None
        rows = filters.narrowed(_mine(acting), self.wanted, found, self.zone).filter(created_at__lte=self.at)
        shown = _paged(rows, self.cursor)
        self.ids, self.since = [row.pk for row in shown.rows], self.at

    def _newer(self, acting: Acting) -> list[dict[str, str]]:
        """Only on the first page. A search is asked of the logs of those that came alone."""
        if self.cursor:
            return []
        count = self._count(acting)
        if count == self.new:
            return []
        self.new = count
        context = {"count": count, "most": MOST_NEW, "query": urlencode(self.wanted)}
        html = render_to_string("sessions/parts/list_newer.html", context).strip()
        return [{"target": "#newer", "swap": "innerHTML", "content": html}]

    def _count(self, acting: Acting) -> int:
        others = {name: value for name, value in self.wanted.items() if name != "q"}
        rows = filters.narrowed(_mine(acting), others, None, self.zone).filter(created_at__gt=self.at).order_by()
        came = list(rows.values_list("pk", flat=True)[: MOST_NEW + 1])
        if "q" not in self.wanted or not came:
            return len(came)
        found = search.in_logs(self.wanted["q"], acting.workspace_id, among=came)
        fresh = _mine(acting).filter(pk__in=came).order_by()
        return len(filters.narrowed(fresh, {"q": self.wanted["q"]}, found, self.zone))
