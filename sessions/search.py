"""Full-text search over titles and what is said in the logs of a workspace (``projections.said``).

The index holds every entry's words together with its workspace's id, so that the search of one workspace costs what
that workspace has. A question that fits very many entries is answered from the first ``MOST`` of them, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.search import SearchQuery
from django.db import connection

from contract.errors import InvalidRequest
from contract.roles import Permission
from sessions import ledgers
from sessions.models import Event, Session
from sessions.models.core import TITLE_WORDS
from sessions.projections import said

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from django.db.models import QuerySet

    from contract.acting import Acting
    from sessions.projections.said import Piece

MOST = 10_000
HITS = 100
LONGEST_QUESTION = 200

# Rows are taken as the index finds them, before they are sorted: that bounds the work.
FOUND = """
WITH found AS MATERIALIZED (
  SELECT id, session_id, seq FROM agent_sessions_event
  WHERE words @@ (to_tsquery('simple', %(asked)s) && %(workspace)s::tsquery) LIMIT %(most)s),
answers AS (SELECT DISTINCT ON (session_id) session_id, id FROM found ORDER BY session_id, seq DESC)
SELECT session_id, id, (SELECT count(*) FROM found),
  EXISTS (SELECT FROM agent_sessions_event WHERE words @@ %(mark)s::tsquery)
FROM (SELECT) AS once LEFT JOIN answers ON true
"""
FOUND_AMONG = FOUND.replace(" LIMIT", " AND session_id = ANY(%(sessions)s) LIMIT")
LATEST = """
WITH found AS MATERIALIZED (
  SELECT id, created_at FROM agent_sessions_event
  WHERE words @@ (to_tsquery('simple', %(asked)s) && %(workspace)s::tsquery) LIMIT %(most)s),
answers AS (SELECT id, created_at FROM found ORDER BY created_at DESC, id DESC LIMIT %(limit)s)
SELECT id, (SELECT count(*) FROM found), EXISTS (SELECT FROM agent_sessions_event WHERE words @@ %(mark)s::tsquery)
FROM (SELECT) AS once LEFT JOIN answers ON true ORDER BY created_at DESC, id DESC
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The sessions whose logs answer a question: the newest entry of each that does.

    ``cut``: there may be more. ``sealed``: some of what was said in the workspace is sealed and was not looked at.
    """

    events: dict[str, str]
    cut: bool
    sealed: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that answers a question, and the piece of its text that does."""

    session: Session
    event_id: str
    seq: int
    type: str
    created_at: datetime
    pieces: list[Piece]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found, newest first. ``truncated``: there is more than was looked at, or shown.

    ``sealed``: some of what was said is sealed (``SEAL_EVENTS``) and could not be searched.
    """

    sessions: list[Session]  # whose titles answer
    hits: list[Hit]
    truncated: bool
    sealed: bool


def titled(rows: QuerySet[Session], asked: str) -> QuerySet[Session]:
    """Those of the sessions whose titles answer.

    Ask for them by themselves. With an order and a limit beside the words, PostgreSQL takes apart the titles of all
    sessions, the newest first, instead of looking into the index of words.
    """
    query = SearchQuery(said.question(asked), search_type="raw", config="simple")
    return rows.alias(title_words=TITLE_WORDS).filter(title_words=query)


def is_sealed() -> bool:
    """Whether new entries can't be found by their words."""
    return bool(settings.HOLDFAST_SEAL_EVENTS)


def in_logs(asked: str, workspace_id: str, *, among: Sequence[str] | None = None) -> Found:
    """Sessions of the workspace whose logs answer; ``among``: only these are looked at."""
    question = said.question(asked)
    narrowed = {"sessions": list(among)} if among is not None else {}
    rows = _rows(FOUND_AMONG if narrowed else FOUND, question, workspace_id, **narrowed) if question else []
    answers = {row[0]: row[1] for row in rows if row[0]}
    return Found(answers, cut=bool(rows) and rows[0][2] >= MOST, sealed=bool(rows) and rows[0][3])


def hits(event_ids: Collection[str], asked: str, known: Iterable[Session] = ()) -> list[Hit]:
    """The entries with their snippets, newest first. One query, and one for those of their sessions not ``known``."""
    entries = list(Event.objects.filter(pk__in=event_ids).defer("words", "private").order_by("-created_at", "-id"))
    sessions = {session.pk: session for session in known}
    missing = {entry.session_id for entry in entries} - sessions.keys()
    if missing:
        sessions |= Session.objects.defer("agent_snapshot").in_bulk(missing)
    return [_hit(entry, sessions[entry.session_id], asked) for entry in entries]


def search(asked: str, limit: int, acting: Acting) -> Answer:
    """The newest entries and titles that answer. Raises ``InvalidRequest`` for a question without a word."""
    acting.require(Permission.READ)
    question = said.question(asked)
    if not question:
        raise InvalidRequest("q: must hold at least one word that is looked for")
    rows = _rows(LATEST, question, acting.workspace_id, limit=limit + 1)
    found = [row[0] for row in rows if row[0]]
    mine = Session.objects.filter(workspace_id=acting.workspace_id).defer("agent_snapshot")
    titles = titled(mine.order_by(), asked).values("pk")[:MOST]
    sessions = list(mine.filter(pk__in=titles).order_by("-created_at", "-pk")[: limit + 1])
    truncated = len(found) > limit or len(sessions) > limit or rows[0][1] >= MOST
    return Answer(sessions[:limit], hits(found[:limit], asked), truncated, sealed=rows[0][2])


def _rows(sql: str, question: str, workspace_id: str, **more: Any) -> list[tuple[Any, ...]]:
    mark = f"'{ledgers.SEALED} {workspace_id}'"
    given = {"asked": question, "workspace": f"'{workspace_id}'", "mark": mark, "most": MOST, **more}
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return list(cursor.fetchall())


def _hit(entry: Event, session: Session, asked: str) -> Hit:
    text = said.said(entry.type, entry.payload)
    return Hit(session, entry.pk, entry.seq, entry.type, entry.created_at, said.snippet(text, asked))
