"""URLs become what their clients want."""

from __future__ import annotations

import socket

import pytest

from config import endpoints
from config.endpoints import celery_broker, django_database, reach_database
from config.readers import SettingError


def test_a_database_url_becomes_djangos_entry() -> None:
    entry = django_database("postgresql://me:p%40ss@db.example:5433/my%2Fdb?sslmode=require")
    assert (entry["HOST"], entry["PORT"], entry["USER"], entry["PASSWORD"]) == ("db.example", "5433", "me", "p@ss")
    assert entry["NAME"] == "my/db"
    assert entry["OPTIONS"]["sslmode"] == "require"
    assert entry["OPTIONS"]["pool"]["max_size"] > 1


def test_a_socket_directory_can_be_the_host() -> None:
    entry = django_database("postgresql://holdfast@/holdfast?host=/run/holdfast")
    assert (entry["HOST"], entry["PORT"]) == ("/run/holdfast", "")


@pytest.mark.parametrize("url", ["postgresql://me@host/", "postgresql://me@host/db?sslmod=require"])
def test_an_incomplete_or_misspelt_database_url_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match=r"DATABASE_URL .*\.$"):
        django_database(url)


def test_a_database_that_never_answers_is_told_of_soon_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "REACH_SECONDS", 2)  # the least that the client takes
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(SettingError, match="look at DATABASE_URL"):
            reach_database(f"postgresql://me:secret@127.0.0.1:{port}/holdfast")


def test_the_broker_gets_celerys_spelling_of_a_socket() -> None:
    assert celery_broker("unix:///run/v.sock?db=3") == "redis+socket:///run/v.sock?virtual_host=3"
    assert celery_broker("unix://:s%26t@/run/v.sock") == "redis+socket://:s%26t@/run/v.sock?virtual_host=0"
    assert celery_broker("unix:///v.sock?password=s%26t") == "redis+socket:///v.sock?virtual_host=0&password=s%26t"
    assert celery_broker("amqp://me@rabbit:5672/v") == "amqp://me@rabbit:5672/v"
