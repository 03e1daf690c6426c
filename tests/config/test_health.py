"""The two health answers."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test import Client, RequestFactory

from config import health
from credentials.egress import client as egress_client
from sessions.harness import lease
from sessions.sweeper import SWEEPER_NUMBER
from sessions.system import checks

if TYPE_CHECKING:
    from pathlib import Path


def test_healthz_needs_nothing_but_the_process() -> None:
    answer = health.healthz(RequestFactory().get("/healthz"))
    assert answer.status_code == 200
    assert json.loads(answer.content) == {"status": "ok"}


def test_readyz_names_the_part_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a broker this server still serves; that the installation is not whole is told, and refused if asked."""
    monkeypatch.setattr(checks, "states", lambda: {"database": "ok", "broker": "no answer"})
    for question, status in (("/readyz", 200), ("/readyz?all", 503)):
        answer = health.readyz(RequestFactory().get(question))
        assert answer.status_code == status
        assert json.loads(answer.content) == {
            "status": "degraded",
            "parts": {"database": "ok", "broker": "no answer"},
        }


def test_readyz_refuses_traffic_that_cannot_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "states", lambda: {"database": "no answer", "broker": "ok"})
    answer = health.readyz(RequestFactory().get("/readyz"))
    assert answer.status_code == 503
    assert json.loads(answer.content)["status"] == "not ready"


@pytest.mark.django_db
def test_the_test_servers_are_found_ready() -> None:
    assert checks.database() == "ok"
    assert checks.nudges() == "ok"
    assert checks.broker() == "ok"


@pytest.mark.django_db
def test_without_a_worker_that_is_said() -> None:
    assert checks.processes()["workers"] == "no worker is running"


@pytest.mark.django_db
def test_without_a_sweeper_or_with_a_silent_one_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.processes()["sweeper"] == "no sweeper is running"
    with psycopg.connect(**lease.dsn(), autocommit=True) as another:
        another.execute("SELECT pg_advisory_lock(%s, %s)", [lease.LIVENESS_CLASS, SWEEPER_NUMBER])
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees who is connected as it first looked
        assert checks.processes()["sweeper"] == "ok"
        monkeypatch.setattr(lease, "SWEEPER_SILENT_SECONDS", 0.0)
        assert checks.processes()["sweeper"] == "no sweeper is running"


def test_a_missing_sandbox_host_is_said(settings: object, tmp_path: Path) -> None:
    settings.HOLDFAST_SANDBOX_SOCKET = tmp_path / "none.sock"  # type: ignore[attr-defined]
    assert "no sandbox host" in checks.sandbox_host()


def test_a_host_or_a_proxy_that_takes_connections_and_answers_none_is_said(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process that is frozen looks like from outside."""
    monkeypatch.setattr(checks, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(egress_client, "SECONDS", 0.1)
    settings.HOLDFAST_SANDBOX_SOCKET = settings.HOLDFAST_EGRESS_SOCKET = tmp_path / "frozen.sock"
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / "frozen.sock"))
        frozen.listen()
        assert checks.sandbox_host() == "the sandbox host doesn't answer"
        assert checks.egress() == "the egress proxy doesn't answer"


@pytest.mark.django_db
def test_a_part_that_hangs_is_told_in_time_and_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    released, asked = threading.Event(), []

    def hangs() -> str:
        asked.append(1)
        released.wait()
        return "ok"

    monkeypatch.setattr(checks, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(checks, "PARTS", {"database": hangs})
    try:
        for _ in range(3):
            assert checks.states()["database"].startswith("no answer within")
        assert len(asked) == 1
    finally:
        released.set()


def test_a_database_that_is_away_is_an_answer_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def cursor(self) -> None:
            raise OperationalError("gone")

    monkeypatch.setattr(checks, "connection", Away())
    assert "OperationalError" in checks.database()


@pytest.mark.django_db
def test_health_takes_no_sign_in_and_no_other_method(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.post("/healthz").status_code == 405
