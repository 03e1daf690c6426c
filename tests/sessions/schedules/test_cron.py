"""Which schedules are allowed, when they match across daylight saving, and how late their runs start."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contract.errors import InvalidRequest
from sessions.schedules import cron

BERLIN = "Europe/Berlin"
NEVER = "never matches a date, so it would never fire"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("* * * * * *", "has 6 fields"),
        ("0 3 * *", "has 4 fields"),
        ("", "has 0 fields"),
        ("0 0 * * " + ",".join("1" * 200), "has 407 characters; at most 256"),
        ("@daily", "shortcuts such as @daily"),
        ("0 0 L * *", "L, W, # and ?"),
        ("0 0 15W * *", "L, W, # and ?"),
        ("0 0 ? * 1", "L, W, # and ?"),
        ("0 0 * * 1#2", "L, W, # and ?"),
        ("60 0 * * *", "the minute of"),
        ("0 24 * * *", "the hour of"),
        ("0 0 32 * *", "the day of month of"),
        ("0 0 * 13 *", "the month of"),
        ("0 0 * * 8", "the day of week of"),
        ("*/0 * * * *", "the minute of"),
        ("5-1 * * * *", "the minute of"),
        ("0 0 30 2 *", NEVER),
        ("0 0 31 4,6,9,11 *", NEVER),
        ("a;b * * * *", "is not a minute"),
    ],
)
def test_a_schedule_that_cannot_fire_as_written_is_refused(expression: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^schedule\.expression: ") as refused:
        cron.check({"type": "cron", "expression": expression, "timezone": "UTC"})
    assert said in refused.value.message


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "CET+1"])
def test_a_zone_that_is_no_iana_name_is_refused(zone: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^schedule\.timezone: "):
        cron.check({"type": "cron", "expression": "0 3 * * *", "timezone": zone})


@pytest.mark.parametrize(
    "expression", ["*/5 * * * *", "0 9 * * 1-5", "0 0 1,15 * *", "0 0 * * 7", "0 0 29 2 *", "0 9 * JAN MON"]
)
def test_posix_expressions_are_taken_with_their_blanks_made_single(expression: str) -> None:
    spaced = expression.replace(" ", "  ")
    assert cron.check({"type": "cron", "expression": spaced, "timezone": BERLIN}) == (expression, BERLIN)


def test_a_local_time_that_daylight_saving_skips_does_not_fire() -> None:
    assert cron.upcoming("30 2 * * *", BERLIN, utc(2026, 3, 28, 12), 2) == [
        utc(2026, 3, 30, 0, 30),
        utc(2026, 3, 31, 0, 30),
    ]


def test_a_local_time_that_comes_twice_fires_twice() -> None:
    found = cron.upcoming("30 2 * * *", BERLIN, utc(2026, 10, 24, 12), 3)
    assert found == [utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1, 30), utc(2026, 10, 26, 1, 30)]


def test_nine_in_the_morning_stays_nine_in_its_zone() -> None:
    winter, summer = utc(2026, 1, 5), utc(2026, 7, 6)
    assert cron.upcoming("0 9 * * 1", "America/New_York", winter, 1) == [utc(2026, 1, 5, 14)]
    assert cron.upcoming("0 9 * * 1", "America/New_York", summer, 1) == [utc(2026, 7, 6, 13)]


@pytest.mark.parametrize(("expression", "most"), [("* * * * *", 9.0), ("*/10 * * * *", 90.0), ("0 3 * * *", 540.0)])
def test_starts_are_late_by_the_same_time_and_never_early(expression: str, most: float) -> None:
    now = utc(2026, 5, 1)
    found = {cron.jitter(f"depl_{number}", expression, "UTC", now) for number in range(200)}
    assert 5.0 <= min(found) < max(found) <= most
    assert cron.jitter("depl_1", expression, "UTC", now) == cron.jitter("depl_1", expression, "UTC", now)


def test_sunday_is_zero_and_seven() -> None:
    at = utc(2026, 5, 1)
    assert cron.upcoming("0 0 * * 0", "UTC", at) == cron.upcoming("0 0 * * 7", "UTC", at)
