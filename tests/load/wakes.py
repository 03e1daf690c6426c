"""One process of the load ``wakeups``: the product's own wake-ups through the broker of its settings, and back.

Prints JSON: ``rate``, wake-ups a second while they are sent as fast as they go, and ``way``, the median milliseconds
of one that is sent while nothing else is under way.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import threading
import time
from typing import Any

import django

ONE_BY_ONE = 200
GAP_SECONDS = 0.01
PATIENCE_SECONDS = 120.0


class Taker:
    """Takes wake-ups off the queue, as a worker does, and remembers when."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._over = threading.Event()
        self.taken: dict[str, float] = {}
        self.listens = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with (
            self._app.connection_for_read() as connection,
            self._app.amqp.TaskConsumer(connection.channel(), callbacks=[self._take], accept=["json"]),
        ):
            self.listens.set()
            while not self._over.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.5)

    def _take(self, body: Any, message: Any) -> None:
        self.taken[body[0][0]] = time.perf_counter()
        message.ack()

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while len(self.taken) < count:
            assert time.monotonic() < until, f"only {len(self.taken)} of {count} wake-ups came"
            time.sleep(0.005)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def main(together: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from config.celery import app
    from sessions.wake import wake

    taker = Taker(app)
    assert taker.listens.wait(PATIENCE_SECONDS), "the broker is not there"
    wake("first")
    taker.wait_for(1)
    begun = time.perf_counter()
    for number in range(together):
        wake(f"together{number}")
    taker.wait_for(1 + together)
    rate = together / (max(taker.taken.values()) - begun)
    sent = {}
    for number in range(ONE_BY_ONE):
        sent[f"alone{number}"] = time.perf_counter()
        wake(f"alone{number}")
        time.sleep(GAP_SECONDS)
    taker.wait_for(1 + together + ONE_BY_ONE)
    way = statistics.median(taker.taken[name] - moment for name, moment in sent.items()) * 1000
    taker.stop()
    print(json.dumps({"rate": rate, "way": way, "count": 1 + together + ONE_BY_ONE}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
