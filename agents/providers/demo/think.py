"""The rules: a request in, an answer out. Pure.

A behaviour named by a directive comes first; without one the task's sentences are planned;
without a plan the model says what it is and what it can do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agents.providers.demo import summaries
from agents.providers.demo.answer import LABEL, Answer, Part, Redacted, Text, Thinking
from agents.providers.demo.brain import SHOWN, Situation, follow_plan
from agents.providers.demo.directives import BEHAVIOURS, VERDICT, rubric
from agents.providers.demo.tokens import CHARACTERS_PER_TOKEN
from agents.providers.demo.toolbox import Toolbox

if TYPE_CHECKING:
    from agents.providers.demo.turn import Turn

MODEL = "demo"


def is_demo(model: str) -> bool:
    """Whether a model id names the demo itself."""
    return model == MODEL or model.startswith(f"{MODEL}-")


def think(body: dict[str, Any], turn: Turn, graded: int = 0) -> Answer:
    """The answer to a valid request body whose turn is ``turn``."""
    conversation = summaries.asked_for(turn.text)
    if conversation is not None:
        return _within(summaries.summarise(conversation), body["max_tokens"] * CHARACTERS_PER_TOKEN)
    situation = Situation(turn, Toolbox(body.get("tools") or []), graded)
    by_default = rubric if situation.tools.containing(VERDICT) else follow_plan
    rule = next((rule for name, rule in BEHAVIOURS.items() if name in turn.options), by_default)
    answer = _with_reports(_delivered(rule(situation), turn.options), turn)
    if turn.replies == 0:
        opening = _opening(body["model"], turn.options)
        answer = replace(answer, parts=[*opening, *answer.parts])
    return _within(answer, body["max_tokens"] * CHARACTERS_PER_TOKEN)


def _with_reports(answer: Answer, turn: Turn) -> Answer:
    """A last reply also passes on what other agents reported."""
    if not turn.told or answer.stop_reason != "end_turn":
        return answer
    lines = [f"- {name}: {' '.join(text.split())[:SHOWN]}" for name, text in turn.told]
    return replace(answer, parts=[*answer.parts, Text("\n".join(["\nReported to me:", *lines]))])


def _opening(model: str, options: dict[str, str]) -> list[Part]:
    parts: list[Part] = []
    if "think" in options:
        parts.append(Thinking("I follow the rules for this message; nothing here is thought."))
        parts.append(Redacted("a thought that is kept from readers"))
    if not is_demo(model):
        parts.append(Text(f"{LABEL} answers in place of {model[:100]}. "))
    return parts


def _delivered(answer: Answer, options: dict[str, str]) -> Answer:
    if "slow" in options:
        answer = replace(answer, pace=_up_to(options["slow"], 40, 5_000) / 1000)
    return replace(answer, stall_seconds=_up_to(options.get("seconds", ""), 600, 600))


def _up_to(value: str, default: float, ceiling: float) -> float:
    return min(float(value), ceiling) if value.isdecimal() and len(value) < 10 else default


def _within(answer: Answer, characters: int) -> Answer:
    """The answer cut where ``max_tokens`` ends it; a call that does not fit is left out."""
    kept: list[Part] = []
    for part in answer.parts:
        text = part.text if isinstance(part, Text) else ""
        if len(text) > characters:
            cut = [Text(text[:characters])] if characters > 0 else []
            return replace(answer, parts=[*kept, *cut], stop_reason="max_tokens")
        characters -= len(text)
        kept.append(part)
    return replace(answer, parts=kept)
