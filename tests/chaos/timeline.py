"""Where the time went after each strike, read from the sessions' logs by the database's clock.

A stall is the time from a strike to the next thing that a session at work did. A session whose worker died has three
parts of it: until the loss was noticed, until another worker had taken the thread over, until that one did something.
"""

from __future__ import annotations

import collections
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


class Strike(NamedTuple):
    """A kill, or a freeze: whom it hit and when."""

    role: str
    pid: int
    at: datetime


class Entry(NamedTuple):
    """One event of a session's log, or a mark of the machinery with the process id of the worker it names."""

    type: str
    at: datetime
    pid: int = 0


@dataclass
class Times:
    """Seconds by what they were spent on; the table has a line for each."""

    found: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))

    def rows(self) -> list[tuple[str, str]]:
        """Name and figures of each kind of time, for a table."""
        return [(name, figures(values)) for name, values in self.found.items()]

    def note(self, strikes: Sequence[Strike], entries: Sequence[Entry]) -> None:
        """Add what one session's log says; ``entries`` in order of time."""
        worked = [entry.at for entry in entries if not entry.type.startswith("ops.")]
        marks = [entry for entry in entries if entry.pid]
        for strike in strikes:
            if not worked or not worked[0] < strike.at < worked[-1]:
                continue  # the session did not work at that time
            after = next(at for at in worked if at >= strike.at)
            if strike.role == "worker":
                self._takeover(strike, marks, worked)
            else:
                self.found[f"stall, {strike.role} struck"].append(_seconds(strike.at, after))

    def _takeover(self, strike: Strike, marks: Sequence[Entry], worked: Sequence[datetime]) -> None:
        """The parts of a takeover, if this session was at work in the very worker that died."""
        of_it = [mark for mark in marks if mark.pid == strike.pid and mark.at >= strike.at]  # not from before its death
        moments: Mapping[str, datetime] = {mark.type: mark.at for mark in reversed(of_it)}
        taken = moments.get("ops.taken_over")
        if taken is None:
            return
        noticed = min(moments.get("ops.worker_lost", taken), taken)
        self.found["worker killed, until noticed"].append(_seconds(strike.at, noticed))
        self.found["worker killed, noticed until taken over"].append(_seconds(noticed, taken))
        self.found["worker killed, until taken over"].append(_seconds(strike.at, taken))
        if back := next((at for at in worked if at >= taken), None):
            self.found["worker killed, taken over until at work"].append(_seconds(taken, back))


def figures(values: Sequence[float]) -> str:
    """Median, 95th percentile and number of some seconds."""
    if not values:
        return "-"
    worst = sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]
    return f"median {statistics.median(values):.2f} s, p95 {worst:.2f} s ({len(values)})"


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
