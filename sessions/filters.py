"""What narrows the list of sessions: read from the address, shown as chips, kept in saved views."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.contrib.postgres.fields import ArrayField
from django.db.models import BooleanField, F, Func, Q, TextField, Value
from django.utils import timezone
from django.utils.translation import gettext as _

from agents.models import Agent
from contract.errors import InvalidRequest
from sessions import search
from sessions.projections import said
from sessions.projections.status import GROUPS, stop_reasons

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from django.db.models import QuerySet

    from contract.acting import Acting
    from sessions.models import Session

NAMES = ("q", "status", "agent", "since", "by", "deployment")
LISTED = 200
SPANS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
KEYS = "*keys"  # sessions that API keys started; no user name may begin so
SCHEDULES = "*schedules"


class _Among(Func):
    """``= ANY`` of an array. ``IN`` would be a parameter a session, and a log's search finds thousands."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    arity = 2
    output_field = BooleanField()


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in use, and the address without it."""

    text: str
    without: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters of a workspace can be set to: values with their labels."""

    agent: dict[str, str]
    by: dict[str, str]
    status: dict[str, str] = field(default_factory=lambda: {key: _(label) for key, label in GROUPS.items()})
    since: dict[str, str] = field(
        default_factory=lambda: {
            "1h": _("In the last hour"),
            "24h": _("In the last 24 hours"),
            "7d": _("In the last 7 days"),
            "30d": _("In the last 30 days"),
        }
    )


def choices(acting: Acting) -> Choices:
    """Two queries."""
    agents = Agent.objects.filter(workspace_id=acting.workspace_id).order_by("name")
    people = get_user_model().objects.filter(memberships__workspace_id=acting.workspace_id)
    names = people.order_by("username").values_list("username", flat=True)[:LISTED]
    by = {name: name for name in names} | {KEYS: _("API keys"), SCHEDULES: _("Schedules")}
    return Choices(dict(agents.values_list("pk", "name")[:LISTED]), by)


def chosen(given: Mapping[str, Any], offered: Choices | None = None) -> dict[str, str]:
    """The filters that mean something; all others are left out. Without ``offered`` agent and starter go unchecked."""
    clean = {name: str(given.get(name, "")).strip().replace("\x00", "")[:200] for name in NAMES}
    if clean["status"] not in GROUPS:
        clean["status"] = ""
    if clean["since"] not in SPANS and _day(clean["since"]) is None:
        clean["since"] = ""
    if offered is not None:
        for name, known in (("agent", offered.agent), ("by", offered.by)):
            if clean[name] not in known:
                clean[name] = ""
    return {name: value for name, value in clean.items() if value}


def check(given: Mapping[str, str]) -> None:
    """Raise ``InvalidRequest`` for a filter that doesn't exist, or a value that means nothing."""
    kept = chosen(given)
    for name, value in given.items():
        if name not in NAMES:
            raise InvalidRequest(f"filters.{name}: there is no such filter; there are {', '.join(NAMES)}")
        if kept.get(name) != value.strip():
            raise InvalidRequest(f"filters.{name}: {value[:80]!r} is not a value of this filter")


def narrowed(rows: QuerySet[Session], wanted: Mapping[str, str], found: search.Found | None, zone: ZoneInfo) -> Any:
    """Those of the sessions that the filters leave. ``found``: what the logs answer to ``q``."""
    if "agent" in wanted:
        rows = rows.filter(agent_id=wanted["agent"])
    if "deployment" in wanted:
        rows = rows.filter(deployment_id=wanted["deployment"])
    if "by" in wanted:
        rows = rows.filter(_by(wanted["by"]))
    if "since" in wanted:
        rows = rows.filter(created_at__gte=_since(wanted["since"], zone))
    if "q" in wanted:
        rows = _answering(rows, wanted["q"], found)
    if wanted.get("status") == "archived":
        return rows.exclude(archived_at=None)
    return rows.filter(in_group(wanted["status"])) if "status" in wanted else rows


def in_group(group: str) -> Q:
    """Sessions whose state belongs to a group of ``projections.status``."""
    alive = Q(archived_at=None)
    outside = Q(pending_count__gt=0, pending_count=F("outside_count"))
    if group == "working":
        return alive & Q(status__in=("running", "rescheduling"))
    if group == "worker":
        return alive & Q(status="idle") & outside
    reasons = Q(status="idle", stop_reason__type__in=stop_reasons(group))
    if group == "needs":
        return alive & reasons & ~outside
    if group == "failed":
        return alive & (reasons | Q(status="terminated"))
    if group == "idle":
        return alive & Q(status="idle", stop_reason__isnull=True)
    return alive & reasons


def chips(wanted: Mapping[str, str], offered: Choices) -> list[Chip]:
    """The filters in use in the order of the form."""
    texts = {
        "q": "“{}”",
        "status": _("Status: {}"),
        "agent": _("Agent: {}"),
        "since": _("Started: {}"),
        "by": _("Started by: {}"),
        "deployment": _("Schedule: {}"),
    }
    made = []
    for name, value in wanted.items():
        rest = {other: kept for other, kept in wanted.items() if other != name}
        label = getattr(offered, name, {}).get(value, value)
        made.append(Chip(texts[name].format(label), "?" + urlencode(rest)))
    return made


def _answering(rows: QuerySet[Session], asked: str, found: search.Found | None) -> QuerySet[Session]:
    names = [asked, *found.events] if found else [asked]
    among = rows.order_by().filter(_Among(F("pk"), Value(names, output_field=ArrayField(TextField())))).values("pk")
    if not said.question(asked):
        return rows.filter(pk__in=among)
    return rows.filter(pk__in=among.union(search.titled(rows.order_by(), asked).values("pk")))


def _by(value: str) -> Q:
    if value == KEYS:
        return ~Q(created_by_key="")
    if value == SCHEDULES:
        return Q(deployment__isnull=False)
    return Q(created_by__username=value, created_by_key="", deployment=None)


def _since(value: str, zone: ZoneInfo) -> datetime:
    if value in SPANS:
        return timezone.now() - SPANS[value]
    day = _day(value) or timezone.now().date()
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value) if len(value) == 10 else None
    except ValueError:
        return None
