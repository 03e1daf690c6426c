"""Following a plan step by step, and reporting honestly what came of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.providers.demo.actions import Impossible, call_for, describe
from agents.providers.demo.answer import LABEL, Answer, Text, ToolUse, says
from agents.providers.demo.planner import Step, plan
from agents.providers.demo.toolbox import Call, Toolbox

if TYPE_CHECKING:
    from agents.providers.demo.turn import PastCall, Turn

SHOWN = 600
"""Characters of a tool's result that the report quotes."""

_AT_ONCE = re.compile(r"\s+(?:all\s+)?in\s+parallel\b", re.IGNORECASE)

CAN_DO = (
    "write FILE with `TEXT`; replace `A` with `B` in FILE; run `COMMAND`; read FILE; list files; "
    "find files matching `*.py`; search for `WORD`; search the web for WORDS; fetch URL; "
    'use TOOL with {"json": "input"}; ask NAME to DO SOMETHING; wait N seconds; say `TEXT`'
)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a rule may look at. ``graded`` counts the verdicts given on this text before."""

    turn: Turn
    tools: Toolbox
    graded: int = 0


def follow_plan(now: Situation) -> Answer:
    """Do the steps the task names, one call a reply (or all at once when it says so)."""
    task, at_once = _AT_ONCE.subn("", now.turn.task)
    steps = plan(task)
    if not steps:
        return says(introduction(now))
    todo = [(step, call_for(step, now.tools)) for step in steps]
    calls = [(step, call) for step, call in todo if isinstance(call, Call)]
    done = len(now.turn.calls)
    if done >= len(calls):
        return says(_report(todo, now.turn.calls))
    batch = calls[done:] if at_once else calls[done : done + 1]
    named = ", ".join(describe(step) for step, _ in batch)
    opening = f"{LABEL}: step {done + 1} of {len(calls)}: {named}."
    uses = [ToolUse(call.name, call.input) for _, call in batch]
    return Answer([Text(opening), *uses], "tool_use")


def introduction(now: Situation) -> str:
    """What the demo is, when there is nothing it can match."""
    tools = ", ".join(now.tools.names) or "none"
    return (
        f"{LABEL}. I match fixed sentence patterns and understand nothing, and this message "
        f"matches none of them. I can follow these, several in one message: {CAN_DO}. "
        f"Tools offered here: {tools}."
    )


def outcome(call: PastCall, words: str) -> tuple[bool, str]:
    """Whether a past call succeeded, and a line about it."""
    if call.result is None:
        return False, f"- no result: {words}"
    shown = call.result.text.strip()
    if len(shown) > SHOWN:
        shown = f"{shown[:SHOWN]}… ({len(call.result.text)} characters)"
    mark = "failed" if call.result.is_error else "done"
    line = f"- {mark}: {words}"
    return not call.result.is_error, f"{line}\n```\n{shown}\n```" if shown else line


def report(calls: tuple[PastCall, ...], words: str = "") -> str:
    """What came of the calls of this turn, failures counted."""
    lines = [outcome(call, words or f"{call.name}") for call in calls]
    return _summary(lines)


def _report(todo: list[tuple[Step, Call | Impossible]], calls: tuple[PastCall, ...]) -> str:
    lines: list[tuple[bool, str]] = []
    said: list[str] = []
    past = iter(calls)
    for step, call in todo:
        if step.kind == "say":
            said.append(step.args["content"])
        elif isinstance(call, Impossible):
            lines.append((False, f"- not possible: {describe(step)}: {call.why}"))
        else:
            lines.append(outcome(next(past), describe(step)))
    if not lines:
        return "\n".join(said)
    return "\n".join([*said, _summary(lines)])


def _summary(lines: list[tuple[bool, str]]) -> str:
    failed = sum(not ok for ok, _ in lines)
    count = f"{len(lines)} step{'' if len(lines) == 1 else 's'}"
    verdict = "all done" if not failed else f"{len(lines) - failed} done, {failed} failed"
    return "\n".join([f"{LABEL}: {count}, {verdict}.", *(line for _, line in lines)])
