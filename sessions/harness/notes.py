"""What the model is told besides the agent's own words: memory stores and skills, and what became of its sandbox. Pure.

The texts of the system prompt depend on nothing that changes during a session, so that the provider's prompt cache
keeps them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEMORY_INTRODUCTION = (
    "Memory: the directories below hold text files that outlive this session and that other sessions share. Look "
    "there for what is already known before you start. Use your ordinary file tools; whatever you write there is saved "
    "after each call. Keep each file about one thing and under 100 kB."
)
SKILLS_INTRODUCTION = (
    "Skills: each is a directory with instructions for one kind of task. When a task fits a description below, read "
    "the SKILL.md named there first and follow it; read further files only when it tells you to."
)

LOOK_FIRST = "Processes that you had started there are gone, too. Look at what is there before you rely on it."


class Skill(Protocol):
    """What the prompt tells of a skill."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def path(self) -> str: ...


def memory_note(stores: Sequence[tuple[str, Mapping[str, Any]]]) -> str | None:
    """``stores``: where each is mounted, and the resource's details; None if there are none."""
    if not stores:
        return None
    return "\n".join([MEMORY_INTRODUCTION, *(_store(path, details) for path, details in stores)])


def _store(path: str, details: Mapping[str, Any]) -> str:
    access = "read only" if details["access"] == "read_only" else "read and write"
    lines = [f"- {path} ({access}): {_line(details['name'])}"]
    if details.get("description"):
        lines.append(f"  {_line(details['description'])}")
    if details.get("instructions"):
        lines.append(f"  Instructions: {_line(details['instructions'])}")
    return "\n".join(lines)


def sandbox_note(restored: Mapping[str, Any]) -> str:
    """What became of the workspace, by the entry that tells of it (``ops.sandbox_restored``)."""
    what = "Your sandbox moved to another machine" if restored.get("from") else "Your sandbox was lost"
    damaged = bool(restored.get("damaged_snapshot"))
    if restored["origin"] == "restored":
        which = "an earlier snapshot, since its last one is damaged" if damaged else "its last snapshot"
        return f"{what} and was restored from {which}. What was changed in it after that is gone. {LOOK_FIRST}"
    why = "its snapshot is damaged" if damaged else "it had no snapshot yet"
    gone = "The files that you had made are gone from it; outputs that were kept stay with the user"
    return f"{what} and its workspace is empty, since {why}. {gone}. {LOOK_FIRST}"


def skills_note(skills: Sequence[Skill]) -> str | None:
    """None if there are none."""
    if not skills:
        return None
    lines = [f"- {skill.name}: {_line(skill.description)} ({skill.path}/SKILL.md)" for skill in skills]
    return "\n".join([SKILLS_INTRODUCTION, *lines])


def _line(text: str) -> str:
    """A text within its list item."""
    return "\n  ".join(text.strip().splitlines())
