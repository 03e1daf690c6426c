"""A session's pages: readings of one log that keep the selection, the inspector, and attacks that stay text."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.templatetags.calls import view_of
from contract.plain import clean
from sessions import events as ev
from sessions import log, render, timeline, window
from sessions.events import Draft
from sessions.models import Event, Session, Thread
from sessions.projections import kinds
from tests.web.conftest import World, bash, result, text
from tests.web.dom import parse
from tests.web.test_fragments import loaded, push, same

TYPES = sorted(value for name, value in vars(ev).items() if name.isupper() and isinstance(value, str) and "." in value)
NOT_APPENDED = {ev.SESSION_DELETED, ev.OPS_PREFIX, *(t for t in TYPES if t.endswith("."))}


def payload_of(world: World, event_type: str, call: Event) -> dict[str, Any]:
    """A payload as the product writes it, as far as the pages and the columns read it."""
    about = {"session_thread_id": world.thread.pk, "agent_name": "Coder", "stop_reason": ev.END_TURN}
    common: dict[str, Any] = {
        "content": text("words"),
        "name": "lookup",
        "input": {"city": "Berlin"},
        "error": {"type": "unknown_error", "message": "Broken", "retry_status": {"type": "exhausted"}},
        "message": "told",
        "by": "ada",
        "text": "told",
        "event_ids": [],
        "result": "allow",
        "is_error": False,
        "digest": "0" * 64,
        "host": "example.com",
        "decision": "denied",
        "model_request_start_id": "sevt_none",
        "count": 1,
        "outcome_id": "outc_1",
        "description": "A table",
        "rubric": {"type": "text", "content": "It has a head."},
        "max_iterations": 3,
        "iteration": 0,
        "explanation": "told",
    }
    answers = dict.fromkeys(("tool_use_id", "custom_tool_use_id", "mcp_tool_use_id"), call.pk)
    return common | about | answers


@pytest.mark.parametrize("event_type", [*[t for t in TYPES if t not in NOT_APPENDED], "agent.something_new", "ops.new"])
def test_what_is_pushed_is_what_a_reload_shows_for_every_type_of_event(world: World, event_type: str) -> None:
    world.append(world.running())
    (call,) = world.append(bash("make", ask=True))
    page, seq = loaded(world), world.fresh().last_seq
    world.append(Draft(event_type, payload_of(world, event_type, call)))
    push(world, page, seq)
    same(page, loaded(world))


def test_an_event_of_an_unknown_type_is_named(world: World) -> None:
    world.append(Draft("agent.something_new", {"odd": True}))
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    assert "doesn&#x27;t know: agent.something_new" in page


DAMAGE: list[dict[str, Any]] = [
    {},
    *({"content": value} for value in ("words", ["words"], 5)),
    *({name: "words"} for name in ("input", "error", "stop_reason", "rubric", "usage", "model_usage")),
    {"error": {"retry_status": "words"}},
]


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_entries_that_were_damaged_by_hand_are_told_and_the_pages_stay(world: World, damage: dict[str, Any]) -> None:
    world.append(world.running())
    (call,) = world.append(bash("make", ask=True))
    world.append(result(call, "done"))
    for event_type in TYPES:
        if event_type not in {*NOT_APPENDED, ev.STATUS_TERMINATED, ev.THREAD_TERMINATED}:
            made = world.append(Draft(event_type, payload_of(world, event_type, call)))[0]
            answers = {"tool_use_id": call.pk} if event_type in ev.RESULTS else {}
            Event.objects.filter(pk=made.pk).update(payload={**damage, **answers})
    base = f"/sessions/{world.session.pk}/"
    for path in ("", "trace/", "events/", f"events/{call.seq}/", "fork/?at=5", "minimap/", "pulse/", "changes/"):
        response = world.alice.get(base + path)
        assert response.status_code == 200, path
    assert world.alice.get("/sessions/").status_code == 200
    for event in log.read(world.session.pk):
        for frame in render.event_frames(event, world.fresh()):
            parse(frame["content"])
    if "content" in damage:
        assert "Damaged entry of the log" in world.alice.get(base).content.decode()


ATTACKS = [
    "\x1b]0;title\x07\x1b[31mred\x1b[0m",
    "safe\u202egnp.exe",
    "</pre><script>alert(1)</script>",
    "<hx-partial hx-target='body'>gone</hx-partial>",
    "\x00\x08\x1b[2J",
]


@pytest.mark.parametrize("words", ATTACKS)
def test_attacks_stay_text_wherever_an_agent_puts_them(world: World, words: str) -> None:
    stored = words.replace("\x00", "")
    (call,) = world.append(bash(stored))
    world.append(result(call, stored), Draft(ev.AGENT_MESSAGE, {"content": text(stored)}))
    world.append(Draft(ev.TOOL_USE, {"name": "write", "input": {"file_path": stored, "content": stored}}))
    Session.objects.filter(pk=world.session.pk).update(title=stored)
    base = f"/sessions/{world.session.pk}/"
    for path in ("", "trace/", "events/", "events/1/", "changes/", "inspect/resources/", "inspect/tools/"):
        page = world.alice.get(base + path).content.decode()
        assert "<script>alert" not in page
        assert "<hx-partial hx-target='body'" not in page
    for event in log.read(world.session.pk):
        for frame in render.event_frames(event, world.fresh()):
            parse(frame["content"])
            assert "\x1b" not in frame["content"]
            assert "\u202e" not in frame["content"]


def test_what_steers_a_terminal_or_turns_text_around_is_taken_out_or_shown() -> None:
    assert clean("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link") == "red link"
    assert clean("a\u202eb\x07") == "a<U+202E>b<U+0007>"
    assert clean("tab\tline\r\nnext") == "tab\tline\nnext"
    assert "&lt;U+202E&gt;" in str(view_of("bash", {"command": "rm \u202e"}).code)


def test_an_event_has_a_page_of_its_own_and_a_place_in_every_reading(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "EVENTS", 10)
    made = world.append(*[Draft(ev.AGENT_MESSAGE, {"content": text(f"word{n}.")}) for n in range(40)])
    base = f"/sessions/{world.session.pk}/"
    for reference in ("12", made[11].pk):
        page = world.alice.get(base, {"event": reference}).content.decode()
        assert page.count('aria-current="true"') == 1
        assert f'id="e-{made[11].pk}" data-seq="12" class="row agent" aria-current="true"' in page
        assert f'href="{base}trace/?event=12"' in page
        assert f'href="{base}events/?event=12"' in page
    own = world.alice.get(f"{base}events/12/").content.decode()
    assert made[11].pk in own
    assert f"/v1/sessions/{world.session.pk}/events?" in own
    assert world.alice.get(f"{base}events/41/").status_code == 404
    assert 'aria-current="true"' in world.alice.get(f"{base}events/", {"event": "12"}).content.decode()


def change(world: World, name: str, given: dict[str, str]) -> None:
    """A call that changed a file."""
    (call,) = world.append(Draft(ev.TOOL_USE, {"name": name, "input": given}))
    world.append(Draft(ev.TOOL_RESULT, {"tool_use_id": call.pk, "content": [], "is_error": False}))


def a_turn(world: World) -> None:
    world.append(world.running())
    (start,) = world.append(Draft(ev.MODEL_START))
    usage = {"input_tokens": 100, "output_tokens": 10, "model_requests": 1}
    private = {"first_token_ms": 1, "usage": usage, "cost": "0.25", "model": "demo"}
    end = Draft(ev.MODEL_END, {"model_request_start_id": start.pk, "model_usage": usage}, private=private)
    (free,) = world.append(bash("ls"), end)[:1]
    world.append(Draft(ev.TOOL_RESULT, {"tool_use_id": free.pk, "content": text("x"), "is_error": True}))
    change(world, "write", {"file_path": "a.py", "content": "one\ntwo\n"})
    change(world, "edit", {"file_path": "a.py", "old_string": "two", "new_string": "three"})
    world.append(Draft(ev.TOOL_USE, {"name": "write", "input": {"file_path": "a.py", "content": "not yet"}}))
    world.append(world.idle(ev.END_TURN))


def test_the_trace_draws_every_step_and_can_show_errors_only(world: World) -> None:
    a_turn(world)
    base = f"/sessions/{world.session.pk}/trace/"
    page = world.alice.get(base).content.decode()
    for phase in kinds.PHASES:
        assert phase.label in page
    assert page.count("<tr id=") == 6
    errors = world.alice.get(base, {"errors": "1"}).content.decode()
    assert errors.count("<tr id=") == 1
    assert "5 steps of them not shown" in errors
    assert "bash" in errors
    assert world.alice.get(base, {"from": "1", "to": "3"}).content.decode().count("<tr id=") < 6


def test_the_inspector_counts_tools_money_files_and_threads(world: World) -> None:
    a_turn(world)
    base = f"/sessions/{world.session.pk}/"
    tools = world.alice.get(f"{base}inspect/tools/", headers={"hx-request": "true"}).content.decode()
    assert "<html" not in tools
    row = tools[tools.index(">bash<") :]
    assert row.split('class="number">')[1].startswith("1<")
    assert row.split('class="number">')[2].startswith("1<")
    money = world.alice.get(f"{base}inspect/session/").content.decode()
    assert "$0.25 for 1 model request" in money
    files = world.alice.get(f"{base}inspect/resources/").content.decode()
    assert "2 changes" in files
    progress = world.alice.get(f"{base}inspect/progress/").content.decode()
    assert '<code>a.py</code> <span class="added">+2</span>' in progress
    assert '<span class="gi">+three\n</span>' in progress
    assert "1 failed" in progress
    diff = world.alice.get(f"{base}changes/", {"path": "a.py"}).content.decode()
    assert '<span class="gd">- two\n</span>' in diff
    assert '<span class="gi">+ three\n</span>' in diff
    assert "Coder" in world.alice.get(f"{base}inspect/threads/").content.decode()
    assert world.alice.get(f"{base}inspect/access/").status_code == 200
    assert world.alice.get(f"{base}inspect/other/").status_code == 404


def test_a_money_limit_is_set_raised_lifted_and_shown_in_the_header(world: World) -> None:
    Session.objects.filter(pk=world.session.pk).update(
        agent_snapshot={**world.session.agent_snapshot, "model": {"id": "claude-opus-4-8", "speed": "standard"}}
    )
    path = f"/sessions/{world.session.pk}/limit/"
    for typed, shown in (("2.50", "$2.50"), ("$10", "$10.00")):
        page = world.alice.post(path, {"cap": "list_cost", "limit": typed}, follow=True).content.decode()
        assert f"The limit is {shown} now" in page
        assert f"of {shown}" in page
    for wrong in ("plenty", "-1", "0", "1e99", "NaN"):
        assert (
            "notice failed"
            in world.alice.post(path, {"cap": "list_cost", "limit": wrong}, follow=True).content.decode()
        )
    assert "lifted" in world.alice.post(path, {"cap": "list_cost", "limit": ""}, follow=True).content.decode()


def test_the_pulse_is_honest(world: World) -> None:
    path = f"/sessions/{world.session.pk}/pulse/"
    assert "<span title" not in world.alice.get(path).content.decode()
    world.append(world.running())
    assert "No worker has touched this" in world.alice.get(path).content.decode()
    Thread.objects.filter(pk=world.thread.pk).update(lease_expires=timezone.now() + timedelta(seconds=6))
    assert "Live" in world.alice.get(path).content.decode()
    Thread.objects.filter(pk=world.thread.pk).update(lease_expires=timezone.now() - timedelta(seconds=60))
    assert "No worker has touched this since" in world.alice.get(path).content.decode()


def test_the_minimap_folds_pauses_and_stays_small_however_long_the_log_is(world: World) -> None:
    start = timezone.now() - timedelta(days=2)
    moments = [start + timedelta(milliseconds=20 * n) for n in range(3000)]
    moments += [start + timedelta(days=1, milliseconds=20 * n) for n in range(3000)]
    world.append(*[Draft(ev.AGENT_MESSAGE, {"content": text("x")}, at=moment) for moment in moments])
    Session.objects.filter(pk=world.session.pk).update(active_seconds=120)
    drawn = timeline.minimap(world.fresh())
    assert len(drawn.gaps) == 1
    assert drawn.gaps[0][1] == pytest.approx(86_400 - 60, abs=1)
    stops = [stop.split(":") for stop in drawn.stops.split()]
    assert 200 < len(stops) < 400
    assert [int(seq) for _, seq in stops] == sorted(int(seq) for _, seq in stops)
    assert len(world.alice.get(f"/sessions/{world.session.pk}/minimap/").content) < 40_000


def test_the_minimap_of_a_big_team_shows_every_thread_in_little_room(world: World) -> None:
    parent, now = world.thread, timezone.now()
    about = {"session": world.session, "parent": parent, "created_at": now, "updated_at": now}
    for n in range(24):
        thread = Thread.objects.create(**about, agent_name="Worker", agent=parent.agent)
        log.append(world.session.pk, thread.pk, [Draft(ev.AGENT_MESSAGE, {"content": text(f"mine is {n}")})])
    world.append(Draft(ev.AGENT_MESSAGE, {"content": text("All at work")}))
    drawn = timeline.minimap(world.fresh())
    assert len(drawn.lanes) == 25
    assert all(lane.paths for lane in drawn.lanes)
    assert drawn.pixels == 100
    page = world.alice.get(f"/sessions/{world.session.pk}/minimap/").content.decode()
    assert "Worker × 24, Coder" in page


def test_a_title_of_500_arabic_characters_leaves_the_page_whole(world: World) -> None:
    Session.objects.filter(pk=world.session.pk).update(title="جلسة " * 100)
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    parse(page[page.index('<div id="live"') : page.index("</main>")])


def test_300_parallel_calls_and_five_megabytes_of_output_are_shown_in_bounds(world: World) -> None:
    calls = world.append(*[bash(f"echo {n}") for n in range(300)])
    world.append(result(calls[0], "x" * 5_000_000), *[result(call, "ok") for call in calls[1:]])
    response = world.alice.get(f"/sessions/{world.session.pk}/")
    assert len(response.content) < 1_000_000
    page = world.alice.get(f"/sessions/{world.session.pk}/", {"event": "1"}).content.decode()
    assert "4980000 characters are left out here" in page.replace(",", "")


def test_a_frame_is_json_whatever_is_in_it(world: World) -> None:
    (call,) = world.append(bash("echo '\u2028'"))
    for frame in render.event_frames(call, world.fresh()):
        assert json.loads(json.dumps(frame)) == frame


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("read", {"file_path": "/x", "view_range": [5]}),
        ("read", {"file_path": "/x", "view_range": {"from": 5}}),
        ("bash", {"command": ["ls"]}),
        ("write", {"file_path": "/x", "content": None}),
        ("edit", {"file_path": "/x"}),
        ("glob", {"pattern": 5}),
    ],
)
def test_input_that_does_not_fit_its_tool_is_shown_as_it_is(tool: str, given: dict[str, Any]) -> None:
    assert view_of(tool, given).headline == f"Call {tool}"
