"""Pagination by cursor (spec core 2.4): opaque, bound to its list and its order, stable under inserts."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from django.db.models import DateTimeField, IntegerField, Model, Q, QuerySet

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Order = Literal["asc", "desc"]
Value = datetime | str | int | None
Row = TypeVar("Row", bound=Model)

PREFIX = "page_"
MAX_LENGTH = 4000  # a memory's path of 1,024 bytes fits
BAD = "page: is not a cursor of this list; pass next_page of the previous response unchanged, or leave it out"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two rows: the values of the sort fields at the row just seen.

    ``back`` cursors read away from the list's order, for ``prev_page``.
    """

    kind: str
    order: Order
    position: tuple[Value, ...]
    back: bool = False

    def encode(self) -> str:
        values = [{"t": value.isoformat()} if isinstance(value, datetime) else value for value in self.position]
        text = json.dumps([self.kind, self.order, values, int(self.back)], separators=(",", ":"), ensure_ascii=False)
        return PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @staticmethod
    def decode(text: str, *, kind: str, order: Order, size: int) -> Cursor:
        """The cursor in ``text``; ``InvalidRequest`` for anything this list did not hand out."""
        try:
            if not text.startswith(PREFIX) or len(text) > MAX_LENGTH:
                raise ValueError("not a cursor")
            raw = text.removeprefix(PREFIX)
            found = json.loads(base64.b64decode(raw + "=" * (-len(raw) % 4), altchars=b"-_", validate=True))
            its_kind, its_order, values, back = found
            position = tuple(_value(value) for value in values)
        except (ValueError, TypeError, KeyError, OverflowError, binascii.Error, RecursionError):
            raise InvalidRequest(BAD) from None
        if its_kind != kind or len(position) != size or back not in (0, 1) or its_order not in ("asc", "desc"):
            raise InvalidRequest(BAD)
        if its_order != order:
            raise InvalidRequest(f"page: this cursor was made with order={its_order}; use the same order")
        return Cursor(kind, order, position, bool(back))


def _value(value: Any) -> Value:
    if isinstance(value, dict):
        moment = datetime.fromisoformat(value["t"])
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        return moment.astimezone(UTC)  # the database takes no offset of 16 hours and more
    if isinstance(value, bool) or not (value is None or isinstance(value, str | int)):
        raise ValueError("not a cursor value")
    if isinstance(value, str) and b"\x00" in value.encode():  # half a surrogate pair is a ValueError
        raise ValueError("not a cursor value")
    if isinstance(value, int) and abs(value) > 2**62:
        raise ValueError("not a cursor value")
    return value


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in the list's order, and the cursors around them (None at the ends)."""

    rows: list[Row]
    next_page: str | None
    prev_page: str | None

    def answer(self, shape: Callable[[Row], dict[str, Any]], *, both: bool = False) -> dict[str, Any]:
        """The wire envelope; ``prev_page`` is there only where the API has it."""
        body: dict[str, Any] = {"data": [shape(row) for row in self.rows], "next_page": self.next_page}
        return {**body, "prev_page": self.prev_page} if both else body


def paginate(
    rows: QuerySet[Row],
    *,
    kind: str,
    fields: Sequence[str],
    limit: int,
    page: str | None,
    order: Order = "desc",
    bounds: Mapping[str, datetime] | None = None,
) -> Page[Row]:
    """One page of ``rows`` sorted by ``fields``, all in the same direction; nulls count as greatest.

    The last field must be unique. ``bounds`` are the ``gte`` and ``lt`` limits on the first field, already applied:
    a cursor outside of them is refused, as the API documents.
    """
    cursor = Cursor.decode(page, kind=kind, order=order, size=len(fields)) if page is not None else None
    if cursor:
        _check_types(cursor, rows, fields)
        _check_bounds(cursor, bounds or {})
    back = cursor is not None and cursor.back
    ascending = (order == "asc") != back
    if cursor:
        rows = rows.filter(_beyond(fields, cursor.position, ascending=ascending))
    found = list(rows.order_by(*(field if ascending else f"-{field}" for field in fields))[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    if back:
        found.reverse()
    after = more or back
    before = (cursor is not None and not back) or (back and more)
    return Page(
        found,
        _cursor(kind, order, found[-1], fields, back=False) if after and found else None,
        _cursor(kind, order, found[0], fields, back=True) if before and found else None,
    )


def _cursor(kind: str, order: Order, row: Model, fields: Sequence[str], *, back: bool) -> str:
    return Cursor(kind, order, tuple(getattr(row, field) for field in fields), back).encode()


def _check_types(cursor: Cursor, rows: QuerySet[Any], fields: Sequence[str]) -> None:
    """Somebody may have written a cursor themselves: a number where this list has a time is none of ours."""
    computed = rows.query.annotations
    for name, value in zip(fields, cursor.position, strict=True):
        field = computed[name].output_field if name in computed else rows.model._meta.get_field(name)
        kind = datetime if isinstance(field, DateTimeField) else int if isinstance(field, IntegerField) else str
        if value is not None and not isinstance(value, kind):
            raise InvalidRequest(BAD)


def _check_bounds(cursor: Cursor, bounds: Mapping[str, datetime]) -> None:
    at = cursor.position[0]
    if not isinstance(at, datetime):
        return
    if ("gte" in bounds and at < bounds["gte"]) or ("lt" in bounds and at >= bounds["lt"]):
        raise InvalidRequest("page: this cursor lies outside of the created_at filter; start again without it")


def _beyond(fields: Sequence[str], position: Sequence[Value], *, ascending: bool) -> Q:
    """Rows strictly after ``position`` in the direction read."""
    result, same = Q(pk__in=[]), Q()
    for field, value in zip(fields, position, strict=True):
        result |= same & _past(field, value, ascending=ascending)
        same &= Q(**{f"{field}__isnull": True}) if value is None else Q(**{field: value})
    return result


def _past(field: str, value: Value, *, ascending: bool) -> Q:
    """``field`` lies past ``value``; null is past everything when ascending."""
    if value is None:
        return Q(pk__in=[]) if ascending else Q(**{f"{field}__isnull": False})
    beyond = Q(**{f"{field}__{'gt' if ascending else 'lt'}": value})
    return beyond | Q(**{f"{field}__isnull": True}) if ascending else beyond
