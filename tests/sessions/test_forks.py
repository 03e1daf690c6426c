"""Forks know what came before and nothing after; comparison, export and import keep it straight."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from contract import blobs
from contract.errors import InvalidRequest, PermissionDenied
from contract.roles import Role
from contract.secret import Secret
from credentials.models import AuditRecord
from sessions import events as ev
from sessions import exports, files, forks, log
from sessions.events import Draft
from sessions.models import Event, Session, Thread
from sessions.projections import changes, compare, cost, transcript
from tests.streamed import whole
from tests.web.conftest import World, bash, first_day, own_blobs, result, text, world

HEAD = b'{"type":"holdfast.session","version":1}\n'


def _line(event: str, times: str = "{}") -> bytes:
    whole = {"seq": 1, "created_at": "2026-01-01T00:00:00Z", "event": {"id": "a", **json.loads(event)}}
    return json.dumps({**whole, "times": json.loads(times)}).encode().replace(b'": ', b'":')


__all__ = ["first_day", "own_blobs", "world"]  # fixtures


@pytest.fixture
def history(world: World) -> World:
    """A question, a reply with two calls of which one is open, its cost, a later message."""
    world.append(Draft(ev.USER_MESSAGE, {"content": text("Look")}), world.running())
    (start,) = world.append(Draft(ev.MODEL_START))
    message, first, second = (
        Draft(ev.AGENT_MESSAGE, {"content": text("I look.")}, id="sevt_said"),
        replace(bash("ls"), id="sevt_first"),
        replace(bash("rm x", ask=True), id="sevt_second"),
    )
    blocks = [
        {"type": "text", "event": "sevt_said", "index": 0},
        {"type": "tool_use", "event": "sevt_first", "id": "toolu_1"},
        {"type": "tool_use", "event": "sevt_second", "id": "toolu_2"},
    ]
    private = {"blocks": blocks, "usage": {"input_tokens": 5, "model_requests": 1}, "cost": "0.5"}
    end = Draft(ev.MODEL_END, {"model_request_start_id": start.pk, "model_usage": {}}, private=private)
    _, call, _, _ = world.append(message, first, second, end)
    world.append(result(call, "a.txt"))
    return world


def events_of(session: Session) -> list[Event]:
    return log.read(session.pk)


def test_a_fork_takes_over_what_came_before_and_closes_what_is_open(history: World) -> None:
    child = forks.fork(history.session.pk, {"at": history.fresh().last_seq}, history.acting)
    record = AuditRecord.objects.get(action="session.forked", object_id=child.pk)
    assert record.after == {"forked_from_id": history.session.pk, "forked_at": child.forked_at}
    made = events_of(child)
    kinds = [event.type for event in made]
    assert kinds[:6] == [
        *(ev.USER_MESSAGE, ev.MODEL_START, ev.AGENT_MESSAGE, ev.TOOL_USE, ev.TOOL_USE, ev.MODEL_END),
    ]
    assert kinds[6:] == [ev.TOOL_RESULT, ev.TOOL_RESULT, ev.OPS_FORKED]
    assert made[6].payload["tool_use_id"] == made[3].pk
    assert made[7].payload["tool_use_id"] == made[4].pk
    assert made[7].payload["is_error"] is True
    assert [block["event"] for block in (made[5].private or {})["blocks"]] == [made[2].pk, made[3].pk, made[4].pk]
    assert {event.pk for event in made}.isdisjoint(event.pk for event in events_of(history.session))
    fresh = Session.objects.get(pk=child.pk)
    assert fresh.cost == 0
    assert (fresh.usage.get("input_tokens", 0), fresh.pending_count) == (0, 0)
    assert (fresh.forked_from_id, fresh.forked_at) == (history.session.pk, history.fresh().last_seq)
    assert made[0].created_at == events_of(history.session)[0].created_at


def test_a_point_inside_a_reply_moves_to_its_end(history: World) -> None:
    said = next(event for event in events_of(history.session) if event.type == ev.AGENT_MESSAGE)
    end = next(event for event in events_of(history.session) if event.type == ev.MODEL_END)
    assert forks.place(history.fresh(), said.seq).seq == end.seq


def test_the_workspace_is_the_snapshot_that_fits_and_the_fork_says_what_is_missing(history: World) -> None:
    session = history.fresh()
    digest, size = blobs.put(io.BytesIO(b"workspace"), 100)
    at = session.last_seq
    assert forks.place(session, at).snapshot is None
    (kept,) = history.append(Draft(ev.OPS_SNAPSHOT, {"digest": digest, "size": size}))
    exact = forks.place(history.fresh(), at)
    assert exact.snapshot is not None
    assert (exact.snapshot.seq, exact.calls_between) == (kept.seq, 0)
    history.append(bash("touch y"))
    late = forks.place(history.fresh(), history.fresh().last_seq)
    assert late.calls_between == 1
    assert f"kept at event {kept.seq}; 1 call that ran" in late.sentence
    child = forks.fork(session.pk, {"at": at}, history.acting)
    assert Session.objects.get(pk=child.pk).snapshot == digest


def test_earlier_snapshots_are_dropped_after_a_time_and_the_last_one_never(history: World, settings: Any) -> None:
    settings.HOLDFAST_SNAPSHOT_DAYS = 30
    first, size = blobs.put(io.BytesIO(b"first"), 100)
    last, _ = blobs.put(io.BytesIO(b"last"), 100)
    (earlier,) = history.append(Draft(ev.OPS_SNAPSHOT, {"digest": first, "size": size}))
    history.append(Draft(ev.OPS_SNAPSHOT, {"digest": last, "size": size}))
    assert files.collect_garbage(timedelta(0)) == 0
    Event.objects.filter(type=ev.OPS_SNAPSHOT).update(created_at=timezone.now() - timedelta(days=31))
    assert files.collect_garbage(timedelta(0)) == 1
    assert (blobs.exists(first), blobs.exists(last)) == (False, True)
    assert forks.place(history.fresh(), earlier.seq - 1).snapshot is None, "and the fork says so"


def test_an_unanswered_message_is_sent_again_or_replaced(world: World) -> None:
    world.append(Draft(ev.USER_MESSAGE, {"content": text("First idea")}))
    again = forks.fork(world.session.pk, {"at": 1}, world.acting)
    assert events_of(again)[1].payload["content"] == text("First idea")
    assert Session.objects.get(pk=again.pk).status == "running"
    other = forks.fork(world.session.pk, {"at": 1, "prompt": "Better idea"}, world.acting)
    said = [event.payload["content"] for event in events_of(other) if event.type == ev.USER_MESSAGE]
    assert said == [text("Better idea")]


def test_a_rewind_archives_the_origin_which_must_rest(history: World) -> None:
    with pytest.raises(InvalidRequest, match="running"):
        forks.fork(history.session.pk, {"at": 1, "rewind": True}, history.acting)
    history.append(history.idle(ev.END_TURN))
    forks.fork(history.session.pk, {"at": 1, "rewind": True}, history.acting)
    assert history.fresh().archived_at is not None


def test_a_fork_may_have_another_model_and_a_viewer_may_not_fork(history: World) -> None:
    child = forks.fork(history.session.pk, {"at": 1, "model": "demo-fast", "title": "Quick"}, history.acting)
    assert child.agent_snapshot["model"]["id"] == "demo-fast"
    assert child.title == "Quick"
    viewer = type(history.acting)(history.workspace.pk, Role.VIEWER, "bob")
    with pytest.raises(PermissionDenied):
        forks.fork(history.session.pk, {"at": 1}, viewer)
    for at in (0, 10_000):
        with pytest.raises(InvalidRequest, match="at:"):
            forks.place(history.session, at)


def test_the_pages_fork_and_compare(history: World) -> None:
    base = f"/sessions/{history.session.pk}/"
    form = history.alice.get(f"{base}fork/", {"at": "1"}).content.decode()
    assert "Fork at event 1" in form
    made = history.alice.post(f"{base}fork/?at=8", {"agent": "1", "prompt": "Go the other way"})
    child = made["Location"].split("/")[2]
    page = history.alice.get(made["Location"]).content.decode()
    assert f"Forked: event 8 of {history.session.pk}" in page
    assert f'href="/sessions/{history.session.pk}/compare/{child}/"' in page
    shown = history.alice.get(f"{base}compare/{child}/").content.decode()
    assert "Fork at event 8" in history.alice.get(f"{base}fork/?event=8").content.decode()
    assert 'id="fork" href="' + base + 'fork/?event=8"' in history.alice.get(f"{base}?event=8").content.decode()
    assert "Go the other way" in shown
    assert "I look." not in shown
    assert "I look." in history.alice.get(f"{base}compare/{child}/", {"all": "1"}).content.decode()


def test_steps_that_agree_stand_in_one_line(history: World) -> None:
    left = transcript.rows(events_of(history.session))
    extra = Event(id="x", seq=99, type=ev.AGENT_MESSAGE, payload={"content": text("More")}, created_at=left[0].at)
    right = [*left[:-1], *transcript.rows([extra])]
    pairs = compare.aligned(left, right)
    assert [pair.alike for pair in pairs] == [True] * (len(pairs) - 2) + [False] * 2
    assert (pairs[-2].right, pairs[-1].left) == (None, None), "a call and a message are no pair"


def test_an_export_is_masked_says_so_and_leaves_private_parts_out(history: World) -> None:
    token = "ghp_" + "a1B2" * 9
    history.append(Draft(ev.AGENT_MESSAGE, {"content": text(f"Use {token} and sk-ant-{'x1' * 12}.")}))
    raw = "".join(exports.lines(history.fresh()))
    found = [json.loads(line) for line in raw.splitlines()]
    assert token not in raw
    assert found[0]["type"] == "holdfast.session"
    assert found[-1] == {"type": "end", "events": len(found) - 2, "masked": 2}
    assert "toolu_1" not in raw
    response = history.alice.get(f"/sessions/{history.session.pk}/export/")
    assert "attachment" in response["Content-Disposition"]
    assert whole(response).count(b"\n") == len(found)


def test_what_an_agent_said_is_shown_alike_on_the_page_in_a_comparison_and_in_an_export(history: World) -> None:
    token = "ghp_" + "a1B2" * 9
    history.append(Draft(ev.AGENT_MESSAGE, {"content": text(f"It is **{token}**, see `a.txt`.")}))
    _, lines = exports.export(history.session.pk, history.acting)
    *_, last, _ = [json.loads(line) for line in lines]
    assert last["shown"] == "<p>It is <strong>[secret]</strong>, see <code>a.txt</code>.</p>\n"
    preview = history.alice.get(f"/sessions/{history.session.pk}/export/preview/").context["preview"]
    assert (preview.masked, len(preview.places)) == (1, 1), "what is shown besides is not counted again"
    pages = ("", f"compare/{history.session.pk}/")
    for page in (history.alice.get(f"/sessions/{history.session.pk}/{name}").content.decode() for name in pages):
        assert f"It is <strong>{token}</strong>, see <code>a.txt</code>." in page
    data = "".join(exports.export(history.session.pk, history.acting)[1]).encode()
    made = exports.take_in(io.BytesIO(data), history.agent.pk, history.environment.pk, history.acting)
    assert "It is **[secret]**" in str([event.payload for event in events_of(made)])


def test_what_markdown_would_put_together_again_is_no_secret_in_an_export(history: World) -> None:
    token = "ghp_" + "a1B2" * 9
    history.append(Draft(ev.AGENT_MESSAGE, {"content": text(f"It is **{token.replace('_', chr(92) + '_')}**.")}))
    raw = "".join(exports.export(history.session.pk, history.acting)[1])
    assert token not in raw
    assert "shown" not in json.loads(raw.splitlines()[-2])


def test_a_preview_of_an_export_shows_every_mask_of_a_call_that_has_a_field_called_shown(history: World) -> None:
    token = "ghp_" + "a1B2" * 9
    given = {"first": token, "shown": token}
    history.append(Draft(ev.TOOL_USE, {"name": "bash", "input": given, "evaluated_permission": "allow"}))
    preview = history.alice.get(f"/sessions/{history.session.pk}/export/preview/").context["preview"]
    assert (preview.masked, len(preview.places)) == (2, 2)


@pytest.mark.parametrize("secret", ["2024", '","', "user", "null", "\\\\n:", "e"])
def test_an_export_stays_json_whatever_the_secret_is(
    history: World, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"file": f"a{secret}b", f"k{secret}": [2024, 20241, True, None], "user": 1.5}
    history.append(Draft(ev.TOOL_USE, {"name": "bash", "input": said, "evaluated_permission": "allow"}))
    monkeypatch.setattr(exports, "secrets_in", lambda session: [Secret(secret)])
    *lines, end = [json.loads(line) for line in exports.lines(history.fresh())]
    assert end["masked"] > 0
    assert [line["seq"] for line in lines[1:]] == list(range(1, len(lines)))
    assert [line["event"]["type"] for line in lines[1:]] == [one.type for one in events_of(history.fresh())]
    given = lines[-1]["event"]
    assert "a[secret]b" in given["input"].values()
    if secret == "2024":
        assert given["input"] == {"file": "a[secret]b", "k[secret]": ["[secret]", "[secret]1", True, None], "user": 1.5}


def test_an_import_is_history_to_read_and_to_fork(history: World) -> None:
    data = "".join(exports.lines(history.fresh())).encode()
    made = exports.take_in(io.BytesIO(data), history.agent.pk, history.environment.pk, history.acting)
    assert made.archived_at is not None
    imported = AuditRecord.objects.get(action="session.imported", object_id=made.pk)
    assert f"events of {history.session.pk}, exported" in (imported.after or {})["events"]
    rows = transcript.rows(events_of(made))
    assert [row.text.body for row in rows if row.kind == "agent"] == ["I look."]
    assert [row.call.name for row in rows if row.call] == ["bash", "bash"]
    child = forks.fork(made.pk, {"prompt": "Go on"}, history.acting)
    end = next(event for event in events_of(child) if event.type == ev.MODEL_END)
    assert [block["type"] for block in (end.private or {})["blocks"]] == ["text", "tool_use", "tool_use"]


def test_an_import_says_which_events_it_left_out_for_their_type(history: World) -> None:
    *kept, end = exports.lines(history.fresh())
    strange = [
        f'{{"seq":{number},"created_at":"2026-01-01T00:00:00Z","event":{{"id":"evt_{number}","type":"{name}"}}}}\n'
        for number, name in ((900, "agent.sang"), (901, "agent.sang"), (902, "user.wept"))
    ]
    data = "".join([*kept, *strange, end]).encode()
    made = exports.take_in(io.BytesIO(data), history.agent.pk, history.environment.pk, history.acting)
    said = next(event for event in events_of(made) if event.type == ev.OPS_IMPORTED).payload["message"]
    assert said.endswith("doesn't know their type: 3, namely agent.sang (2), user.wept (1)")
    assert "agent.sang (2)" in history.alice.get(f"/sessions/{made.pk}/").content.decode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"not json",
        b"\xff\xfe",
        b'{"type":"holdfast.session","version":2}',
        HEAD + b'{"event":1}',
        HEAD + b'{"seq":1,"created_at":"x","event":{"id":"a","type":"b"}}',
        HEAD + b'{"seq":1,"created_at":"2026-01-01T00:00:00Z","event":{"id":"a","type":"agent.tool_result"}}',
        HEAD + _line('{"type":"user.message","content":[{"type":"text","text":7}]}'),
        HEAD + _line('{"type":"user.message","content":[{"type":"text","text":"a\\u0000b"}]}'),
        HEAD + _line('{"type":"agent.tool_result","tool_use_id":"a","is_error":"perhaps"}'),
        HEAD + _line('{"type":"agent.tool_result","tool_use_id":"a"}', '{"duration_ms":"long"}'),
        HEAD + _line('{"type":"agent.tool_result","tool_use_id":"a"}', '{"cost":"much"}'),
        HEAD + _line('{"type":"session.error","error":"no"}'),
        HEAD + _line('{"type":"span.model_request_end"}'),
        HEAD + _line('{"type":"user.message","content":[]}').replace(b'"seq":1', b'"seq":Infinity'),
        HEAD.replace(b"1}", b'1,"title":"\\ud800"}'),
    ],
)
def test_what_is_no_export_is_refused_and_leaves_nothing(world: World, data: bytes) -> None:
    before = Session.objects.count(), Thread.objects.count()
    with pytest.raises(InvalidRequest, match="file:"):
        exports.take_in(io.BytesIO(data), world.agent.pk, world.environment.pk, world.acting)
    assert (Session.objects.count(), Thread.objects.count()) == before


def test_changes_are_told_against_what_was_there_before() -> None:
    made = changes.changes(
        [
            (1, "write", {"file_path": "a", "content": "one\ntwo"}),
            (2, "edit", {"file_path": "a", "old_string": "two", "new_string": "2"}),
            (3, "edit", {"file_path": "b", "old_string": "x", "new_string": "y"}),
            (4, "write", {"file_path": "a", "content": "one\n2\nthree"}),
        ]
    )
    assert [(one.added, one.removed, one.known) for one in made] == [
        (2, 0, True), (1, 1, True), (1, 1, False), (1, 0, True),
    ]  # fmt: skip


def test_money_adds_up_request_by_request(history: World) -> None:
    spent = cost.requests(
        cost.Spending(event.seq, event.created_at, event.private or {})
        for event in [*events_of(history.session)] * 2
        if event.type in ev.SPENDING
    )
    assert [str(one.total) for one in spent] == ["0.5", "1.0"]
    assert cost.line(spent, width=100, height=10).startswith("0,10 ")
    assert cost.line([], width=100, height=10) == ""
