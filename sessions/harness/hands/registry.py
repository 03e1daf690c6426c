"""The places where calls are carried out, by name, and those that one turn has opened."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from agents.tools import registry as tools
from sessions.harness.hands.log import LogHand
from sessions.harness.hands.mcp import McpHand
from sessions.harness.hands.sandbox import SandboxHand
from sessions.harness.hands.web import WebHand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sessions.events import Draft
    from sessions.harness.hands.base import Hand, Turn
    from sessions.harness.state import Call
    from sessions.models import Event

    Commit = Callable[[list[Draft]], list[Event]]

PLACES: dict[str, Callable[[Turn], Hand]] = {
    "log": LogHand,
    "mcp": McpHand,
    "sandbox": SandboxHand,
    "server": WebHand,
}


def place_of(call: Call) -> str:
    """Where a call that may run is carried out. Calls of unknown tools were refused before they got here."""
    if call.server:
        return "mcp"
    tool = tools.find(call.name)
    assert tool is not None, call.name
    return tool.runs


def opened(hand: Hand, commit: Commit) -> list[Event]:
    """Make a place ready and commit what that has to say. Raises ``CannotCarryOut``."""
    with hand.alone() if isinstance(hand, SandboxHand) else nullcontext():
        drafts = hand.open()
        return commit(drafts) if drafts else []


class Hands:
    """The places of one turn, each made when a call first needs it. Not shared between turns."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._made: dict[str, Hand] = {}

    def open_sandbox(self, commit: Commit) -> list[Event]:
        """Make the session's sandbox ready before any call needs it. Raises ``CannotCarryOut``."""
        return opened(self._at("sandbox"), commit)

    def of(self, call: Call) -> Hand:
        """The place of one call."""
        return self._at(place_of(call))

    def sort(self, calls: Sequence[Call]) -> list[tuple[Hand, list[Call]]]:
        """The calls by their places, in the order in which the places first occur."""
        found: dict[str, list[Call]] = {}
        for call in calls:
            found.setdefault(place_of(call), []).append(call)
        return [(self._at(place), there) for place, there in found.items()]

    def tend(self) -> list[Draft]:
        """Asked again and again while calls run: what is to be committed meanwhile."""
        hand = self._made.get("sandbox")
        return hand.tend() if isinstance(hand, SandboxHand) else []

    def interrupt(self) -> None:
        """Stop what is under way anywhere."""
        for hand in self._made.values():
            hand.interrupt()

    def _at(self, place: str) -> Hand:
        if place not in self._made:
            self._made[place] = PLACES[place](self._turn)
        return self._made[place]
