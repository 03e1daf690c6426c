"""The audit log as a page and as a download."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Literal

from django.core.paginator import Paginator
from django.http import StreamingHttpResponse
from django.shortcuts import render

from contract.door import page
from contract.pieces import Written
from contract.roles import Permission
from contract.times import timestamp
from credentials.models import AuditRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models import QuerySet
    from django.http import HttpResponse

    from contract.acting import Acting
    from contract.http import Request

PAGE_SIZE = 50
CHUNK = 500
MOST = 200_000  # records of one download
Form = Literal["csv", "json"]
FILTERS = ("action", "actor", "object_id")
COLUMNS = ("at", "actor", "user_id", "api_key_id", "action", "kind", "object_id", "before", "after")


def records(acting: Acting, chosen: dict[str, str] | None = None) -> QuerySet[AuditRecord]:
    """The workspace's records, the latest first. Needs the permission to administer.

    An action that ends with a dot, such as ``person.``, stands for all that begin with it.
    """
    acting.require(Permission.ADMINISTER)
    wanted = {name: value for name, value in (chosen or {}).items() if value and name in FILTERS}
    if wanted.get("action", "").endswith("."):
        wanted["action__startswith"] = wanted.pop("action")
    return AuditRecord.objects.filter(workspace_id=acting.workspace_id, **wanted)


@page(Permission.ADMINISTER)
def audit(request: Request) -> HttpResponse:
    """Filters are ``action``, ``actor`` and ``object_id``, as they are shown."""
    chosen = _chosen(request)
    shown = Paginator(records(request.acting, chosen), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "audit/list.html", {"page": shown, "chosen": chosen, "filtered": any(chosen.values())})


@page(Permission.ADMINISTER)
def export(request: Request) -> StreamingHttpResponse:
    """What the filters let through, as CSV, or as JSON with ``?format=json``."""
    return exported(records(request.acting, _chosen(request)), "json" if request.GET.get("format") == "json" else "csv")


def exported(rows: QuerySet[AuditRecord], form: Form) -> StreamingHttpResponse:
    """A download of the latest ``MOST`` records at most, written while it is read. Its head says if that is not all."""
    kept = _latest(rows)
    written = _json(kept) if form == "json" else _csv(kept)
    kind = "application/json" if form == "json" else "text/csv; charset=utf-8"
    response = StreamingHttpResponse(Written(written), content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="audit.{form}"'
    response["Holdfast-Complete"] = "no" if rows[MOST : MOST + 1].exists() else "yes"
    return response


def _chosen(request: Request) -> dict[str, str]:
    return {name: request.GET.get(name, "").strip().replace("\x00", "")[:300] for name in FILTERS}


def _latest(rows: QuerySet[AuditRecord]) -> Iterator[AuditRecord]:
    """``MOST`` of ``rows`` at most, the latest first, ``CHUNK`` at a time, each by a query of its own."""
    left, found = MOST, list(rows[: min(CHUNK, MOST)])
    while found:
        yield from found
        left -= len(found)
        found = list(rows.filter(pk__lt=found[-1].pk)[: min(CHUNK, left)]) if left else []


def _json(rows: Iterable[AuditRecord]) -> Iterator[str]:
    """An array with a record a line."""
    between = "[\n"
    for row in rows:
        yield between + json.dumps(shape(row), ensure_ascii=False)
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"


def _csv(rows: Iterable[AuditRecord]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, column)) for column in COLUMNS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> str:
    """Text that a spreadsheet doesn't take for a formula."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def shape(record: AuditRecord) -> dict[str, Any]:
    """A record as our API shows it."""
    return {
        "id": str(record.pk),
        "type": "audit_record",
        "at": timestamp(record.at),
        "actor": record.actor,
        "user_id": record.user_id,
        "api_key_id": record.api_key_id or None,
        "action": record.action,
        "kind": record.kind,
        "object_id": record.object_id or None,
        "before": record.before,
        "after": record.after,
    }
