"""The plan of a workflow run: phases of agents, what each is told, and what becomes of the results. Pure.

A plan is data, not a program: it can't loop for ever or reach anything but its agents. Given the results so far it
always says the same, so a run that lost its driver goes on from the log.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

MAX_AGENTS = 1_000  # started in a run's lifetime
MAX_HOURS = 24.0
MAX_NAME = 64
MAX_DESCRIPTION = 256
MAX_PROMPT = 100_000
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
PLACE = re.compile(r"\{\{\s*(?:(item|index)|results\.([A-Za-z0-9_-]{1,64}))\s*\}\}")
ANY_PLACE = re.compile(r"\{\{.*?\}\}", re.DOTALL)


class PlanError(Exception):
    """The plan can't be run; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase. ``items``: its own values, or the name of the earlier phase whose results they are.

    ``agent`` names a saved agent; without it an inline one runs, with ``system`` and ``tools``.
    """

    name: str
    description: str
    prompt: str
    items: tuple[Any, ...] | str
    agent: str = ""
    system: str = ""
    tools: tuple[str, ...] | None = None
    stop_on_error: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that holds together."""

    name: str
    description: str
    hours: float
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What one agent returned."""

    text: str
    failed: bool = False


def read(given: Mapping[str, Any], agents: Collection[str], *, inline: bool) -> Plan:
    """The plan that a call of the tool describes. ``agents``: the saved agents it may name. Raises ``PlanError``."""
    name = given["name"].strip()
    if not name:
        raise PlanError("The plan needs a name.")
    hours = given.get("hours", MAX_HOURS)
    if not 0 < hours <= MAX_HOURS:
        raise PlanError(f"hours must be more than 0 and at most {MAX_HOURS:.0f}.")
    phases: list[Phase] = []
    for entry in given["phases"]:
        phases.append(_phase(entry, [phase.name for phase in phases], agents, inline=inline))
    known = sum(len(phase.items) for phase in phases if not isinstance(phase.items, str))
    if known > MAX_AGENTS:
        raise PlanError(f"The plan starts {known:,} agents; a run may start {MAX_AGENTS:,}.")
    return Plan(name[:MAX_NAME], given.get("description", "")[:MAX_DESCRIPTION], hours, tuple(phases))


def _phase(entry: Mapping[str, Any], earlier: Sequence[str], agents: Collection[str], *, inline: bool) -> Phase:
    name = entry["name"]
    if not NAME.fullmatch(name):
        raise PlanError(f"The phase name {name[:80]!r} must be 1 to 64 letters, digits, hyphens or underscores.")
    if name in earlier:
        raise PlanError(f"Two phases are called {name!r}.")
    _check_prompt(name, entry["prompt"], earlier)
    agent = entry.get("agent", "")
    if agent and agent not in agents:
        raise PlanError(f"Phase {name}: there is no agent {agent!r}. There are: {', '.join(agents) or 'none'}.")
    if not agent and not inline:
        raise PlanError(f"Phase {name}: name an agent; agents of your own are not allowed in this session's workflows.")
    if agent and (entry.get("system") or entry.get("tools")):
        raise PlanError(f"Phase {name}: a saved agent has its own system prompt and tools; leave system and tools out.")
    return Phase(
        name,
        entry.get("description", "")[:MAX_DESCRIPTION],
        entry["prompt"],
        _items(name, entry, earlier),
        agent,
        entry.get("system", ""),
        tuple(entry["tools"]) if "tools" in entry else None,
        bool(entry.get("stop_on_error")),
    )


def _check_prompt(name: str, prompt: str, earlier: Sequence[str]) -> None:
    if not prompt.strip() or len(prompt) > MAX_PROMPT:
        raise PlanError(f"Phase {name}: prompt must be 1 to {MAX_PROMPT:,} characters long.")
    for place in ANY_PLACE.findall(prompt):
        found = PLACE.fullmatch(place)
        if found is None:
            raise PlanError(
                f"Phase {name}: {place[:80]} is no placeholder; there are {{{{item}}}}, {{{{index}}}} and "
                "{{results.PHASE}}."
            )
        if found[2] and found[2] not in earlier:
            raise PlanError(f"Phase {name}: there is no phase {found[2]!r} before it.")


def _items(name: str, entry: Mapping[str, Any], earlier: Sequence[str]) -> tuple[Any, ...] | str:
    items, count = entry.get("items"), entry.get("count")
    if items is not None and count is not None:
        raise PlanError(f"Phase {name}: give items or count, not both.")
    if isinstance(items, str):
        if items not in earlier:
            raise PlanError(f"Phase {name}: there is no phase {items!r} before it to take items from.")
        return items
    if items is not None:
        if not isinstance(items, list) or not items:
            raise PlanError(f"Phase {name}: items must be a list that isn't empty, or the name of an earlier phase.")
        return tuple(items)
    number = 1 if count is None else count
    if not 1 <= number <= MAX_AGENTS:
        raise PlanError(f"Phase {name}: count must be 1 to {MAX_AGENTS:,}.")
    return tuple(range(int(number)))


def prompts(phase: Phase, results: Mapping[str, Sequence[Result]]) -> list[str]:
    """What each agent of a phase is told, once the phases before it have ended."""
    items = _values(results[phase.items]) if isinstance(phase.items, str) else list(phase.items)
    return [_filled(phase.prompt, item, index, results) for index, item in enumerate(items)]


def _values(results: Sequence[Result]) -> list[Any]:
    """Results as items: those that succeeded; one result that is a JSON list stands for its entries."""
    texts = [result.text for result in results if not result.failed]
    if len(results) == 1 and texts:
        try:
            listed = json.loads(texts[0])
        except ValueError:
            return texts
        if isinstance(listed, list):
            return listed
    return texts


def _filled(prompt: str, item: Any, index: int, results: Mapping[str, Sequence[Result]]) -> str:
    def value(place: re.Match[str]) -> str:
        if place[2]:
            return json.dumps([result.text for result in results[place[2]]], ensure_ascii=False)
        if place[1] == "index":
            return str(index)
        return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)

    return PLACE.sub(value, prompt)


def summary(plan: Plan, results: Mapping[str, Sequence[Result]]) -> str:
    """What the agent that wrote the plan reads when its run has ended: all results of the last phase in full."""
    lines = [f"The workflow {plan.name} has ended."]
    for phase in plan.phases:
        found = results.get(phase.name, ())
        failed = sum(result.failed for result in found)
        lines.append(
            f"Phase {phase.name}: {len(found)} agents" + (f", {failed} of them failed" if failed else "") + "."
        )
    last = next((phase.name for phase in reversed(plan.phases) if results.get(phase.name)), None)
    if last is not None:
        lines.append(f"Results of phase {last}:")
        lines += [f"{number}. {result.text}" for number, result in enumerate(results[last], start=1)]
    return "\n".join(lines)
