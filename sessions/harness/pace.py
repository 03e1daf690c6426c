"""Requests that wait for their turn with a model's server (``agents.providers.pacing``) tell so on the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection

from agents.providers.base import WAITS
from sessions import events as ev
from sessions.events import Draft

if TYPE_CHECKING:
    from agents.providers.base import OnPart, StreamPart
    from sessions.harness.effects import Effects
    from sessions.models import Event


class Telling:
    """What a request's parts go through: waits onto the log, and into ``stored``; the reply's own to ``on_part``."""

    def __init__(self, effects: Effects, stored: list[Event], on_part: OnPart | None = None) -> None:
        self._effects, self._stored, self._on_part = effects, stored, on_part

    def part(self, part: StreamPart) -> None:
        """Take the next part. Raises ``sessions.log.LeaseLost``."""
        if part.kind in WAITS:
            self._stored += self._effects.append([_draft(part)])
            connection.close()  # back to the pool: the model may take minutes
        elif self._on_part is not None:
            self._on_part(part)


def _draft(part: StreamPart) -> Draft:
    if part.kind == "asked":
        return Draft(ev.OPS_ASKED)
    return Draft(ev.OPS_PACED, {"seconds": None if part.seconds is None else round(part.seconds, 1)})
