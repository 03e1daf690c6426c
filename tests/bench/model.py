"""The demo model behind a clock: when each reply ended and when the next request came."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agents.providers.demo.server import DemoServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MODEL = "bench-model"


class TimedModel(DemoServer):
    """A Messages API server that notes its own idle times. One conversation at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps: list[float] = []
        self._inner = self.app
        self._ended: float | None = None
        self.thinking = 0.0  # seconds before each reply
        self.app = self._timed  # type: ignore[assignment]  # a WSGI app like the one it wraps

    def forget(self) -> None:
        """Start measuring a new conversation."""
        self.gaps, self._ended = [], None

    def _timed(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        arrived = time.perf_counter()
        if environ["REQUEST_METHOD"] != "POST":
            yield from self._inner(environ, start)
            return
        if self._ended is not None:
            self.gaps.append((arrived - self._ended) * 1000)
        if self.thinking:
            time.sleep(self.thinking)
        yield from self._inner(environ, start)
        self._ended = time.perf_counter()


@contextmanager
def served() -> Iterator[TimedModel]:
    """The model on a loopback port while the block runs."""
    with TimedModel() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
