"""The trace grows under the eyes of who watches it: what is pushed makes the page that a reload shows."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from sessions import events as ev
from sessions import livetrace, timeline
from sessions.events import Draft
from sessions.models import Event, Session
from tests.web.conftest import World, bash, result, text
from tests.web.dom import Node, apply, parse

if TYPE_CHECKING:
    from datetime import datetime


class Clock:
    """The time by which traces are drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        self.passes()
        monkeypatch.setattr(timeline, "timezone", SimpleNamespace(now=lambda: self.now))

    def passes(self, seconds: float = 0) -> None:
        """Stand still at the real time and all that passed besides."""
        self.ahead += seconds
        self.now: datetime = timezone.now() + timedelta(seconds=self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def loaded(world: World, query: str = "") -> Node:
    page = world.alice.get(f"/sessions/{world.session.pk}/trace/{query}").content.decode()
    return parse(page[page.index('<div id="live"') : page.index("</main>")])


def watching(world: World, page: Node) -> livetrace.Live:
    """What the socket that the page opens draws with."""
    live = page.find("live")
    assert live is not None
    query = parse_qs(urlsplit(str(live.attributes["hx-ws:connect"])).query)
    given = {name: values[-1] for name, values in query.items()}
    return livetrace.Live.asked(world.session.pk, given, int(given["after"]))


def shown(page: Node) -> str:
    """The trace without what grows by the reader's own clock."""
    trace = page.find("trace")
    assert trace is not None
    rows = [row for row in trace.every() if row.tag == "tr" and any("data-rate" in n.attributes for n in row.every())]
    for row in rows:
        for node in row.every():
            node.attributes.pop("width", None)
            node.children = [*node.elements]
    return trace.html()


def push(live: livetrace.Live, page: Node) -> list[str]:
    frames = live.frames()
    for frame in frames:
        apply(page, frame)
    return [frame["target"] for frame in frames]


@pytest.mark.parametrize("query", ["", "?errors=1", "?idle=show"])
def test_pushed_rows_make_the_trace_that_a_reload_shows(world: World, clock: Clock, query: str) -> None:
    page = loaded(world, query)
    live = watching(world, page)
    push(live, page)
    clock.passes()
    start = world.append(world.running(), Draft(ev.MODEL_START))[-1]
    assert shown_alike(live, page, world, clock)
    _, one, two = world.append(
        Draft(ev.MODEL_END, {"model_request_start_id": start.pk, "model_usage": {"output_tokens": 7}}),
        bash("make"),
        bash("make install", ask=True),
    )[:3]
    assert shown_alike(live, page, world, clock)
    clock.passes(30)
    world.append(result(one, "no rule", is_error=True))
    assert shown_alike(live, page, world, clock)
    world.append(Draft(ev.USER_TOOL_CONFIRMATION, {"tool_use_id": two.pk, "result": "deny"}))
    world.append(result(two, "Not allowed", is_error=True), Draft(ev.AGENT_MESSAGE, {"content": text("So be it.")}))
    assert shown_alike(live, page, world, clock)
    world.append(world.idle(ev.END_TURN))
    assert shown_alike(live, page, world, clock)


def shown_alike(live: livetrace.Live, page: Node, world: World, clock: Clock) -> bool:
    clock.passes()
    push(live, page)
    query = "?errors=1" if live.wanted.errors else "" if live.wanted.fold else "?idle=show"
    assert shown(page) == shown(loaded(world, query))
    return True


def test_a_new_step_sends_its_row_alone_until_the_line_is_full(world: World, clock: Clock) -> None:
    world.append(world.running())
    page = loaded(world)
    live = watching(world, page)
    assert push(live, page) == [], "the page shows all of it already"
    world.append(bash("make"))
    clock.passes()
    assert push(live, page) == ["#bars", "#traced"]
    assert push(live, page) == []
    assert 0 < live.room <= 5
    clock.passes(live.room + 1)
    assert push(live, page) == ["#trace"], "the line is drawn anew with more room"
    assert live.room > 0
    assert shown(page) == shown(loaded(world))


def test_a_call_that_waits_grows_while_its_session_is_idle(world: World, clock: Clock) -> None:
    world.append(world.running(), bash("make", ask=True))
    world.append(world.idle({"type": "requires_action"}))
    assert world.fresh().status == "idle"
    clock.passes()
    page = loaded(world)
    live = watching(world, page)
    assert push(live, page) == []
    (drawn,) = [node for node in page.every() if "data-rate" in node.attributes]
    assert float(str(drawn.attributes["data-rate"])) > 0
    clock.passes(live.room + 1)
    assert push(live, page) == ["#trace"], "the line is drawn anew with more room, however long nobody answers"
    assert shown(page) == shown(loaded(world))
    Session.objects.update(archived_at=timezone.now())
    assert not [node for node in loaded(world).every() if "data-rate" in node.attributes], "nobody will"


def test_a_long_wait_is_folded_while_it_lasts_and_after_it(world: World, clock: Clock) -> None:
    call = world.append(world.running(), bash("make", ask=True))[-1]
    world.append(world.idle({"type": "requires_action"}))
    clock.passes(3600)
    waits = timeline.read_trace(world.fresh(), timeline.Wanted())
    assert [round(seconds / 3600) for _x, seconds in waits.gaps] == [1]
    assert [bar.rate for bar in waits.bars if bar.since] == [0.0], "it tells its time and doesn't grow"
    assert waits.room <= 0
    assert timeline.read_trace(world.fresh(), timeline.Wanted(fold=False)).gaps == []
    page = loaded(world)
    live = watching(world, page)
    push(live, page)
    assert push(live, page) == [], "nothing moves while it waits"
    answer = world.append(Draft(ev.USER_TOOL_CONFIRMATION, {"tool_use_id": call.pk, "result": "allow"}))[-1]
    world.append(world.running())
    Event.objects.filter(seq__gte=answer.seq).update(created_at=answer.created_at + timedelta(seconds=3000))
    clock.passes()
    (gap,) = timeline.read_trace(world.fresh(), timeline.Wanted()).gaps
    assert 2990 < gap[1] < 3010


def test_a_socket_that_comes_back_after_a_loss_draws_what_it_missed(world: World, clock: Clock) -> None:
    world.append(world.running())
    page = loaded(world)
    world.append(bash("make"))
    assert push(watching(world, page), page) == ["#trace"]
    assert shown(page) == shown(loaded(world))


def test_a_long_log_under_watch_does_not_move_with_every_event(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "EVENTS", 12)
    world.append(world.running(), *[bash(f"echo {n}") for n in range(12)])
    page = loaded(world)
    live = watching(world, page)
    push(live, page)
    targets = []
    for n in range(3):
        world.append(bash(f"echo more {n}"))
        targets.append(push(live, page)[0])
    assert targets == ["#bars", "#bars", "#trace"], "the third one is more than a quarter beyond"
    assert shown(page) == shown(loaded(world))


@pytest.mark.parametrize("kept", ["", "x", "1", "1.x", "-1.2", "9" * 19 + ".1", "٣.٣"])
def test_an_address_that_means_nothing_is_read_as_the_latest_part(world: World, clock: Clock, kept: str) -> None:
    live = livetrace.Live.asked(world.session.pk, {"kept": kept, "scale": "?"}, None)
    assert live.wanted.kept == (0, 0)
    assert [frame["target"] for frame in live.frames()] == ["#trace"]
