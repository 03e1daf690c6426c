"""A stream of events ends with the key that opened it, before the next event."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from contract.acting import Acting
from contract.roles import Role
from sessions import sse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

ACTING = Acting("wrkspc_1", Role.VIEWER, "a worker")


class Frames:
    """A stream of so many frames; ``before`` is called ahead of each with its number."""

    def __init__(self, count: int, before: Any = lambda number: None) -> None:
        self.count, self.before = count, before

    async def __aenter__(self) -> Frames:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.left = True

    async def __aiter__(self) -> AsyncIterator[SimpleNamespace]:
        for number in range(self.count):
            self.before(number)
            yield SimpleNamespace(sse=b"data: %d\n\n" % number)


async def sent(frames: Frames, owner: str) -> list[bytes]:
    found: Any = frames
    return [record async for record in sse._records(found, ACTING, owner)]


def test_a_key_that_ends_gets_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"yes"}
    monkeypatch.setattr(sse, "RECHECK_SECONDS", -1.0)  # each frame is a look
    monkeypatch.setattr(sse, "_still_allowed", lambda acting: bool(good))
    frames = Frames(4, lambda number: good.clear() if number == 2 else None)
    assert asyncio.run(sent(frames, "ekey_ends")) == [sse.OPENING, b"data: 0\n\n", b"data: 1\n\n"]
    assert frames.left, "the hub is let go"


def test_streams_of_a_key_share_the_look_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Acting] = []

    def look(acting: Acting) -> bool:
        looks.append(acting)
        return True

    async def several() -> list[list[bytes]]:
        return await asyncio.gather(*(sent(Frames(5), "ekey_shared") for _ in range(4)), sent(Frames(1), "ekey_other"))

    monkeypatch.setattr(sse, "RECHECK_SECONDS", 60.0)
    monkeypatch.setattr(sse, "_still_allowed", look)
    assert [len(one) for one in asyncio.run(several())] == [6, 6, 6, 6, 2]
    assert len(looks) == 2
