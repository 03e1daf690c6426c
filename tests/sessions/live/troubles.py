"""A process that has had no trouble with its nudges yet."""

from __future__ import annotations

from sessions import nudges


def forget_troubles() -> None:
    """Try again at once and complain again at once, as a new process would."""
    nudges._breaker = nudges._Breaker()
    nudges._complaints = nudges._Complaints()
