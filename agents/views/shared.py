"""What the pages of agents, environments, memory and skills share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import Page, Paginator

from contract.door import explain
from contract.errors import ApiError, NotFound, PermissionDenied

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.forms import Form

    from contract.http import Request

PAGE_SIZE = 24


def listed(request: Request, rows: QuerySet[Any]) -> dict[str, Any]:
    """One page of a list, without archived rows unless ``?archived=1`` asks for them."""
    archived = request.GET.get("archived") == "1"
    if not archived:
        rows = rows.filter(archived_at=None)
    shown: Page[Any] = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return {"page": shown, "archived": archived}


def refuse(form: Form, error: ApiError) -> None:
    """Show a refusal on the form; what may not be known of or done stays a page of its own."""
    if isinstance(error, NotFound | PermissionDenied):
        raise error
    explain(form, error)
