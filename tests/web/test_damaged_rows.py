"""Rows that nobody can read, from a dump restored without its constraints: shown as damaged, no trouble to others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from django.test import Client

from contract.roles import Role
from credentials.actions import issue_api_key
from sessions import actions
from sessions import events as ev
from sessions.events import Draft
from sessions.models import Session, Thread
from tests.sessions.damage import CASES, OF, damage, without_checks
from tests.web.conftest import World, text

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db

TABS = ("session", "progress", "tools", "resources", "threads", "team", "access")
PARTS = ("", "events/", "trace/", "changes/", "export/preview/", *(f"inspect/{tab}/" for tab in TABS))


@pytest.fixture
def unchecked(world: World) -> Iterator[None]:
    with without_checks():
        yield


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("table", "column"), CASES)
def test_whatever_shows_sessions_shows_a_damaged_one_too(world: World, table: str, column: str) -> None:
    body = {"agent": world.session.agent_id, "environment_id": world.session.environment_id}
    other = actions.create_session(body, world.acting)
    world.append(world.running(), Draft(ev.AGENT_MESSAGE, {"content": text("hello")}), world.idle(ev.END_TURN))
    _, key = issue_api_key(workspace=world.workspace, name="k", role=Role.ADMIN, created_by=None)
    headers = {"authorization": f"Bearer {key}"}
    own, api = world.session.pk, Client(raise_request_exception=False)
    row = own if table == "session" else world.thread.pk
    for value in OF[table][column]:
        damage(table, row, column, value)
        for path in ("/", "/sessions/", "/usage/", "/system/", *(f"/sessions/{own}/{part}" for part in PARTS)):
            assert world.alice.get(path).status_code == 200, (path, value)
        listed = world.alice.get("/sessions/").content.decode()
        assert {own, other.pk} <= set(re.findall(r"sesn_\w+", listed))
        assert table == "thread" or "Damaged" in listed, (column, value)
        assert table == "thread" or "Damaged" in world.alice.get(f"/sessions/{own}/").content.decode()
        assert b"".join(world.alice.get(f"/sessions/{own}/export/")).count(b"\n") > 3
        paths = [*(f"/v1/sessions{part}" for part in ("", f"/{own}", f"/{own}/threads", f"/{own}/events"))]
        paths += [f"/v1/x/sessions/{own}/progress", f"/v1/x/sessions/{own}/limits"]
        answers = {path: api.get(path, headers=headers) for path in paths}
        assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(paths, 200), value
        found = {one["id"]: one for one in answers["/v1/sessions"].json()["data"]}
        assert table == "thread" or found[own]["holdfast"]["unreadable"] == [column]
        assert "unreadable" not in found[other.pk].get("holdfast", {})


def test_what_is_sound_is_not_said_to_be_damaged(world: World) -> None:
    cost = {"amount": "250", "currency": "USD"}
    limits, budget = {"steps": 5, "list_cost": cost}, {"type": "limit", "max_list_cost": cost}
    Session.objects.filter(pk=world.session.pk).update(limits=limits, budget=budget, metadata={"a": "b"})
    assert world.fresh().unreadable == ()
    assert Thread.objects.get(pk=world.thread.pk).unreadable == ()
