"""The behaviours a message can ask for with ``[[demo: NAME]]`` or ``[[demo: NAME=VALUE]]``. Pure.

Faults (drop, silent, evterror, stall, corrupt), ``fail``, ``ctx``, ``slow``, ``think`` and
``at`` are not behaviours: they change how whatever is answered is delivered, so that they
combine with any of these. ``GUIDE`` lists all of them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from agents.providers.demo.actions import DELEGATES
from agents.providers.demo.answer import LABEL, Answer, Text, ToolUse, calls, says
from agents.providers.demo.brain import Situation, follow_plan, introduction, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.providers.demo.toolbox import Call, Toolbox

VERDICT = "verdict"

GUIDE: dict[str, str] = {
    "steps=N": "N tool calls, one a reply (60)",
    "parallel=N": "N calls in one reply (3; 50 at most), the last of them failing",
    "think": "thinking and redacted thinking before the first reply",
    "huge=N": "a tool call whose output has N characters (200000); without bash, a text",
    "hugetext=N": "a text of N characters",
    "refusal": "a refusal with details",
    "max_tokens": "runs out of tokens in a text; max_tokens=tool: in a tool's input",
    "pause_turn": "pauses once, goes on when resent",
    "badjson": "a call whose input is broken JSON, then a report",
    "badargs": "a call whose input breaks its schema, then a report",
    "badtool": "a call of a tool that does not exist, then a report",
    "loop": "the same call for ever",
    "pingpong": "two calls in turn, for ever",
    "delegate=NAME": "sends the rest of the message to an agent; child=WORD gives it a directive",
    "rubric=VERDICT": "a grader's JSON; rubric=needs_revisionxN: N times, then satisfied",
    "mcp=NAME, custom=NAME, ask=NAME": "one call of that tool, or of the first of its kind",
    "fail=STATUSxN": "each reply of the turn comes after N such answers (1); xall: never; after=SECONDS: retry-after",
    "ctx": "once 400 “prompt is too long”; ctx=stop by stop reason; ctx=N above N tokens",
    "drop, silent, evterror, stall, corrupt": "breaks the stream once, =N times or =all",
    "seconds=N": "how long a stall lasts (600)",
    "at=K": "the fault or failure strikes at the turn's reply K only (from 1)",
    "slow=MS": "a pause of MS milliseconds (40) before every word",
}


def steps(now: Situation) -> Answer:
    total = _number(now.turn.options["steps"], 60, 10_000)
    done = now.turn.replies
    if done >= total:
        return says(report(now.turn.calls))
    call = _harmless(now.tools, f"step {done + 1} of {total}")
    if call is None:
        return says(_no_tool("steps"))
    return calls(f"{LABEL}: step {done + 1} of {total}.", _use(call))


def parallel(now: Situation) -> Answer:
    if now.turn.replies:
        return says(report(now.turn.calls))
    total = _number(now.turn.options["parallel"], 3, 50)
    found = [_harmless(now.tools, f"call {n + 1} of {total}") for n in range(total)]
    uses = [_use(call) for call in found if call is not None]
    if not uses:
        return says(_no_tool("parallel"))
    if now.tools.has("bash"):
        uses[-1] = _use(now.tools.call("bash", command="echo this call fails >&2; exit 3"))
    return calls(f"{LABEL}: {len(uses)} calls at once.", *uses)


def huge(now: Situation) -> Answer:
    if not now.tools.has("bash"):
        return huge_text(now)
    if now.turn.replies:
        return says(report(now.turn.calls))
    size = _number(now.turn.options["huge"], 200_000, 50_000_000)
    command = f"yes 'demo output' | head -c {size}"
    use = _use(now.tools.call("bash", command=command))
    return calls(f"{LABEL}: a command that prints {size} characters.", use)


def huge_text(now: Situation) -> Answer:
    value = now.turn.options.get("hugetext", now.turn.options.get("huge", ""))
    size = _number(value, 200_000, 5_000_000)
    line = "This line of text was made by a rule, to be long. "
    return says((line * (size // len(line) + 1))[:size])


def refusal(now: Situation) -> Answer:
    details = {"type": "refusal", "category": None, "explanation": f"{LABEL}: refused on request."}
    return Answer([], "refusal", stop_details=details)


def max_tokens(now: Situation) -> Answer:
    if now.turn.replies:
        return says(report(now.turn.calls))
    call = _harmless(now.tools, "never to be run")
    if now.turn.options["max_tokens"] != "tool" or call is None:
        return says(f"{LABEL}: this sentence ends in the middle because the tokens", "max_tokens")
    cut = ToolUse(call.name, call.input, raw=json.dumps(call.input)[:-6])
    return Answer([Text(f"{LABEL}: a call cut short."), cut], "max_tokens")


def pause_turn(now: Situation) -> Answer:
    if now.turn.replies:
        return says(f"{LABEL}: resumed after the pause.")
    return says(f"{LABEL}: pausing.", "pause_turn")


def bad_json(now: Situation) -> Answer:
    call = _harmless(now.tools, "broken")
    if call is None or now.turn.replies:
        return says(report(now.turn.calls) if call else _no_tool("badjson"))
    use = ToolUse(call.name, {}, raw=json.dumps(call.input)[:-1] + ', "broken')
    return calls(f"{LABEL}: a call with broken JSON.", use)


def bad_args(now: Situation) -> Answer:
    call = _harmless(now.tools, "broken")
    if call is None or now.turn.replies:
        return says(report(now.turn.calls) if call else _no_tool("badargs"))
    wrong = {name: {"not": ["what", "was", "asked"]} for name in call.input}
    return calls(f"{LABEL}: a call that breaks its schema.", ToolUse(call.name, wrong))


def bad_tool(now: Situation) -> Answer:
    if now.turn.replies:
        return says(report(now.turn.calls))
    return calls(f"{LABEL}: a call of an unknown tool.", ToolUse("no_such_tool", {"why": "demo"}))


def loop(now: Situation) -> Answer:
    call = _harmless(now.tools, "the same again")
    if call is None:
        return says(_no_tool("loop"))
    return calls(f"{LABEL}: the same call again.", _use(call))


def pingpong(now: Situation) -> Answer:
    side = "ping" if now.turn.replies % 2 == 0 else "pong"
    call = _harmless(now.tools, side)
    if call is None:
        return says(_no_tool("pingpong"))
    return calls(f"{LABEL}: {side}.", _use(call))


def delegate(now: Situation) -> Answer:
    if now.turn.replies:
        return says(report(now.turn.calls))
    name = now.tools.containing(*DELEGATES)
    if name is None:
        return says(_no_tool("delegate", "a tool that sends work to another agent"))
    child = now.turn.options.get("child")
    message = f"[[demo: {child}]] {now.turn.task}" if child else now.turn.task
    wanted = {"message": message.strip() or "list files"}
    if now.turn.options["delegate"]:
        wanted["agent"] = now.turn.options["delegate"]
    return calls(f"{LABEL}: handing this over.", _use(now.tools.call(name, **wanted)))


def rubric(now: Situation) -> Answer:
    """A grader's verdict, by the tool for it or as JSON; whoever has other tools only works by the rubric."""
    tool = now.tools.containing(VERDICT)
    if tool is None and now.tools.names:
        return follow_plan(now)
    verdict, _, times = now.turn.options.get("rubric", "").partition("x")
    verdict = verdict or "satisfied"
    evaluation = re.search(r"\(evaluation (\d+)\)", now.turn.text)
    before = int(evaluation[1]) - 1 if evaluation else now.graded
    if times.isdecimal() and before >= int(times):
        verdict = "satisfied"
    asked = "rubric" in now.turn.options
    why = "given by a directive" if asked else "given without looking, as no directive asks for another"
    explanation = f"{LABEL}: verdict {before + 1}, {why}."
    if tool is None:
        return says(json.dumps({"result": verdict, "explanation": explanation}))
    return calls(f"{LABEL}: grading.", ToolUse(tool, {"result": verdict, "explanation": explanation}))


def mcp(now: Situation) -> Answer:
    return _one_call(now, "mcp", now.tools.containing("mcp"))


def custom(now: Situation) -> Answer:
    return _one_call(now, "custom", now.tools.custom())


def ask(now: Situation) -> Answer:
    first = now.tools.names[0] if now.tools.names else None
    return _one_call(now, "ask", "bash" if now.tools.has("bash") else first)


def help_text(now: Situation) -> Answer:
    lines = [f"- `[[demo: {name}]]` {meaning}" for name, meaning in GUIDE.items()]
    return says("\n".join([introduction(now), "", "Directives:", *lines]))


BEHAVIOURS: dict[str, Callable[[Situation], Answer]] = {
    "help": help_text,
    "steps": steps,
    "parallel": parallel,
    "huge": huge,
    "hugetext": huge_text,
    "refusal": refusal,
    "max_tokens": max_tokens,
    "pause_turn": pause_turn,
    "badjson": bad_json,
    "badargs": bad_args,
    "badtool": bad_tool,
    "loop": loop,
    "pingpong": pingpong,
    "delegate": delegate,
    "rubric": rubric,
    "mcp": mcp,
    "custom": custom,
    "ask": ask,
    "plan": follow_plan,
}


def _one_call(now: Situation, option: str, first: str | None) -> Answer:
    if now.turn.replies:
        return says(report(now.turn.calls))
    name = now.turn.options[option] or first
    if name is None or not now.tools.has(name):
        return says(_no_tool(option, name or f"a tool of that kind ({option})"))
    wanted = {"command": "echo asked first"} if name == "bash" else {}
    return calls(f"{LABEL}: calling {name}.", _use(now.tools.call(name, **wanted)))


def _harmless(tools: Toolbox, words: str) -> Call | None:
    """A call that changes nothing that matters: an echo, or the first tool with sample input."""
    if tools.has("bash"):
        return tools.call("bash", command=f"echo {words}")
    return tools.call(tools.names[0]) if tools.names else None


def _use(call: Call) -> ToolUse:
    return ToolUse(call.name, call.input)


def _no_tool(directive: str, what: str = "a tool") -> str:
    return f"{LABEL}: the directive “{directive}” needs {what}, and none is offered."


def _number(value: str, default: int, ceiling: int) -> int:
    return min(int(value), ceiling) if re.fullmatch(r"\d{1,9}", value) else default
