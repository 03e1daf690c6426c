"""How the calls of one reply are judged: the session's rules as they are now, and the judge of ``auto``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from agents import judges, policies, pricing
from sessions import events as ev
from sessions import prepared
from sessions.events import Draft
from sessions.harness.reply import spent
from sessions.harness.spec import provider
from sessions.ledgers import parsed
from sessions.log import UnknownThread
from sessions.models import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.policies import Grant, Judge, Rulebook, Verdict
    from agents.providers.base import ModelReply
    from agents.rules import Request
    from sessions.harness.lease import Lease
    from sessions.harness.spec import TurnSpec

LAST_MESSAGES = 20
RULES = "SELECT permission_rules, remembered_rules, xmin::text FROM agent_sessions_session WHERE id = %s"


class Rules:
    """The rules of a turn: the agent's, the session's own and those that people had it remember."""

    def __init__(self, spec: TurnSpec, lease: Lease) -> None:
        self._spec, self._lease = spec, lease
        self._book: Rulebook | None = None
        self._series = ""  # of the appends for which the book that was read last is good

    @property
    def known(self) -> bool:
        """Whether the rules that were read last are those of now, unless somebody touched the session just now: what
        is judged by them has to be appended with ``untouched``. A judge that is a model is not asked twice for that.
        """
        kept = self._lease.kept
        rested = self._book is not None and kept is not None and kept.series == self._series
        return rested and settings.HOLDFAST_PERMISSION_JUDGE == judges.RULES

    def book(self, *, anew: bool) -> Rulebook:
        """The rules, read ``anew`` or as they are known. Raises ``UnknownThread``."""
        if self._book is None or anew:
            row = prepared.row(RULES, [self._spec.session_id])
            if row is None:
                raise UnknownThread(self._spec.thread_id)
            kept = self._lease.kept
            self._book = policies.with_session(self._spec.rules, parsed(row[0]), parsed(row[1]))
            self._series = kept.series if kept is not None and kept.version == row[2] else ""
        return self._book


class Permissions:
    """Made for one reply, so that a session that was just tightened is judged by its new rules: ``anew`` reads them."""

    def __init__(self, spec: TurnSpec, should_stop: Callable[[], bool], rules: Rules, *, anew: bool) -> None:
        self._spec, self._should_stop = spec, should_stop
        self._rules, self._anew = rules, anew
        self._book: Rulebook | None = None
        self._auto: Judge | None = None

    def judge(self, request: Request, grant: Grant) -> Verdict:
        """The verdict on one call. Reads the rules at the first call; may ask a model."""
        if self._book is None:
            self._book = self._rules.book(anew=self._anew)
            self._auto = self._judge()
        return policies.judge(request, grant, self._book, self._auto)

    def spent(self) -> list[Draft]:
        """What the judge's model used, to be counted as the session's."""
        replies = self._auto.replies if isinstance(self._auto, judges.ModelJudge) else []
        return [_judged(reply) for reply in replies]

    def _judge(self) -> Judge:
        model = settings.HOLDFAST_PERMISSION_JUDGE
        if model == judges.RULES:
            return judges.by_rules
        return judges.ModelJudge(provider(model, self._spec.workspace_id), model, self._intent, self._should_stop)

    def _intent(self) -> list[str]:
        """What people told the session, oldest first. Results of tools are nobody's intent (spec core 5.3)."""
        rows = Event.objects.filter(session_id=self._spec.session_id, type=ev.USER_MESSAGE).order_by("-seq")
        found = [row.payload for row in rows.only("payload")[:LAST_MESSAGES]]
        blocks = (block for payload in reversed(found) for block in payload["content"])
        return [block["text"] for block in blocks if block["type"] == "text"]


def _judged(reply: ModelReply) -> Draft:
    cost = pricing.price(reply.model, reply.usage, speed=reply.speed)
    private = {"usage": spent(reply.usage), "cost": str(cost) if cost is not None else None}
    return Draft(ev.OPS_JUDGED, {"model": reply.model}, private=private)
