"""The inbox as it changes: new cards, and those that somebody answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sessions.approvals.cards import around, cards
from sessions.approvals.finding import approvals_of, waiting
from sessions.models.approvals import WAITING, Approval

if TYPE_CHECKING:
    from datetime import datetime

    from contract.acting import Acting
    from sessions.approvals.cards import Card

MOST = 50


@dataclass(slots=True)
class Changes:
    """What one page has not been sent yet. ``since``: when it was loaded; ``only``: the one approval it shows."""

    since: datetime
    only: str = ""
    sent: dict[str, str] = field(default_factory=dict)
    count: int = -1

    def frame(self, acting: Acting) -> dict[str, str] | None:
        """The fragments of what changed; None if nothing did."""
        rows = self._rows(acting)
        content = SafeString("")
        beside = {"alone": bool(self.only), **around(acting)} if rows else {}
        for card in cards(rows, acting):
            self.sent[card.approval.pk] = card.approval.state
            content += _fragment(card, beside)
        count = 0 if self.only else waiting(acting).count()
        if count != self.count:
            self.count = count
            content += _partial("#waiting-count", "innerHTML", format_html("{}", count))
        return {"target": "#approvals", "swap": "upsert key:data-id", "content": content} if content else None

    def _rows(self, acting: Acting) -> list[Approval]:
        asked = Q(state=WAITING, asked_at__gt=self.since)
        rows = approvals_of(acting).filter(asked | Q(decided_at__gt=self.since)).order_by("-asked_at", "-id")
        if self.only:
            rows = rows.filter(pk=self.only)
        return [row for row in reversed(rows[:MOST]) if self.sent.get(row.pk) != row.state]


def _fragment(card: Card, beside: dict[str, Any]) -> SafeString:
    """A new card for the list; an answered one takes the place of its own, if that is on the page."""
    html = SafeString(render_to_string("approvals/card.html", {"card": card, **beside}).strip())
    return html if card.waiting else _partial(f"#a-{card.approval.pk}", "outerHTML", html)


def _partial(target: str, swap: str, content: SafeString) -> SafeString:
    return format_html('<hx-partial hx-target="{}" hx-swap="{}">{}</hx-partial>', target, swap, content)
