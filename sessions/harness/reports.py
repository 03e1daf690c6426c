"""What a child thread says to the one that started it when its turn ends (spec advanced 8.2, 8.7). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessions import events as ev

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Report:
    """The text, and whether the thread failed: then it ends."""

    text: str
    failed: bool = False

    @property
    def kind(self) -> str:
        return "failure" if self.failed else "report"


def report(stop_reason: Mapping[str, Any], error: Mapping[str, Any] | None, last_reply: str) -> Report | None:
    """The report of a turn that ended so; None if it only pauses."""
    if ev.only_talks(stop_reason):
        return None
    if stop_reason["type"] == "end_turn":
        return Report(last_reply or "(The agent finished its turn without a message.)")
    if stop_reason["type"] == "refusal":
        return Report("The model declined to answer. Give the task in other words or do without it.")
    if stop_reason["type"] == "retries_exhausted":
        why = error["message"] if error else "no reason given"
        return Report(f"I failed and my thread has ended: {why}", failed=True)
    return None
