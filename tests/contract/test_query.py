"""Query strings: brackets, times, and bounds that agree with the times clients see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.query import Range, unbracketed
from contract.times import timestamp

FIRST, LAST = datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2100-01-01")
MOMENTS = st.datetimes(min_value=FIRST, max_value=LAST, timezones=st.just(UTC))
OPERATORS = {
    "gt": datetime.__gt__,
    "gte": datetime.__ge__,
    "lt": datetime.__lt__,
    "lte": datetime.__le__,
}


def test_lists_come_with_or_without_brackets_and_once_each() -> None:
    data = QueryDict("s[]=a&s[]=b&s=c&s[]=a&limit=1&limit=2")
    assert unbracketed(data, ["s[]"])["s[]"] == ["a", "b", "c"]
    assert unbracketed(data, ["s[]"])["limit"] == "2"
    assert "t[]" not in unbracketed(data, ["t[]"])


@pytest.mark.parametrize(
    "sent",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01T01:00:00 01:00",
        "2026-01-01T00:00:00",
        "2026-01-01",
    ],
)
def test_times_are_read_in_every_usual_form(sent: str) -> None:
    found = Range.model_validate({"created_at[gte]": sent})
    assert found.created_at_gte == datetime(2026, 1, 1, tzinfo=UTC)


def test_an_offset_that_the_database_does_not_know_is_read_all_the_same() -> None:
    found = Range.model_validate({"created_at[gte]": "2026-01-01T00:00:00+23:59"}).created_at_gte
    assert found is not None
    assert found.tzinfo == UTC


@pytest.mark.parametrize(
    "sent", ["", "now", "1767225600", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"]
)
def test_other_times_are_refused(sent: str) -> None:
    with pytest.raises(ValidationError):
        Range.model_validate({"created_at[gte]": sent})


@given(MOMENTS, MOMENTS, st.integers(-3000, 3000), st.sampled_from(sorted(OPERATORS)))
def test_bounds_compare_the_times_that_clients_see(stored: datetime, other: datetime, near: int, operator: str) -> None:
    for bound in (other, stored + timedelta(microseconds=near), datetime.fromisoformat(timestamp(stored))):
        limits = Range.model_validate({f"created_at[{operator}]": bound.isoformat()}).bounds()
        found = all({"gte": stored >= at, "lt": stored < at}[name] for name, at in limits.items())
        seen = datetime.fromisoformat(timestamp(stored))
        assert found == OPERATORS[operator](seen, bound), (operator, stored, bound)


def test_bounds_combine() -> None:
    day = [datetime(2026, 1, day, tzinfo=UTC).isoformat() for day in range(1, 5)]
    sent: dict[str, Any] = {
        "created_at[gt]": day[0],
        "created_at[gte]": day[1],
        "created_at[lt]": day[3],
        "created_at[lte]": day[2],
    }
    limits = Range.model_validate(sent).bounds()
    assert limits["gte"] == datetime(2026, 1, 2, tzinfo=UTC)
    assert limits["lt"] == datetime(2026, 1, 3, 0, 0, 0, 1000, tzinfo=UTC)
    assert Range.model_validate({}).bounds() == {}
