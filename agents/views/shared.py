"""What the pages of agents, environments, memory and skills share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import Page, Paginator
from django.shortcuts import render

from contract.door import explain
from contract.errors import ApiError, NotFound, PermissionDenied

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.forms import Form
    from django.http import HttpResponse

    from contract.http import Request

PAGE_SIZE = 24


def listed(request: Request, rows: QuerySet[Any]) -> dict[str, Any]:
    """One page of a list, without archived rows unless ``?archived=1`` asks for them."""
    archived = request.GET.get("archived") == "1"
    if not archived:
        rows = rows.filter(archived_at=None)
    shown: Page[Any] = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return {"page": shown, "archived": archived}


def form_page(request: Request, template: str, context: dict[str, Any]) -> HttpResponse:
    """A page with a form: 422 where it comes back with what is wrong with it, not where only its rows were changed."""
    refused = request.method == "POST" and not request.POST.get("deed")
    return render(request, template, context, status=422 if refused else 200)


def refuse(form: Form, error: ApiError) -> None:
    """Show a refusal on the form; what may not be known of or done stays a page of its own."""
    if isinstance(error, NotFound | PermissionDenied):
        raise error
    explain(form, error)
