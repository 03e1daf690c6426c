"""Cron expressions: what is allowed, when they match, and how far a start is moved (spec advanced 13.2).

Times match by the wall clock of the schedule's zone: a local time that daylight saving skips doesn't fire, one
that it repeats fires twice.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from contract.errors import InvalidRequest
from contract.zone_names import zone_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
FIELD = re.compile(r"[0-9A-Za-z*,/-]+")
EXTENDED = re.compile(r"(?i)[#?]|\bL\b|\bW\b|\bLW\b|\d[LW]\b")
MAX_LENGTH = 256
SHOWN = 5
JITTER_SHARE = 0.15
JITTER_BOUNDS = (5.0, 540.0)
FORMAT = "write five fields: minute, hour, day of the month, month, day of the week, such as 0 9 * * 1-5"


def check(schedule: Mapping[str, str]) -> tuple[str, str]:
    """Expression and zone of a sent schedule, found good. Raises ``InvalidRequest`` naming the part that isn't."""
    expression, zone = " ".join(schedule["expression"].split()), schedule["timezone"]
    if zone not in zone_names():
        raise InvalidRequest(f"schedule.timezone: {zone[:64]!r} is not an IANA time zone such as Europe/Berlin or UTC")
    _check_expression(expression)
    if not upcoming(expression, zone, datetime.now(UTC), 1):
        raise InvalidRequest(f"schedule.expression: {expression!r} never matches a date, so it would never fire")
    return expression, zone


def _check_expression(expression: str) -> None:
    where = "schedule.expression"
    fields = expression.split()
    if expression.startswith("@"):
        raise InvalidRequest(f"{where}: shortcuts such as @daily are not supported; {FORMAT}")
    if len(expression) > MAX_LENGTH:
        raise InvalidRequest(f"{where}: has {len(expression)} characters; at most {MAX_LENGTH} are allowed")
    if len(fields) != len(FIELDS):
        raise InvalidRequest(f"{where}: has {len(fields)} fields; {FORMAT} (no seconds, no years)")
    if EXTENDED.search(expression):
        raise InvalidRequest(f"{where}: the characters L, W, # and ? are not supported; {FORMAT}")
    for name, field in zip(FIELDS, fields, strict=True):
        if not FIELD.fullmatch(field):
            raise InvalidRequest(f"{where}: {field!r} is not a {name}; {FORMAT}")
    try:
        CronSim(f"0 {expression}", datetime.now(UTC))
    except CronSimError as error:
        if str(error) == "Bad day-of-month" and _never(fields):
            raise InvalidRequest(f"{where}: {expression!r} never matches a date, so it would never fire") from None
        what = str(error).removeprefix("Bad ").replace("-", " ")
        raise InvalidRequest(f"{where}: the {what} of {expression!r} can't be read; {FORMAT}") from None


def _never(fields: list[str]) -> bool:
    """True if the day is a day of some month, only not of the months named."""
    try:
        CronSim(f"0 0 0 {fields[2]} * *", datetime.now(UTC))
    except CronSimError:
        return False
    return True


def occurrences(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """The times after ``after``, in UTC. Ends where the next one is over fifty years away."""
    # Six fields: with five the library shifts times around the changes of daylight saving, as Debian's cron does.
    for moment in CronSim(f"0 {expression}", after.astimezone(ZoneInfo(zone))):
        yield moment.astimezone(UTC)


def upcoming(expression: str, zone: str, after: datetime, count: int = SHOWN) -> list[datetime]:
    return list(islice(occurrences(expression, zone, after), count))


def jitter(owner: str, expression: str, zone: str, now: datetime) -> float:
    """Seconds by which every start of a schedule is late: at most 15 % of its interval, the same each time."""
    found = upcoming(expression, zone, now)
    gaps = [(later - earlier) / timedelta(seconds=1) for earlier, later in pairwise(found)]
    low, high = JITTER_BOUNDS
    most = min(high, max(low, JITTER_SHARE * min(gaps, default=high / JITTER_SHARE)))
    digest = hashlib.sha256(f"{owner} {expression} {zone}".encode()).digest()
    share = int.from_bytes(digest[:6], "big") / 2**48
    return round(low + (most - low) * share, 3)
