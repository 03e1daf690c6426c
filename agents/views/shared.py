"""What the pages of agents, environments, memory and skills share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import Page, Paginator

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from contract.http import Request

PAGE_SIZE = 24


def listed(request: Request, rows: QuerySet[Any]) -> dict[str, Any]:
    """One page of a list, without archived rows unless ``?archived=1`` asks for them."""
    archived = request.GET.get("archived") == "1"
    if not archived:
        rows = rows.filter(archived_at=None)
    shown: Page[Any] = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return {"page": shown, "archived": archived}
