"""Connections that were lost while the pool kept them are not handed out."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from config.database.base import DatabaseWrapper, is_silent

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db

SIZE = 4


@pytest.fixture
def apart() -> Iterator[DatabaseWrapper]:
    """The test's database by a pool of its own, of as many connections as the tests take."""
    made = connection.copy(alias="apart")
    assert isinstance(made, DatabaseWrapper)
    made.settings_dict["OPTIONS"]["pool"] |= {"min_size": SIZE, "max_size": SIZE}
    yield made
    made.close()
    made.close_pool()


def keep(wrapper: DatabaseWrapper) -> list[int]:
    """The ids of the server processes of all connections that the pool keeps, in the order in which it gives them."""
    found = [wrapper.get_new_connection(wrapper.get_connection_params()) for _ in range(SIZE)]
    for one in found:
        wrapper.pool.putconn(one)
    return [one.info.backend_pid for one in found]


def end(processes: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT bool_and(pg_terminate_backend(pid, 30000)) FROM unnest(%s) AS pid", [processes])
        assert cursor.fetchone() == (True,)


def process_of(wrapper: DatabaseWrapper) -> int:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_connections_that_the_server_ended_are_not_handed_out(apart: DatabaseWrapper) -> None:
    kept = keep(apart)
    end(kept)
    assert process_of(apart) not in kept


def test_a_connection_that_still_lives_is_handed_out_beside_those_that_were_ended(apart: DatabaseWrapper) -> None:
    *ended, alive = keep(apart)
    end(ended)
    assert process_of(apart) == alive


def test_a_connection_that_has_been_used_is_silent(apart: DatabaseWrapper) -> None:
    with apart.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE NOTICE 'read with its answer'; END $$")
        cursor.execute("SET application_name = 'told of with its answer'")
    assert is_silent(apart.connection)


def forwarded(listening: socket.socket, to: Path) -> None:
    """Pass one connection's bytes on to a unix socket and back, until either side ends."""
    near, _ = listening.accept()
    far = socket.socket(socket.AF_UNIX)
    far.connect(str(to))
    pair = [(near, far), (far, near)]
    both = [threading.Thread(target=_pass_on, args=ways, daemon=True) for ways in pair]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(30)
    near.close()
    far.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


def test_both_ends_of_a_connection_over_a_network_notice_when_it_is_cut_off() -> None:
    made = connection.copy(alias="away")
    assert isinstance(made, DatabaseWrapper)
    directory, port = made.settings_dict["HOST"], made.settings_dict["PORT"] or "5432"
    made.settings_dict["OPTIONS"]["pool"] |= {"min_size": 1, "max_size": 1}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        relay = threading.Thread(target=forwarded, args=(listening, Path(directory) / f".s.PGSQL.{port}"), daemon=True)
        relay.start()
        made.settings_dict |= {"HOST": "127.0.0.1", "PORT": str(listening.getsockname()[1])}
        try:
            with made.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_settings WHERE name LIKE 'tcp%%' AND source = 'session'")
                assert cursor.fetchone() == (4,)
            with socket.socket(fileno=os.dup(made.connection.fileno())) as ours:
                assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
                assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000
        finally:
            made.close()
            made.close_pool()
        relay.join(30)
        assert not relay.is_alive()
