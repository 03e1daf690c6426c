"""What the socket pushes makes the same page as a reload, and never lets an agent's words become markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.templatetags.holdfast import markdown
from sessions import events as ev
from sessions import frames, inbox, log, render, window
from sessions.events import Draft
from sessions.models import Event
from tests.web.conftest import World, bash, result, text
from tests.web.dom import Node, apply, parse

if TYPE_CHECKING:
    from collections.abc import Callable

LIVE = ("log", "state-now", "numbers", "side-outputs", "side-touched")


def loaded(world: World) -> Node:
    """The live part of the session's page as it is now."""
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    start = page.index('<div id="live"')
    return parse(page[start : page.index("</main>")])


def push(world: World, page: Node, after: int) -> int:
    """Apply what the socket would send for everything after ``after``; returns the new end of the log."""
    entries = log.read(world.session.pk, after=after)
    processed = Event.objects.in_bulk(frames.processed_ids(entries))
    for row in frames.rows(entries, processed):
        for frame in row.frames:
            assert frame.event is not None
            for fragment in render.event_frames(frame.event, world.fresh()):
                apply(page, fragment)
    return entries[-1].seq if entries else after


def same(pushed: Node, again: Node) -> None:
    for element_id in LIVE:
        mine, theirs = pushed.find(element_id), again.find(element_id)
        assert mine is not None
        assert theirs is not None
        assert mine.html() == theirs.html(), element_id


def a_turn(world: World) -> list[Callable[[], object]]:
    """A whole turn, step by step: message, words, calls, an ask, a result, a queued message, an error, the end."""
    made: dict[str, ev.Entry] = {}

    def calls() -> None:
        drafts = [
            Draft(ev.AGENT_THINKING),
            Draft(ev.AGENT_MESSAGE, {"content": text("I **will** look.\n\n- one\n- two")}),
            bash("ls -la | head"),
            bash("rm -r build", ask=True),
            Draft(ev.TOOL_USE, {"name": "write", "input": {"file_path": "a.py", "content": "x = 1\n"}}),
            Draft(ev.CUSTOM_TOOL_USE, {"name": "weather", "input": {"city": "Berlin"}}),
        ]
        made["free"], made["gated"], made["write"], made["custom"] = world.append(*drafts)[2:]

    def answer() -> None:
        confirmation = {"type": ev.USER_TOOL_CONFIRMATION, "tool_use_id": made["gated"].id, "result": "deny"}
        given = {"type": ev.USER_CUSTOM_TOOL_RESULT, "custom_tool_use_id": made["custom"].id, "content": text("rain")}
        inbox.send(world.session, [{**confirmation, "deny_message": "Keep <it>"}, given], world.acting)

    def waiting() -> None:
        stop = ev.requires_action([made["gated"].id, made["custom"].id])
        world.append(Draft(ev.MODEL_END, {}), world.idle(stop))

    queued = {"type": ev.USER_MESSAGE, "content": text("And then?")}
    error = {"type": "model_overloaded_error", "message": "Busy", "retry_status": {"type": "retrying"}}
    return [
        lambda: inbox.send(world.session, [{"type": ev.USER_MESSAGE, "content": text("Go <b>on</b>")}], world.acting),
        lambda: world.append(Draft(ev.MODEL_START)),
        calls,
        lambda: world.append(Draft(ev.OPS_SANDBOX_OPENED), result(made["free"], "a\nb")),  # type: ignore[arg-type]
        lambda: world.append(result(made["write"], "wrote 6 bytes", is_error=False)),  # type: ignore[arg-type]
        waiting,
        answer,
        lambda: inbox.send(world.session, [queued], world.acting),
        lambda: world.append(result(made["gated"], "Not allowed", is_error=True)),  # type: ignore[arg-type]
        lambda: world.append(Draft(ev.SESSION_ERROR, {"error": error})),
        lambda: world.append(world.idle(ev.END_TURN)),
    ]


def test_pushed_fragments_make_the_page_that_a_reload_shows(world: World) -> None:
    page, seq = loaded(world), world.fresh().last_seq
    for step in a_turn(world):
        step()
        seq = push(world, page, seq)
        same(page, loaded(world))


def test_frames_that_come_twice_change_nothing(world: World) -> None:
    page = loaded(world)
    for step in a_turn(world):
        step()
    push(world, page, 0)
    push(world, page, 0)
    same(page, loaded(world))


def test_a_queued_message_loses_its_mark_when_it_is_read(world: World) -> None:
    world.append(world.running())
    (message,) = world.append(Draft(ev.USER_MESSAGE, {"content": text("Later")}, processed=False))
    page, seq = loaded(world), world.fresh().last_seq
    assert "Queued" in page.text()
    world.append(Draft(ev.OPS_PROCESSED, {"event_ids": [message.pk]}))
    push(world, page, seq)
    assert "Queued" not in page.text()
    same(page, loaded(world))


def test_text_that_streams_is_replaced_by_the_finished_message(world: World) -> None:
    page, seq = loaded(world), world.fresh().last_seq
    drafted = Draft(ev.AGENT_MESSAGE, {"content": text("Hello there")}, id="sevt_streamed")
    start = {"type": "event_start", "event": {"type": ev.AGENT_MESSAGE, "id": "sevt_streamed"}}
    apply(page, render.delta_frame(start) or {})
    for piece in ("Hello ", "<i>there"):
        delta = {"type": "content_delta", "index": 0, "content": {"type": "text", "text": piece}}
        frame = render.delta_frame({"type": "event_delta", "event_id": "sevt_streamed", "delta": delta})
        apply(page, frame or {})
    streaming = page.find("t-sevt_streamed")
    assert streaming is not None
    assert streaming.elements == []
    assert streaming.text() == "Hello &lt;i&gt;there"
    world.append(drafted)
    push(world, page, seq)
    finished = page.find("e-sevt_streamed")
    assert finished is not None
    assert finished.text().count("Hello there") == 1
    assert "streaming" not in finished.html()
    again = loaded(world).find("log")
    assert again is not None
    assert page.find("log") is not None
    assert page.find("log").html() == again.html()  # type: ignore[union-attr]


def test_text_that_never_became_a_message_goes_away(world: World) -> None:
    page, seq = loaded(world), world.fresh().last_seq
    start = {"type": "event_start", "event": {"type": ev.AGENT_MESSAGE, "id": "sevt_cut"}}
    apply(page, render.delta_frame(start) or {})
    assert page.find("e-sevt_cut") is not None
    world.append(Draft(ev.MODEL_END, {"is_error": True}))
    push(world, page, seq)
    assert page.find("e-sevt_cut") is None


def test_an_ended_session_takes_its_composer_away(world: World) -> None:
    page, seq = loaded(world), world.fresh().last_seq
    world.append(Draft(ev.THREAD_TERMINATED, {"session_thread_id": world.thread.pk, "agent_name": "Coder"}))
    push(world, page, seq)
    pushed, again = page.find("composer"), loaded(world).find("composer")
    assert pushed is not None
    assert again is not None
    assert pushed.html() == again.html()
    assert pushed.tag == "div"


def test_events_of_other_threads_and_unknown_deltas_push_nothing(world: World) -> None:
    (event,) = world.append(Draft(ev.AGENT_MESSAGE, {"content": text("aside")}, on_session=False))
    assert render.event_frames(event, world.fresh()) == []
    assert render.delta_frame({"type": "something_else"}) is None


def test_a_call_that_waits_is_shown_though_it_is_older_than_the_window(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "EVENTS", 10)
    (call,) = world.append(bash("make", ask=True))
    world.append(*[Draft(ev.AGENT_MESSAGE, {"content": text(f"m{n}")}) for n in range(30)])
    shown = window.window(world.fresh())
    assert next(row.id for row in shown.rows) == call.pk
    assert shown.rows[0].call is not None
    assert shown.rows[0].call.waiting
    assert len(shown.rows) == 11
    assert (shown.first, shown.last, shown.total) == (22, 31, 31)


def test_earlier_windows_join_without_gap_and_show_results_that_came_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "EVENTS", 10)
    (call,) = world.append(bash("sleep 9"))
    world.append(*[Draft(ev.AGENT_MESSAGE, {"content": text(f"m{n}")}) for n in range(24)])
    world.append(result(call, "slept"))
    seen: list[int] = []
    before: int | None = None
    while True:
        shown = window.window(world.fresh(), before=before)
        seen = [row.seq for row in shown.rows if row.seq >= shown.first] + seen
        if not shown.has_earlier:
            break
        before = shown.first
    assert seen == list(range(1, 26))
    first = shown.rows[0].call
    assert first is not None
    assert first.result is not None
    assert first.result.text.body == "slept"


def test_the_log_is_read_in_pages_and_earlier_rows_come_as_a_fragment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "EVENTS", 10)
    world.append(*[Draft(ev.AGENT_MESSAGE, {"content": text(f"word{n}")}) for n in range(25)])
    address = f"/sessions/{world.session.pk}/"
    page = world.alice.get(address).content.decode()
    assert "15 earlier events not shown" in page
    assert f'hx-get="{address}?before=16"' in page
    fragment = world.alice.get(address, {"before": "16"}, headers={"hx-request": "true"}).content.decode()
    assert "word5<" in fragment
    assert "word15<" not in fragment
    assert '<hx-partial hx-target="#earlier"' in fragment
    assert "<html" not in fragment
    plain = world.alice.get(address, {"before": "16"}).content.decode()
    assert "Events 6 to 15 of 25" in plain
    assert "hx-ws:connect" not in plain


@pytest.mark.parametrize(
    "words",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![tracked](http://example.com/?secret)",
        '[x](http://a "<hx-partial hx-target=body>")',
        "<hx-partial hx-target='body'>gone</hx-partial>",
        '<a hx-get="/logout" href="http://a">x</a>',
        "`<hx-partial hx-target='body'>`",
    ],
)
def test_what_an_agent_says_never_becomes_markup_of_ours(words: str) -> None:
    nodes = parse(markdown(words)).every()
    assert "<hx-" not in markdown(words)
    assert {node.tag for node in nodes} <= {"#root", "p", "a", "code"}
    for node in nodes:
        assert set(node.attributes) <= {"href", "rel"}
        assert str(node.attributes.get("href", "http:")).startswith("http")


def test_results_and_commands_are_shown_as_text(world: World) -> None:
    (call,) = world.append(bash("echo '<hx-partial hx-target=\"body\">'"))
    world.append(result(call, "<hx-partial hx-target='body'><script>alert(1)</script>"))
    for event in log.read(world.session.pk):
        for frame in render.event_frames(event, world.fresh()):
            tags = {node.tag for node in parse(frame["content"]).every()}
            assert "script" not in tags
            assert "hx-target='body'" not in frame["content"]


def test_an_agents_headings_stand_below_the_title_of_the_page() -> None:
    assert markdown("# All\n\n## Parts\n\nOne\n===") == "<h2>All</h2>\n<h2>Parts</h2>\n<h2>One</h2>\n"
