"""What is no task, whichever broker's queue it lies in, and the worker that meets it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUE = "poisoned"
HEADERS = {"lang": "py", "task": "arrive", "id": "one", "root_id": "one", "argsrepr": "()", "retries": 0}
CALL: list[Any] = [[], {}, {}]
NO_CALLS: list[Any] = ["no call", [1, 2, 3], [["too", "many"], {"and": "more"}, {}]]
BODIES = [b"not json", b"\xff\xfe\x00", b"", b"null", b"[]", b"{}", b"42", b"[" * 50_000]
WRONG_HEADERS: list[dict[str, Any]] = [
    {"task": "unknown"},
    {"task": None},
    {"task": ["a"]},
    {"task": {"a": 1}},
    {"eta": "no date"},
    {"eta": 12},
    {"expires": "never"},
    {"timelimit": "x"},
    {"id": None},
    {"retries": "many"},
    {"compression": "none known"},
]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker in this process that is none of an installation: no liveness lock, no messages of ours."""
    ours = signals.celeryd_after_setup, signals.worker_ready, signals.worker_shutting_down, signals.worker_shutdown
    for signal in ours:
        monkeypatch.setattr(signal, "receivers", [])


def app(address: str, arrived: list[str]) -> Celery:
    """An app whose task `arrive` is what the headers name; `arrive_last` notes in ``arrived`` that it was run.

    Tasks are shared with all later apps of the process unless told; another test's would be run then.
    """
    made = Celery("poisoned", broker=address, set_as_current=False)
    made.conf.update(task_default_queue=QUEUE, worker_enable_remote_control=False, worker_hijack_root_logger=False)
    made.conf.update(worker_prefetch_multiplier=1)

    @made.task(name="arrive", shared=False)
    def arrive() -> None:
        """What the headers above name."""

    @made.task(name="arrive_last", shared=False)
    def arrive_last() -> None:
        arrived.append("last")

    return made


@contextmanager
def working(on: Celery) -> Iterator[None]:
    with start_worker(on, pool="threads", concurrency=2, perform_ping_check=False, shutdown_timeout=30):
        yield
