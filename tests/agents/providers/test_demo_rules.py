"""The planner's patterns, the calls made of them, and what a reply promises to be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.providers.demo.actions import Impossible, call_for
from agents.providers.demo.app import DemoApp
from agents.providers.demo.message import pieces
from agents.providers.demo.planner import MAX_STEPS, Step, plan
from agents.providers.demo.provider import demo_provider
from agents.providers.demo.toolbox import Call, Toolbox
from agents.providers.demo.validate import Refused, validate
from tests.agents.providers.talk import BASH, SEND, WEATHER, WRITE, Talk, calls, text

SCHEMA = {"type": "object", "properties": {}}
ALL = [{"name": name, "input_schema": SCHEMA} for name in ("bash", "read", "write", "edit", "glob", "grep")]
ALL += [{"name": name, "input_schema": SCHEMA} for name in ("web_search", "web_fetch", "send_to_agent")]


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        ("write a.txt with `hello. and run`", [("write", {"path": "a.txt", "content": "hello. and run"})]),
        ("Please create a file called `b c.md` with the text \"x\"", [("write", {"path": "b c.md", "content": "x"})]),
        ("write ```py\nprint(1)\n``` to x.py", [("write", {"path": "x.py", "content": "print(1)\n"})]),
        ('write x with {"a": [1, {"b": 2}]}', [("write", {"path": "x", "content": '{"a": [1, {"b": 2}]}'})]),
        ("run `ls -la; pwd`.", [("run", {"command": "ls -la; pwd"})]),
        ("Run echo one", [("run", {"command": "echo one"})]),
        ("run the tests", []),
        ("read notes.txt. Then list files", [("read", {"path": "notes.txt"}), ("list", {})]),
        ("show me the contents of a.txt", [("read", {"path": "a.txt"})]),
        ("list all the files in src", [("list", {"folder": "src"})]),
        ("find files matching *.py", [("find", {"pattern": "*.py"})]),
        ("search for `to do` in src", [("search", {"pattern": "to do", "folder": "src"})]),
        ("grep for TODO", [("search", {"pattern": "TODO"})]),
        ("search the web for cats in hats", [("websearch", {"query": "cats in hats"})]),
        ("fetch https://example.org/a.b?c=d", [("fetch", {"url": "https://example.org/a.b?c=d"})]),
        ("replace `a` with `b` in x.py", [("edit", {"path": "x.py", "old": "a", "new": "b"})]),
        ("edit x.py, replacing `a` by `b`", [("edit", {"path": "x.py", "old": "a", "new": "b"})]),
        ('use now with {"a": "b. Then run"}', [("use", {"tool": "now", "json": '{"a": "b. Then run"}'})]),
        ("call the tool now", [("use", {"tool": "now"})]),
        ("ask helper to write a poem", [("ask", {"agent": "helper", "message": "write a poem"})]),
        ("ask a to run `x; y`. say `z`", [("ask", {"agent": "a", "message": "run `x; y`"}), ("say", {"content": "z"})]),
        ("ask a to `run x`", [("ask", {"agent": "a", "message": "run x"})]),
        ("wait 2.5 seconds", [("wait", {"seconds": "2.5"})]),
        ("say `hi`", [("say", {"content": "hi"})]),
        ("1. read a\n2. read b\n- read c", [("read", {"path": p}) for p in "abc"]),
        ("read a, read b and read c, then read d", [("read", {"path": p}) for p in "abcd"]),
        ("What is the meaning of life?", []),
        ("", []),
        ("\x00 run \x00", []),
    ],
)  # fmt: skip
def test_sentences_become_steps(task: str, steps: list[tuple[str, dict[str, str]]]) -> None:
    assert plan(task) == [Step(kind, args) for kind, args in steps]


@given(st.text(max_size=300))
def test_no_text_breaks_the_planner(task: str) -> None:
    for step in plan(task):
        assert isinstance(call_for(step, Toolbox(ALL)), Call | Impossible)


def test_a_very_long_list_of_orders_is_cut() -> None:
    assert len(plan("read a\n" * 1_000)) == MAX_STEPS


@pytest.mark.parametrize(
    ("task", "name", "given"),
    [
        ("write a.txt with `x`", "write", {"file_path": "a.txt", "content": "x"}),
        ("replace `a` with `b` in c", "edit", {"file_path": "c", "old_string": "a", "new_string": "b"}),
        ("run `ls`", "bash", {"command": "ls"}),
        ("read a.txt", "read", {"file_path": "a.txt"}),
        ("list files", "glob", {"pattern": "**/*"}),
        ("list files in src", "glob", {"pattern": "**/*", "path": "src"}),
        ("find files like *.py", "glob", {"pattern": "*.py"}),
        ("search for x in y", "grep", {"pattern": "x", "path": "y"}),
        ("search the web for x", "web_search", {"query": "x"}),
        ("fetch http://a.b", "web_fetch", {"url": "http://a.b"}),
        ("wait 3 s", "bash", {"command": "sleep 3"}),
        ("ask bob to run x", "send_to_agent", {"agent": "bob", "message": "run x"}),
        ("use bash with {\"command\": \"id\"}", "bash", {"command": "id"}),
    ],
)  # fmt: skip
def test_a_step_uses_its_own_tool(task: str, name: str, given: dict[str, Any]) -> None:
    assert call_for(plan(task)[0], Toolbox(ALL)) == Call(name, given)


@pytest.mark.parametrize(
    ("task", "command"),
    [
        ("write a.txt with `it's`", "printf %s 'it'\"'\"'s' > a.txt"),
        ("read `a b`", "cat -- 'a b'"),
        ("list files", "ls -la -- ."),
        ("find files like *.py", "find . -name '*.py'"),
        ("search for x", "grep -rn -e x -- ."),
    ],
)
def test_the_shell_stands_in_for_missing_tools(task: str, command: str) -> None:
    assert call_for(plan(task)[0], Toolbox([BASH])) == Call("bash", {"command": command})


@pytest.mark.parametrize("task", ["run `x`", "read a", "ask bob to run", "fetch http://a.b", "use x"])
def test_a_step_without_a_tool_is_impossible_and_says_which(task: str) -> None:
    assert isinstance(call_for(plan(task)[0], Toolbox([])), Impossible)
    reply = Talk(demo_provider()).say(task).once()
    assert "not possible" in text(reply)
    assert "0 done, 1 failed" in text(reply)


def test_tool_input_that_is_no_object_is_impossible() -> None:
    assert isinstance(call_for(plan("use bash with `[1]`")[0], Toolbox(ALL)), Impossible)


def test_results_are_read_failures_counted_and_both_reported() -> None:
    def run(call: dict[str, Any]) -> tuple[str, bool]:
        return ("no such file", True) if "b.txt" in call["input"]["command"] else ("the secret is 42", False)

    replies = Talk(demo_provider(), BASH).say("read a.txt and read b.txt").turn(run)
    report = text(replies[-1])
    assert "2 steps, 1 done, 1 failed" in report
    assert "the secret is 42" in report
    assert "no such file" in report


def test_a_task_can_ask_for_everything_at_once() -> None:
    replies = Talk(demo_provider(), BASH).say("read a, read b and read c in parallel").turn()
    assert [len(calls(reply)) for reply in replies] == [3, 0]


def test_the_next_message_is_a_new_turn() -> None:
    talk = Talk(demo_provider(), BASH).say("run `one`")
    talk.turn()
    replies = talk.say("run `two`").turn()
    assert [call["input"]["command"] for call in calls(replies[0])] == ["two"]
    assert "1 step, all done" in text(replies[-1])


def test_without_a_plan_it_says_what_it_is_and_what_it_can_do() -> None:
    said = text(Talk(demo_provider(), BASH, WEATHER).say("Please think about life").once())
    assert "rule-driven, no AI" in said
    assert "bash, get_weather" in said


tasks = st.sampled_from(
    ["hello", "write a.txt with `x` and run `ls`", "[[demo: steps=2]]", "[[demo: parallel=2 think]]",
     "[[demo: badjson]]",
     "[[demo: refusal]]", "[[demo: loop]]", "[[demo: delegate=bob]] go", "[[demo: max_tokens=tool]]", "say `hi`"]
)  # fmt: skip
toolsets = st.lists(st.sampled_from([BASH, WRITE, WEATHER, SEND]), unique_by=lambda tool: str(tool["name"]))


@given(tasks, toolsets, st.integers(0, 3), st.text(max_size=40))
def test_the_same_request_gets_the_same_reply_from_any_process(
    task: str, tools: list[dict[str, Any]], replies: int, result: str
) -> None:
    talk = Talk(demo_provider(), *tools).say(task)
    talk.turn(lambda call: (result or "none", False), limit=replies)
    if talk.messages[-1]["role"] == "assistant":
        return
    one, two = (demo_provider().stream(talk.request(), lambda _: None, lambda: False) for _ in range(2))
    again = talk.provider.stream(talk.request(), lambda _: None, lambda: False)
    assert (one.content, one.stop_reason, one.usage) == (two.content, two.stop_reason, two.usage)
    assert (one.content, one.stop_reason) == (again.content, again.stop_reason)


@given(st.text(max_size=2_000))
def test_the_pieces_of_a_text_are_the_text(whole: str) -> None:
    assert "".join(pieces(whole)) == whole


CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "bash", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "ok"}]}
HI = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"model": None}, "model: Field required"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": []}, "at least one message"),
        ({"messages": "hi"}, "at least one message"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "first message"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "messages.0.name: Extra inputs"),
        ({"messages": [{"role": "user", "content": []}]}, "non-empty"),
        ({"messages": [{"role": "user", "content": " "}]}, "non-empty"),
        ({"messages": [{"role": "user", "content": 5}]}, "content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "text content blocks"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "type: Field required"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}]}, "text.y: Extra inputs"),
        ({"messages": [HI, CALL]}, "without `tool_result`"),
        ({"messages": [HI, CALL, HI]}, "without `tool_result`"),
        ({"messages": [HI, CALL, CALL]}, "without `tool_result`"),
        ({"messages": [HI, RESULT]}, "unexpected `tool_use_id`"),
        ({"messages": [HI, CALL, RESULT, RESULT]}, "unexpected `tool_use_id`"),
        ({"messages": [HI, CALL, RESULT, CALL, RESULT]}, "ids must be unique"),
        ({"messages": [HI, CALL, {"role": "user", "content": RESULT["content"] * 2}]}, "single result"),  # type: ignore[operator]
        ({"tools": [BASH, BASH]}, "must be unique"),
        ({"tools": [{"name": "a b", "input_schema": SCHEMA}]}, "pattern"),
        ({"tools": [{"name": "a", "input_schema": {}}]}, "should be 'object'"),
        ({"tools": [{"name": "a", "input_schema": SCHEMA, "x": 1}]}, "tools.0.x: Extra inputs"),
        ({"tools": {}}, "tools"),
        ({"system": 5}, "system"),
    ],
)
def test_what_the_real_server_refuses_is_refused_in_its_words(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Refused) as caught:
        validate({"model": "demo", "max_tokens": 5, "messages": [HI], **change})
    assert complaint in str(caught.value)


def test_a_full_conversation_passes() -> None:
    blocks = [*CALL["content"], {"type": "thinking", "thinking": "x", "signature": "of another model"}]
    messages = [HI, {"role": "assistant", "content": blocks}, RESULT, {"role": "system", "content": "be quick"}]
    body = {
        "model": "demo",
        "max_tokens": 5,
        "messages": messages,
        "tools": [BASH, {"type": "web_search_1", "name": "w"}],
    }
    assert validate(body) is body


def test_what_the_app_remembers_is_bounded() -> None:
    app = DemoApp()
    for number in range(5_000):
        app._strikes.count(("key", number))
    assert len(app._strikes._counts) == 4_096
