"""What the page of limits shows of a workspace, and the form that changes them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.db.models import Count
from django.utils.translation import gettext_lazy as _

from agents.models import Workspace
from contract.limits import MAX_BYTES, MAX_COUNT, YEAR_SECONDS
from contract.roles import Permission, may
from contract.schema import OURS
from sessions import bounds, storage
from sessions.harness import admission
from sessions.harness.limits import MONEY, Caps
from sessions.models import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting

LISTED = 50
MEGABYTE = 10**6
CENTS = 100


@dataclass(frozen=True, slots=True)
class Kind:
    """A cap as people set it: ``unit`` is what the number on the page counts, ``most`` the highest of those."""

    name: str
    label: Any
    hint: Any = ""
    unit: str = "count"  # or dollars, seconds, megabytes
    most: int = MAX_COUNT


EACH = (
    Kind("list_cost", _("US dollars"), _("At list prices."), unit="dollars"),
    Kind("steps", _("Steps"), _("Model replies with tool calls.")),
    Kind("model_requests", _("Model requests")),
    Kind("tokens", _("Tokens"), _("Of every kind.")),
    Kind("running_seconds", _("Seconds of work"), _("Waiting for a person doesn't count."), "seconds", YEAR_SECONDS),
    Kind(
        "approval_seconds",
        _("Seconds to answer"),
        _("A call nobody answers by then is refused."),
        "seconds",
        YEAR_SECONDS,
    ),
)
TOGETHER = (
    Kind("list_cost_per_day", _("US dollars a day"), _("Of model requests, at list prices."), unit="dollars"),
    Kind("tokens_per_day", _("Tokens a day"), _("Of every kind.")),
    Kind("concurrent_sessions", _("Sessions at once"), _("The others wait their turn.")),
    Kind("concurrent_sessions_per_person", _("Sessions at once of one person")),
    Kind("storage_bytes", _("Megabytes of files"), _("Uploads and outputs."), "megabytes", MAX_BYTES // MEGABYTE),
)


class LimitsForm(forms.Form):
    """The caps of a level; a field that is left empty lifts one."""

    def __init__(
        self, data: Any = None, *, stored: Mapping[str, Any], kinds: tuple[Kind, ...] = (*EACH, *TOGETHER)
    ) -> None:
        super().__init__(data, initial={kind.name: _typed(kind, stored.get(kind.name)) for kind in kinds})
        self.kinds = kinds
        for kind in kinds:
            self.fields[kind.name] = _field(kind)

    @property
    def each(self) -> list[forms.BoundField]:
        """The fields of what bounds every session by itself."""
        return [self[kind.name] for kind in EACH]

    @property
    def together(self) -> list[forms.BoundField]:
        """The fields of what bounds all sessions together."""
        return [self[kind.name] for kind in TOGETHER]

    def body(self) -> dict[str, Any]:
        """What to lay over the stored caps: only what was changed here, so that nothing is rounded unseen."""
        return {kind.name: self._sent(kind) for kind in self.kinds if kind.name in self.changed_data}

    def _sent(self, kind: Kind) -> Any:
        value = self.cleaned_data[kind.name]
        if value is None:
            return None
        if kind.unit == "dollars":
            return {"amount": str(int(value * CENTS)), "currency": "USD"}
        return int(value) * (MEGABYTE if kind.unit == "megabytes" else 1)


def _field(kind: Kind) -> forms.Field:
    about: dict[str, Any] = {"label": kind.label, "help_text": kind.hint, "required": False}
    if kind.unit == "dollars":
        return forms.DecimalField(**about, min_value=Decimal("0.01"), max_digits=12, decimal_places=2)
    return forms.IntegerField(**about, min_value=1, max_value=kind.most)


def _typed(kind: Kind, stored: Any) -> Any:
    """A stored cap as its field shows it; None for one that isn't set."""
    if stored is None:
        return None
    if kind.unit == "dollars":
        return (Decimal(stored["amount"]) / CENTS).quantize(Decimal("0.01"))
    return -(-int(stored) // MEGABYTE) if kind.unit == "megabytes" else stored


@dataclass(frozen=True, slots=True)
class Line:
    """A cap on the page. Values are dollars or numbers; ``used`` is of all sessions together, None where there is no
    such sum. ``level``: whose cap is the tightest, ``share`` how much of it is used in percent.
    """

    kind: Kind
    of_installation: Any
    of_workspace: Any
    level: str = ""
    used: Any = None
    share: int | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """The sessions that run, and those that wait in the order of their turn; ``running`` and ``waiting`` count all."""

    listed: list[Session]
    in_turn: list[tuple[int, Session]]
    running: int
    waiting: int
    most: int | None
    most_each: int | None


def context(acting: Acting) -> dict[str, Any]:
    """Everything but the form."""
    workspace = Workspace.objects.get(pk=acting.workspace_id)
    sums = {**bounds.today(workspace.pk), storage.KIND: storage.used(workspace.pk)}
    found = queue(workspace)
    sums["concurrent_sessions"] = found.running
    return {
        "workspace": workspace,
        "each": [_line(kind, workspace, sums) for kind in EACH],
        "together": [_line(kind, workspace, sums) for kind in TOGETHER],
        "queue": found,
        "stopped": _stopped(workspace.pk),
        "administers": may(acting.role, Permission.ADMINISTER),
        "day": bounds.day(),
    }


def queue(workspace: Workspace) -> Queue:
    """What runs in a workspace and what waits for a turn."""
    waiting = admission.waiting(workspace.pk)
    running = Session.objects.filter(workspace=workspace, status="running").exclude(pk__in=[one for _t, one in waiting])
    rows = running.select_related("agent", "created_by").defer("agent_snapshot").order_by("running_since", "pk")
    next_ones = [session_id for _thread, session_id in waiting[:LISTED]]
    found = Session.objects.select_related("agent", "created_by").defer("agent_snapshot").in_bulk(next_ones)
    in_turn = [(place, found[one]) for place, one in enumerate(next_ones, start=1) if one in found]
    return Queue(list(rows[:LISTED]), in_turn, running.count(), len(waiting), *admission.limits_of(workspace.limits))


def _line(kind: Kind, workspace: Workspace, sums: Mapping[str, Any]) -> Line:
    above, own = settings.HOLDFAST_LIMITS, workspace.limits
    tightest = Caps((("installation", above), ("workspace", own))).tightest(kind.name)
    used = sums.get(kind.name)
    return Line(
        kind,
        _shown(kind, above.get(kind.name)),
        _shown(kind, own.get(kind.name)),
        level=tightest[0] if tightest else "",
        used=_in_dollars(kind, used),
        share=None if tightest is None or used is None else min(100, int(used * 100 / tightest[1])),
    )


def _shown(kind: Kind, stored: Any) -> Any:
    number = stored["amount"] if isinstance(stored, dict) else stored
    return None if number is None else _in_dollars(kind, Decimal(number))


def _in_dollars(kind: Kind, number: Any) -> Any:
    return number / CENTS if number is not None and kind.name in MONEY else number


def _stopped(workspace_id: str) -> list[tuple[str, str, int]]:
    """How many sessions stand at which cap of which level, the most first."""
    rows = Session.objects.filter(workspace_id=workspace_id, archived_at=None, status="idle")
    rows = rows.filter(stop_reason__type="budget_reached", stop_reason__has_key=OURS)
    names = (f"stop_reason__{OURS}__cap", f"stop_reason__{OURS}__level")
    counted = rows.order_by().values_list(*names).annotate(count=Count("pk")).order_by("-count")
    return [(str(cap), str(level), int(count)) for cap, level, count in counted]
