"""What the loop needs of a place where tool calls are carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.sandboxes.base import CallResult
    from sessions.events import Draft
    from sessions.harness.lease import Lease
    from sessions.harness.spec import TurnSpec
    from sessions.harness.state import Call, ThreadState


class CannotCarryOut(Exception):
    """A call can't be carried out now; the text is the error result that the model reads."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a hand may know of the turn that it works for. ``state`` is the loop's own, kept up to date by it."""

    spec: TurnSpec
    state: ThreadState
    lease: Lease

    @property
    def give_up(self) -> Callable[[], bool]:
        """Asked while waiting: true once the work under way must be dropped."""
        return self.lease.should_stop


class Hand(Protocol):
    """One place of a turn: its sandbox, the server, an MCP connection. Made at the first call that needs it.

    ``open`` and ``finished`` run on the turn's own thread and may use the database. ``call`` runs in a pool, many
    side by side, and uses the database only over a connection that it gives back.
    """

    def open(self) -> list[Draft]:
        """Make ready; called before each batch of calls. What it returns is committed before any of them is sent.

        Raises ``CannotCarryOut``: then the calls of this place get its text as their error result.
        """

    def call(self, call: Call, *, reattempt: bool) -> CallResult:
        """Carry out one call; ``reattempt``: an earlier worker may have begun it. Raises ``CannotCarryOut``."""

    def finished(self, call: Call, result: CallResult) -> list[Draft]:
        """After a call, before its result is committed: what is to be committed with it, ahead of it."""

    def interrupt(self) -> None:
        """Stop what is under way; its calls end with an error result soon after."""
