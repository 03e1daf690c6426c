"""What a session cost, request by request: money over time, and how each sum comes about. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Spending:
    """One event that cost money (``events.SPENDING``)."""

    seq: int
    at: datetime
    private: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request's tokens and price in dollars; ``cost`` is None without a known price. ``total`` is all up to it."""

    seq: int
    at: datetime
    model: str
    read: int
    cache_read: int
    cache_written: int
    written: int
    cost: Decimal | None
    total: Decimal


def requests(spendings: Iterable[Spending]) -> list[Request]:
    """The requests in order, with the running total."""
    total = Decimal(0)
    made = []
    for one in spendings:
        used = one.private.get("usage")
        if not used:
            continue
        cost = Decimal(one.private["cost"]) if one.private.get("cost") is not None else None
        total += cost or 0
        written_cache = int(used.get("cache_creation_5m", 0)) + int(used.get("cache_creation_1h", 0))
        made.append(
            Request(
                seq=one.seq,
                at=one.at,
                model=str(one.private.get("model") or ""),
                read=int(used.get("input_tokens", 0)),
                cache_read=int(used.get("cache_read_input_tokens", 0)),
                cache_written=written_cache,
                written=int(used.get("output_tokens", 0)),
                cost=cost,
                total=total,
            )
        )
    return made


def line(made: list[Request], *, width: float, height: float, limit: Decimal | None = None) -> str:
    """The running total as the points of an SVG polyline, steps from left to right; "" if nothing cost anything."""
    if not made or not made[-1].total:
        return ""
    top = max(made[-1].total, limit or Decimal(0))
    start, seconds = made[0].at, (made[-1].at - made[0].at).total_seconds() or 1.0
    points, y = [f"0,{height:g}"], height
    for one in made:
        x = round((one.at - start).total_seconds() / seconds * width, 1)
        points.append(f"{x:g},{y:g}")
        y = round(height - float(one.total / top) * height, 1)
        points.append(f"{x:g},{y:g}")
    return " ".join(points)
