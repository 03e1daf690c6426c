"""Is a turn going round in circles? Told from its calls and their results alone, in constant time a step. Pure.

Three signs: the same calls with the same results again and again; two sets of calls in turn; and for a long while
nothing that was not seen before. The first time the model is reminded; if it goes on, the turn pauses.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["identical_calls", "ping_pong", "no_progress"]

IDENTICAL_ROUNDS = 6
PING_PONG_ROUNDS = 12
NO_PROGRESS_ROUNDS = 50
SEEN = 2_000  # rounds of a turn that are remembered

SENTENCES: dict[Kind, str] = {
    "identical_calls": f"The same call was made {IDENTICAL_ROUNDS} times in a row, always with the same result",
    "ping_pong": f"The same two calls were made in turn {PING_PONG_ROUNDS // 2} times, always with the same results",
    "no_progress": f"The last {NO_PROGRESS_ROUNDS} steps repeated calls of before, with the results of before",
}


@dataclass(frozen=True, slots=True)
class Stuck:
    """A sign that a turn goes round in circles. ``reminded``: the model was told before and went on."""

    kind: Kind
    reminded: bool

    @property
    def reminder(self) -> str:
        """What the model is told."""
        return (
            f"{SENTENCES[self.kind]}. Repeating it will not change that. Try something else, or say what keeps you "
            "from going on and stop."
        )

    @property
    def reason(self) -> str:
        """What a person is told when the turn pauses."""
        return (
            f"{SENTENCES[self.kind]}, also after the model was reminded of it, so the turn was stopped. "
            "Send a message that helps the agent on."
        )


@dataclass(slots=True)
class Watch:
    """Follows one turn. A round is the set of calls of one reply together with their results."""

    reminded: bool = False
    _open: dict[str, str] = field(default_factory=dict)
    _round: list[str] = field(default_factory=list)
    _last: deque[str] = field(default_factory=lambda: deque(maxlen=PING_PONG_ROUNDS))
    _seen: dict[str, None] = field(default_factory=dict)
    _old: int = 0  # rounds since the last one that was new

    def copied(self) -> Watch:
        """One of its own that goes on from here."""
        last, seen = self._last.copy(), dict(self._seen)
        return replace(self, _open=dict(self._open), _round=list(self._round), _last=last, _seen=seen)

    def called(self, call_id: str, name: str, tool_input: Mapping[str, Any]) -> None:
        """A call was made."""
        self._open[call_id] = _digest([name, tool_input])

    def answered(self, call_id: str, content: Sequence[Any], *, is_error: bool) -> None:
        """A call got its result; the last one of a reply ends the round."""
        call = self._open.pop(call_id, None)
        if call is None:
            return
        self._round.append(_digest([call, content, is_error]))
        if not self._open:
            self._end_round(_digest(sorted(self._round)))
            self._round = []

    def _end_round(self, done: str) -> None:
        self._last.append(done)
        self._old = self._old + 1 if done in self._seen else 0
        self._seen[done] = None
        if len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]

    def remind(self) -> None:
        """The model was told; what it does from here on counts."""
        self.reminded, self._old = True, 0
        self._last.clear()

    def verdict(self) -> Stuck | None:
        """The sign that shows now, if any."""
        rounds = list(self._last)
        if len(rounds) >= IDENTICAL_ROUNDS and len(set(rounds[-IDENTICAL_ROUNDS:])) == 1:
            return Stuck("identical_calls", self.reminded)
        if len(rounds) == PING_PONG_ROUNDS and len(set(rounds[::2])) == len(set(rounds[1::2])) == 1:
            return Stuck("ping_pong", self.reminded)
        if self._old >= NO_PROGRESS_ROUNDS:
            return Stuck("no_progress", self.reminded)
        return None


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
