"""The skills of a session: what its agents name in all, and what the prompt tells of them."""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import InvalidRequest
from sessions.harness.hands import skills
from sessions.harness.notes import skills_note
from tests.sessions.teams import member, multiagent


def named(name: str, first: int, count: int) -> dict[str, Any]:
    """An agent with ``count`` skills of its own."""
    found = [{"type": "custom", "skill_id": "skill_x", "version": f"skver_{first + n}"} for n in range(count)]
    return {**member(name), "skills": found}


def session(*members: dict[str, Any]) -> dict[str, Any]:
    return {**named("lead", 0, 20), "multiagent": multiagent(*members)}


def test_the_agents_of_a_session_have_at_most_500_skills_together() -> None:
    most = session(*(named(f"m{n}", 20 * n, 20) for n in range(1, 25)))
    assert len(skills.references(most)) == skills.MAX_SKILLS
    skills.check(most)
    with pytest.raises(InvalidRequest, match="at most 500 skills in all"):
        skills.check(session(*(named(f"m{n}", 20 * n, 20) for n in range(1, 25)), named("one too many", 500, 1)))


def test_a_skill_that_several_agents_name_counts_once() -> None:
    shared = session(*(named(f"m{n}", 0, 20) for n in range(40)))
    assert len(skills.references(shared)) == 20
    skills.check(shared)


def test_the_prompt_tells_of_skills_but_not_what_is_in_them() -> None:
    class Shown:
        name, description, path = "release-notes", "Writes\nrelease notes.", "/mnt/skills/release-notes"

    note = skills_note([Shown()]) or ""
    assert "release-notes: Writes" in note
    assert "/mnt/skills/release-notes/SKILL.md" in note
    assert skills_note([]) is None
