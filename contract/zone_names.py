"""Names of the time zones that this machine knows."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones


@cache
def zone_names() -> frozenset[str]:
    """The IANA names. Gathered once a process: each time costs hundreds of reads, too much for every page."""
    return frozenset(available_timezones())
