"""What lies in the task queue and is no task costs itself only: the worker goes on with what comes after it."""

from __future__ import annotations

import base64
import json
import logging
import queue
import socket
import threading
from typing import Any

import pytest
import redis
from celery import Celery
from django.conf import settings
from kombu.exceptions import OperationalError

from config import broker
from config.endpoints import celery_broker
from tests.config import poison
from tests.config.poison import QUEUE, alone  # noqa: F401  the fixture
from tests.live import wait_for


def packed(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def message(body: Any = None, headers: dict[str, Any] | None = None, properties: dict[str, Any] | None = None) -> bytes:
    """A call of the test's task as Celery writes it, with something changed."""
    told = {"body_encoding": "base64", "delivery_tag": "tag", "delivery_info": {"exchange": "", "routing_key": QUEUE}}
    call = {
        "body": packed(poison.CALL) if body is None else body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**poison.HEADERS, **(headers or {})},
        "properties": {**told, **(properties or {})},
    }
    return json.dumps(call).encode()


MESSAGES = [
    *poison.BODIES,
    *(message(headers=headers) for headers in poison.WRONG_HEADERS),
    *(message(body=packed(call)) for call in poison.NO_CALLS),
    b'{"body": null}',
    b'{"__type__": "date", "__value__": 5}',
    message(body="!not base64"),
    message(body=5),
    message(properties={"body_encoding": "rot13"}),
    message(properties={"delivery_tag": None}),
    message(properties={"delivery_info": None}),
    message().replace(b"application/json", b"application/x-python-serialize"),
    message().replace(b"utf-8", b"none known"),
    b'{"body": 5, "properties": 5, "headers": 5}',
]


@pytest.mark.usefixtures("alone")
def test_a_worker_outlives_everything_in_its_queue_that_is_no_task(
    redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.install()
    monkeypatch.setattr(broker.logger, "handlers", [caplog.handler])  # a worker sets up the root's anew
    arrived: list[str] = []
    app = poison.app(celery_broker(redis_url), arrived)
    with redis.Redis.from_url(redis_url) as client, caplog.at_level(logging.ERROR):
        for one in MESSAGES:
            client.lpush(QUEUE, one)
        app.send_task("arrive_last")
        with poison.working(app):
            wait_for(lambda: arrived == ["last"], 60, lambda: caplog.text[-3000:])
        assert client.llen(QUEUE) == 0
        assert client.zcard("unacked_index") == 0, "nothing of it is kept to come back later"
    assert caplog.text.count("could not be read and was dropped") >= 10


@pytest.mark.usefixtures("alone")
def test_a_worker_whose_threads_are_all_busy_leaves_wake_ups_to_others(redis_url: str) -> None:
    app = Celery("busy", broker=celery_broker(redis_url), set_as_current=False)
    app.config_from_object(settings, namespace="CELERY")
    app.conf.update(broker_url=celery_broker(redis_url), task_default_queue="busy", task_routes=None)
    arrived, go_on, calls = threading.Semaphore(0), threading.Event(), []

    @app.task(name="work", shared=False)
    def work(number: int) -> None:
        calls.append(number)
        arrived.release()
        go_on.wait(30)

    with redis.Redis.from_url(redis_url) as client:
        for number in range(6):
            app.send_task("work", [number])
        with poison.working(app):
            assert arrived.acquire(timeout=30)
            assert arrived.acquire(timeout=30)
            left = client.llen("busy")
            go_on.set()
            for _ in range(4):
                assert arrived.acquire(timeout=30)
    assert left >= 3, "it took more than it can run, but for one that it asked for while a thread was free"
    assert sorted(calls) == list(range(6))


def test_a_broker_that_hangs_keeps_nobody_waiting_who_puts_a_message_in() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Celery(set_as_current=False) as app:
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.conf.broker_url = celery_broker(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = threading.Event()
        answers: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

        def send() -> None:
            began.set()
            try:
                app.send_task("sessions.run_thread", ["sthr_x"], ignore_result=True)
            except (OperationalError, OSError) as error:
                answers.put(error)

        threading.Thread(target=send, daemon=True).start()
        began.wait()
        assert isinstance(answers.get(timeout=60), (OperationalError, OSError))
