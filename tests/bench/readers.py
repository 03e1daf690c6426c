"""Many readers of one event stream in one process, each noting when every event arrived."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.live import ROOT

if TYPE_CHECKING:
    from tests.live import Installation

EVENT = b"event: agent.thinking\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
OPEN_SECONDS = 30.0


class Reader(asyncio.Protocol):
    """One connection that counts events by the bytes of their first line."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.arrivals: list[int] = []
        self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if not self.opened.done():
            status = STATUS.match(data)
            assert status is not None, data
            assert status[1] == b"200", data
            self.opened.set_result(None)
        text = self.tail + data
        self.arrivals += [now] * text.count(EVENT)
        # What follows the last whole line may be the beginning of the next event's.
        self.tail = text[text.rfind(b"\n") + 1 :]


def fan_out(installation: Installation, session_id: str, readers: int, events: int, gap_ms: int) -> list[float]:
    """Milliseconds from commit to each reader, for every event and reader."""
    return asyncio.run(_fan_out(installation, session_id, readers, events, gap_ms))


async def _fan_out(installation: Installation, session_id: str, readers: int, events: int, gap_ms: int) -> list[float]:
    host, port = urlsplit(installation.url).hostname or "", urlsplit(installation.url).port or 80
    request = (
        f"GET /v1/sessions/{session_id}/events/stream HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"x-api-key: {installation.api_key}\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(lambda: Reader(request), host, port)) for _ in range(readers)]
    await asyncio.wait_for(asyncio.gather(*(reader.opened for _, reader in opened)), OPEN_SECONDS)
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.inside", "append", session_id, str(events), str(gap_ms)),
        cwd=ROOT,
        env=installation.environment,
        stdout=subprocess.PIPE,
    )
    output, _ = await writer.communicate()
    committed = [int(line) for line in output.split()]
    deadline = loop.time() + OPEN_SECONDS
    while any(len(reader.arrivals) < events for _, reader in opened) and loop.time() < deadline:
        await asyncio.sleep(0.05)
    for transport, _ in opened:
        transport.close()
    assert all(len(reader.arrivals) == len(committed) == events for _, reader in opened), "events went missing"
    return [
        (arrived - moment) / 1e6
        for _, reader in opened
        for moment, arrived in zip(committed, reader.arrivals, strict=True)
    ]
