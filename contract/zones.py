"""The time zone of whoever looks: pages show days as their reader counts them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from contract.zone_names import zone_names

if TYPE_CHECKING:
    from collections.abc import Mapping

COOKIE = "zone"  # set by static/js/times.js: the browser's zone, or UTC where that was chosen


def zone_of(cookies: Mapping[str, str]) -> ZoneInfo:
    """The reader's zone; the installation's if the browser didn't say, or said nonsense."""
    return named(cookies.get(COOKIE, "")) or ZoneInfo(settings.TIME_ZONE)


def named(name: str) -> ZoneInfo | None:
    """A zone by its IANA name; None for one that doesn't exist."""
    return ZoneInfo(name) if name in zone_names() else None


def today(zone: ZoneInfo) -> datetime:
    """When the day began there."""
    return midnight(timezone.now().astimezone(zone))


def midnight(moment: datetime, days: int = 0) -> datetime:
    """The beginning of a local moment's day, or of the one ``days`` later; also where a clock is put forward."""
    day = moment.date() + timedelta(days=days)
    return datetime(day.year, day.month, day.day, tzinfo=moment.tzinfo)
