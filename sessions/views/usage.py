"""Money and tokens over time: a chart for who sees one, a table for everybody, a file to reckon with."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from agents.models import Workspace
from contract import zones
from contract.door import page
from contract.roles import Permission
from sessions import usage
from sessions.models import Session
from sessions.projections.columns import budget_dollars

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from contract.acting import Acting
    from contract.http import Request
    from sessions.usage import By, Report

SPANS = {"7d": 7, "30d": 30, "90d": 90, "366d": 366}
DEFAULT = "30d"
DRAWN = 6  # groups with a line of their own in the chart
LISTED = 8


@dataclass(frozen=True, slots=True)
class Spender:
    """A session with a budget of its own, and how much of it is used, in percent."""

    session: Session
    limit: Decimal
    share: int


@page(Permission.READ)
def usage_page(request: Request) -> HttpResponse:
    """``?by=agent|model|user&since=7d|30d|90d|366d|YYYY-MM-DD``; ``&format=csv`` is the same as a file."""
    zone = zones.zone_of(request.COOKIES)
    by = cast("By", request.GET.get("by") if request.GET.get("by") in usage.BY else "agent")
    since, chosen = _since(request.GET.get("since", ""), zone)
    report = usage.report(by, since, zone, request.acting)
    if request.GET.get("format") == "csv":
        return _csv(report)
    workspace = Workspace.objects.get(pk=request.acting.workspace_id)
    context = {
        "report": report,
        "by": by,
        "chosen": chosen,
        "since": since,
        "tabs": [
            {"href": f"?by={name}&since={chosen}", "label": label, "here": name == by}
            for name, label in (("agent", _("By agent")), ("model", _("By model")), ("user", _("By who started")))
        ],
        "spans": [
            (f"?by={by}&since={name}", _("{} days").format(days), name == chosen) for name, days in SPANS.items()
        ],
        "chart": json.dumps(_chart(report)),
        "days": [(day, report.on(day)) for day in reversed(report.days) if report.on(day).requests],
        "levels": [(_("Installation"), _caps(settings.HOLDFAST_LIMITS)), (_("Workspace"), _caps(workspace.limits))],
        "spenders": _spenders(request.acting),
        "hours_priced": settings.HOLDFAST.running_hour_price > 0,
    }
    return render(request, "usage/usage.html", context)


def _caps(limits: Mapping[str, Any]) -> list[tuple[str, Decimal]]:
    """A level's caps by kind: numbers, seconds, or dollars."""
    numbers = {kind: cap["amount"] if isinstance(cap, dict) else cap for kind, cap in limits.items() if cap is not None}
    return [(kind, Decimal(cap) / 100 if kind == "list_cost" else Decimal(cap)) for kind, cap in numbers.items()]


def _since(given: str, zone: ZoneInfo) -> tuple[date, str]:
    """The first day asked for, and how it was asked."""
    today = timezone.now().astimezone(zone).date()
    try:
        day = date.fromisoformat(given) if len(given) == 10 else None
    except ValueError:
        day = None
    if day is not None and timedelta(0) <= today - day < timedelta(days=usage.MOST_DAYS):
        return day, given
    chosen = given if given in SPANS else DEFAULT
    return today - timedelta(days=SPANS[chosen] - 1), chosen


def _chart(report: Report) -> dict[str, Any]:
    """Days and a line a group: dollars and tokens. What has no line of its own is one together."""
    shown, rest = report.groups[:DRAWN], report.groups[DRAWN:]
    lines = [(group.label, [group.days.get(day, usage.NOTHING) for day in report.days]) for group in shown]
    if rest:
        together = [usage.total(group.days.get(day, usage.NOTHING) for group in rest) for day in report.days]
        lines.append((_("{} others").format(len(rest)), together))
    return {
        "days": [day.isoformat() for day in report.days],
        "labels": [label for label, _days in lines],
        "money": [[float(round(one.cost, 6)) for one in days] for _label, days in lines],
        "tokens": [[one.tokens for one in days] for _label, days in lines],
    }


def _csv(report: Report) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"usage-by-{report.by}-{report.days[0]}-{report.days[-1]}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(response)
    writer.writerow(["day", report.by, "id", *usage.COLUMNS[:-2], "cost_usd", "unpriced_requests"])
    for group in report.groups:
        for day, used in sorted(group.days.items()):
            numbers = [getattr(used, column) for column in usage.COLUMNS[:-2]]
            writer.writerow([day, _safe(group.label), _safe(group.key), *numbers, f"{used.cost:.6f}", used.unpriced])
    return response


def _safe(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _spenders(acting: Acting) -> list[Spender]:
    """Sessions that are not over and have a budget, the ones nearest to its end first."""
    rows = Session.objects.filter(workspace_id=acting.workspace_id, archived_at=None, budget__isnull=False)
    rows = rows.exclude(status="terminated").select_related("agent").defer("agent_snapshot").order_by("-updated_at")
    found = []
    for session in rows[:200]:
        limit = budget_dollars(session.budget)
        if limit:
            found.append(Spender(session, limit, min(100, round(session.cost / limit * 100))))
    return sorted(found, key=lambda one: -one.share)[:LISTED]
