"""RabbitMQ's queue and what lies in it that is no task: it costs itself only, and nothing of it stays."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import amqp
import pytest

from config import broker
from tests import rabbit
from tests.config import poison
from tests.config.poison import QUEUE, alone  # noqa: F401  the fixture
from tests.live import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not rabbit.PROGRAM.exists(), reason="there is no rabbitmq-server here"),
]

HUGE = 8_000_000  # bytes


def message(body: bytes | str | None = None, headers: dict[str, Any] | None = None, **properties: Any) -> Any:
    """A call of the test's task as Celery sends it, with something changed."""
    told = {"content_type": "application/json", "content_encoding": "utf-8", **properties}
    body = json.dumps(poison.CALL) if body is None else body
    body = body.encode() if isinstance(body, str) else body
    return amqp.Message(body, application_headers={**poison.HEADERS, **(headers or {})}, **told)


def messages() -> list[Any]:
    return [
        *(amqp.Message(body) for body in poison.BODIES),
        *(message(body) for body in poison.BODIES),
        *(message(json.dumps(call)) for call in poison.NO_CALLS),
        *(message(headers=headers) for headers in poison.WRONG_HEADERS),
        amqp.Message(b"\xff\xfe\x00", content_type="application/json", content_encoding="utf-8"),
        message(json.dumps([["x" * HUGE], {}, {}])),
        message(b"\x00" * HUGE),
        message(content_type="application/x-python-serialize"),
        message(content_encoding="none known"),
        message(reply_to="nobody", correlation_id="x" * 200),
    ]


def left(server: rabbit.Rabbit) -> int:
    """How many messages of the queue nobody has acknowledged: what a connection that ends gives back is counted."""
    with amqp.Connection(f"127.0.0.1:{server.port}") as link:
        return int(link.channel().queue_declare(QUEUE, passive=True).message_count)


@pytest.mark.usefixtures("alone")
def test_a_worker_outlives_everything_in_a_rabbitmq_queue_that_is_no_task(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker.install()
    with rabbit.running(tmp_path) as server, caplog.at_level(logging.ERROR):
        arrived: list[str] = []
        app = poison.app(server.url, arrived)
        app.send_task("arrive_last")  # declares the queue
        with amqp.Connection(f"127.0.0.1:{server.port}") as link:
            channel = link.channel()
            for one in messages():
                channel.basic_publish(one, routing_key=QUEUE)
        app.send_task("arrive_last")
        with poison.working(app):
            wait_for(lambda: len(arrived) == 2, 60, lambda: caplog.text[-3000:])
        assert left(server) == 0, "nothing of it is kept to come back later"
