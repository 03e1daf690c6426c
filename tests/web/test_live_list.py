"""A page of the list that is looked at: rows change where they stand, new sessions are counted, nothing jumps."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.utils import timezone

from sessions import events as ev
from sessions import log
from sessions.actions import create_session
from sessions.events import Draft
from sessions.listing import Live
from sessions.models import Session, Thread
from tests.web.conftest import text

if TYPE_CHECKING:
    from tests.web.conftest import World


def live(world: World, cursor: str | None = None, **wanted: str) -> Live:
    looked = Live(wanted, cursor, timezone.now(), ZoneInfo("UTC"))
    assert looked.frames(world.acting) == []
    return looked


def plain(html: str) -> str:
    """Without the moments, which go on between two looks."""
    return re.sub(r">[\d.]+ m?s<", "><", re.sub(r"/ [\d.]+ m?s", "/", html))


def another(world: World) -> Session:
    body = {"agent": world.agent.pk, "environment_id": world.environment.pk, "title": "Another"}
    return create_session(body, world.acting)


def test_a_row_is_told_anew_where_it_stands_and_only_when_it_changed(world: World) -> None:
    looked = live(world)
    world.append(world.running(), Draft(ev.AGENT_MESSAGE, {"content": text("Half way")}))
    (frame,) = looked.frames(world.acting)
    assert (frame["target"], frame["swap"]) == ("#rows", "upsert")
    assert frame["content"].startswith(f'<tr id="s-{world.session.pk}"')
    assert "Half way" in frame["content"]
    assert looked.frames(world.acting) == []


def test_what_is_told_is_what_a_reload_shows(world: World) -> None:
    looked = live(world)
    world.append(world.running())
    (frame,) = looked.frames(world.acting)
    shown = world.alice.get("/sessions/").content.decode()
    assert plain(frame["content"]) in plain(shown)


def test_a_row_that_no_longer_fits_the_filter_stays_until_the_page_is_loaded(world: World) -> None:
    looked = live(world, status="idle")
    world.append(world.running())
    (frame,) = looked.frames(world.acting)
    assert "Working" in frame["content"]


def test_new_sessions_are_counted_and_not_put_in(world: World) -> None:
    looked = live(world)
    fresh = another(world)
    (frame,) = looked.frames(world.acting)
    assert frame["target"] == "#newer"
    assert "+1 new" in frame["content"]
    world.append(world.running())
    assert fresh.pk not in "".join(one["content"] for one in looked.frames(world.acting))


def test_a_filtered_list_counts_only_what_it_would_show(world: World) -> None:
    looked = live(world, status="failed")
    another(world)
    assert looked.frames(world.acting) == []


def test_a_searched_list_counts_the_new_ones_whose_titles_or_logs_answer(world: World) -> None:
    looked = live(world, q="lighthouse")
    told = another(world)
    assert looked.frames(world.acting) == []
    thread = Thread.objects.get(session=told)
    log.append(told.pk, thread.pk, [Draft(ev.AGENT_MESSAGE, {"content": text("The lighthouse keeper writes")})])
    (frame,) = looked.frames(world.acting)
    assert "+1 new" in frame["content"]
    assert "q=lighthouse" in frame["content"]
    body = {"agent": world.agent.pk, "environment_id": world.environment.pk, "title": "Another lighthouse"}
    create_session(body, world.acting)
    (frame,) = looked.frames(world.acting)
    assert "+2 new" in frame["content"]


def test_a_change_that_is_seen_later_than_its_moment_is_told_all_the_same(world: World) -> None:
    other = another(world)
    looked = live(world)
    soon = looked.at + timedelta(seconds=2)
    Session.objects.filter(pk=other.pk).update(updated_at=soon)
    assert len(looked.frames(world.acting)) == 1
    Session.objects.filter(pk=world.session.pk).update(updated_at=soon - timedelta(seconds=1))
    (frame,) = looked.frames(world.acting)
    assert frame["content"].startswith(f'<tr id="s-{world.session.pk}"')
    assert looked.frames(world.acting) == []
