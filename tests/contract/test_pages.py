"""Cursors: opaque, exact, bound to their list and order; and pages that together are the whole list."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Agent, Workspace
from contract.errors import InvalidRequest
from contract.pages import Cursor, Order, paginate

FIRST, LAST = datetime.fromisoformat("1970-01-01"), datetime.fromisoformat("2200-01-01")
MOMENTS = st.datetimes(min_value=FIRST, max_value=LAST, timezones=st.just(UTC))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60)
VALUES = st.one_of(MOMENTS, TEXTS, st.integers(-(2**62), 2**62), st.none())
ORDERS: st.SearchStrategy[Order] = st.sampled_from(["asc", "desc"])


@given(TEXTS, ORDERS, st.lists(VALUES, min_size=1, max_size=3), st.booleans())
def test_a_cursor_survives_the_wire(kind: str, order: Order, position: list[Any], back: bool) -> None:
    cursor = Cursor(kind, order, tuple(position), back)
    text = cursor.encode()
    assert text.startswith("page_")
    assert text.replace("_", "").replace("-", "").isalnum()
    if len(text) <= 1000:
        assert Cursor.decode(text, kind=kind, order=order, size=len(position)) == cursor


@given(
    st.one_of(
        st.text(max_size=200), st.binary(max_size=100).map(lambda raw: "page_" + base64.urlsafe_b64encode(raw).decode())
    )
)
def test_whatever_else_is_sent_is_a_bad_request(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^page"):
        Cursor.decode(text, kind="agents", order="desc", size=2)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    )
)
def test_well_formed_json_of_the_wrong_shape_is_a_bad_request(value: Any) -> None:
    text = "page_" + base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    with pytest.raises(InvalidRequest):
        Cursor.decode(text, kind="agents", order="desc", size=2)


@pytest.mark.parametrize("change", [{"kind": "files"}, {"order": "asc"}, {"size": 3}])
def test_a_cursor_belongs_to_one_list_and_one_order(change: dict[str, Any]) -> None:
    text = Cursor("agents", "desc", (datetime.now(UTC), "agent_1")).encode()
    with pytest.raises(InvalidRequest):
        Cursor.decode(text, **{"kind": "agents", "order": "desc", "size": 2, **change})


@pytest.mark.django_db
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_pages_forward_and_back_are_the_whole_list_though_times_repeat(order: Order, limit: int) -> None:
    workspace = Workspace.objects.create(name="w")
    for number in range(7):
        at = datetime(2026, 1, 1 + number // 3, tzinfo=UTC)
        Agent.objects.create(workspace=workspace, name=str(number), created_at=at, updated_at=at)
    fields = ("created_at", "id")
    sign = "" if order == "asc" else "-"
    whole = list(Agent.objects.order_by(f"{sign}created_at", f"{sign}id"))

    def walk(start: str | None, *, forward: bool) -> tuple[list[Agent], str | None]:
        seen: list[Agent] = []
        page, last = start, None
        while True:
            found = paginate(Agent.objects.all(), kind="a", fields=fields, limit=limit, page=page, order=order)
            seen = seen + found.rows if forward else found.rows + seen
            page = found.next_page if forward else found.prev_page
            last = found.prev_page if forward else found.next_page
            if page is None:
                return seen, last

    forward, back_from = walk(None, forward=True)
    assert forward == whole
    if back_from is not None:
        backward, _ = walk(back_from, forward=False)
        assert backward == whole[: len(backward)]
        assert len(backward) == (len(whole) - 1) // limit * limit


@pytest.mark.django_db
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    "value", ["x", 5, -1, "\ud800", {"t": "2026-01-01T00:00:00+23:00"}, {"t": "0001-01-01T00:00:00+14:00"}], ids=repr
)
def test_a_cursor_somebody_wrote_is_refused_or_a_place_in_the_list(place: int, value: Any) -> None:
    position: list[Any] = [{"t": "2026-01-01T00:00:00+00:00"}, "agent_1"]
    position[place] = value
    text = json.dumps(["a", "desc", position, 0])
    page = "page_" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    right = isinstance(value, str) and value.isascii() if place else isinstance(value, dict) and "23:00" in value["t"]
    try:
        paginate(Agent.objects.all(), kind="a", fields=("created_at", "id"), limit=1, page=page)
    except InvalidRequest as error:
        assert error.message.startswith("page")
        assert not right
    else:
        assert right
