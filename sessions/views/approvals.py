"""The inbox of decisions: the list, one decision by itself, and the answers. All of it works as plain forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contract.door import page
from contract.errors import ApiError, InvalidRequest, NotFound
from contract.roles import Permission, may
from sessions import events as ev
from sessions import inbox
from sessions.approvals import actions, finding
from sessions.approvals.cards import Card, around, cards

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request

PAGE_SIZE = 20
LABELS = {
    "session": _("Session"),
    "agent": _("Agent"),
    "tool": _("Tool"),
    "rule": _("Rule"),
    "mine": _("Passed to me"),
}


@page(Permission.READ)
def approval_list(request: Request) -> HttpResponse:
    """``?tab=history`` shows what was answered; filters are ``session``, ``agent``, ``tool``, ``rule``, ``mine``."""
    chosen = {name: request.GET.get(name, "").replace("\x00", "")[:200] for name in finding.FILTERS}
    history = request.GET.get("tab") == "history"
    rows = (finding.decided if history else finding.waiting)(request.acting, chosen)
    shown = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": shown,
        "cards": cards(list(shown.object_list), request.acting),
        "history": history,
        "chips": _chips(chosen, history=history),
        "waiting_count": finding.waiting(request.acting).count(),
        "at": timezone.now(),
        "administers": may(request.acting.role, Permission.ADMINISTER),
        **around(request.acting),
    }
    return render(request, "approvals/list.html", context)


@page(Permission.READ)
def count(request: Request) -> HttpResponse:
    """How many calls wait, as the navigation of every page shows it; nothing if none does."""
    waiting = finding.waiting(request.acting).count()
    return render(request, "approvals/count.html", {"waiting": waiting})


@page(Permission.READ)
def approval(request: Request, approval_id: str) -> HttpResponse:
    """One decision in full: where mail and pagers lead."""
    found = finding.find_approval(approval_id, request.acting)
    (card,) = cards([found], request.acting)
    return render(request, "approvals/approval.html", {"card": card, "at": timezone.now(), **around(request.acting)})


@page(Permission.OPERATE, "POST")
def decide(request: Request, approval_id: str) -> HttpResponse:
    """Allow, perhaps changed or remembered; deny with a reason; stop the session; pass on."""
    found = finding.find_approval(approval_id, request.acting)
    (card,) = cards([found], request.acting)
    problem = ""
    try:
        _act(request, card)
    except NotFound:
        raise
    except ApiError as error:
        problem = error.message
    return _answered(request, approval_id, problem)


@page(Permission.OPERATE, "POST")
def decide_many(request: Request) -> HttpResponse:
    """The chosen ones alike: ``result`` allow or deny, and one reason for all."""
    decision = {"result": _result(request), "message": request.POST.get("message", "")}
    try:
        outcomes = actions.decide_many(request.POST.getlist("ids"), decision, request.acting, via="page")
    except InvalidRequest:
        messages.error(request, _("Choose at least one call, and at most 100."), "failed")
        return redirect("sessions:approvals")
    done = sum(outcome.error is None for outcome in outcomes)
    if done:
        said = _("%(count)s approved.") if decision["result"] == "allow" else _("%(count)s denied.")
        messages.success(request, said % {"count": done}, "done")
    for outcome in outcomes:
        if outcome.error is not None:
            messages.error(request, outcome.error.message, "failed")
    return redirect("sessions:approvals")


def _act(request: Request, card: Card) -> None:
    answer, approval_id = request.POST.get("answer"), card.approval.pk
    if answer == "pass":
        actions.assign(approval_id, request.POST.get("assignee") or None, request.acting)
    elif answer == "stop":
        inbox.send(card.approval.session, [{"type": ev.USER_INTERRUPT}], request.acting)
    else:
        decision = {"result": _result(request), "message": request.POST.get("message", "")}
        if decision["result"] == "allow":
            decision |= _changes(request, card)
        actions.decide(approval_id, decision, request.acting, via="page", shown=card.shown())


def _result(request: Request) -> str:
    return "allow" if request.POST.get("answer") == "allow" else "deny"


def _changes(request: Request, card: Card) -> dict[str, Any]:
    found: dict[str, Any] = {}
    text = request.POST.get("input", card.text).replace("\r\n", "\n")
    if text != card.text.replace("\r\n", "\n"):
        found["input"] = {card.argument: text} if card.argument else _parsed(text)
    if request.POST.get("remember") in ("session", "agent"):
        found["remember"] = {"scope": request.POST["remember"]}
    return found


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"The changed input is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The changed input must be a JSON object.")
    return value


def _answered(request: Request, approval_id: str, problem: str) -> HttpResponse:
    if getattr(request, "htmx", False):
        (card,) = cards([finding.find_approval(approval_id, request.acting)], request.acting)
        context = {"card": card, "problem": problem, **around(request.acting)}
        return render(request, "approvals/card.html", context, status=422 if problem else 200)
    if problem:
        messages.error(request, problem, "failed")
        return redirect("sessions:approval", approval_id)
    return redirect("sessions:approvals")


def _chips(chosen: dict[str, str], *, history: bool) -> list[dict[str, str]]:
    kept = {name: value for name, value in chosen.items() if value}
    tab = {"tab": "history"} if history else {}
    return [
        {
            "text": str(LABELS[name]) if name == "mine" else f"{LABELS[name]}: {value}",
            "without": "?" + urlencode({**tab, **{other: one for other, one in kept.items() if other != name}}),
        }
        for name, value in kept.items()
    ]
