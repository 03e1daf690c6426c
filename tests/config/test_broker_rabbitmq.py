"""RabbitMQ's queue and what lies in it that is no task: it costs itself only, and nothing of it stays."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import amqp
import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker

from config import broker
from tests import rabbit
from tests.live import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not rabbit.PROGRAM.exists(), reason="there is no rabbitmq-server here"),
]

QUEUE = "poisoned"
HEADERS: dict[str, Any] = {
    "lang": "py",
    "task": "arrive",
    "id": "one",
    "root_id": "one",
    "argsrepr": "()",
    "retries": 0,
}
CALL = json.dumps([[], {}, {}])
HUGE = 8_000_000  # bytes


def message(body: bytes | str = CALL, headers: dict[str, Any] | None = None, **properties: Any) -> Any:
    """A call of the test's task as Celery sends it, with something changed."""
    told = {"content_type": "application/json", "content_encoding": "utf-8", **properties}
    body = body.encode() if isinstance(body, str) else body
    return amqp.Message(body, application_headers={**HEADERS, **(headers or {})}, **told)


def poison() -> list[Any]:
    return [
        amqp.Message(b"not json"),
        amqp.Message(b""),
        amqp.Message(b"\xff\xfe\x00", content_type="application/json", content_encoding="utf-8"),
        message(b"not json"),
        message(b"null"),
        message(b"{}"),
        message(b"42"),
        message("[" * 50_000),
        message(json.dumps("no call")),
        message(json.dumps([1, 2, 3])),
        message(json.dumps([["too", "many"], {"and": "more"}, {}])),
        message(json.dumps([["x" * HUGE], {}, {}])),
        message(b"\x00" * HUGE),
        message(headers={"task": "unknown"}),
        message(headers={"task": None}),
        message(headers={"task": ["a"]}),
        message(headers={"task": {"a": 1}}),
        message(headers={"eta": "no date"}),
        message(headers={"eta": 12}),
        message(headers={"expires": "never"}),
        message(headers={"timelimit": "x"}),
        message(headers={"id": None}),
        message(headers={"retries": "many"}),
        message(headers={"compression": "none known"}),
        message(content_type="application/x-python-serialize"),
        message(content_encoding="none known"),
        message(reply_to="nobody", correlation_id="x" * 200),
    ]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker in this process that is none of an installation: no liveness lock, no messages of ours."""
    for signal in (signals.celeryd_after_setup, signals.worker_ready, signals.worker_shutting_down):
        monkeypatch.setattr(signal, "receivers", [])


def left(server: rabbit.Rabbit) -> int:
    """How many messages of the queue nobody has acknowledged: what a connection that ends gives back is counted."""
    with amqp.Connection(f"127.0.0.1:{server.port}") as link:
        return int(link.channel().queue_declare(QUEUE, passive=True).message_count)


@pytest.mark.usefixtures("alone")
def test_a_worker_outlives_everything_in_a_rabbitmq_queue_that_is_no_task(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.install()
    with rabbit.running(tmp_path) as server, caplog.at_level(logging.ERROR):
        app = Celery("poisoned", broker=server.url, set_as_current=False)
        app.conf.update(task_default_queue=QUEUE, worker_enable_remote_control=False, worker_hijack_root_logger=False)
        app.conf.update(worker_prefetch_multiplier=1)
        calls: list[str] = []

        @app.task(name="arrive")
        def arrive() -> None:
            """What the calls above name."""

        @app.task(name="arrive_last")
        def arrive_last() -> None:
            calls.append("last")

        app.send_task("arrive_last", countdown=0)  # declares the queue
        with amqp.Connection(f"127.0.0.1:{server.port}") as link:
            channel = link.channel()
            for one in poison():
                channel.basic_publish(one, routing_key=QUEUE)
        app.send_task("arrive_last")
        with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False, shutdown_timeout=30):
            wait_for(lambda: len(calls) == 2, 60, lambda: caplog.text[-3000:])
        assert left(server) == 0, "nothing of it is kept to come back later"
