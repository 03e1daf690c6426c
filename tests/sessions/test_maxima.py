"""What a workspace may have at most holds too when two people add at the same moment."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction

from agents.actions import create_agent, create_environment
from agents.models import Workspace
from contract import ids
from contract.acting import Acting
from contract.errors import InvalidRequest
from contract.roles import Role
from contract.secret import Secret
from sessions import saved
from sessions.approvals import targets
from sessions.exchange import transfers
from sessions.models import Deployment, NoticeTarget, SavedView, Transfer
from sessions.schedules import actions as schedules
from tests.live import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

PHRASE = Secret("correct horse battery")


def _schedule(acting: Acting) -> Deployment:
    agent = create_agent({"name": "Coder", "model": "demo"}, acting).agent
    environment = create_environment({"name": f"Home {ids.environment_id()}"}, acting)
    said = {"type": "user.message", "content": [{"type": "text", "text": "Go"}]}
    return schedules.create(
        {
            "name": "Nightly",
            "agent": agent.pk,
            "environment_id": environment.pk,
            "initial_events": [said],
            "schedule": {"type": "cron", "expression": "0 3 * * *", "timezone": "UTC"},
        },
        acting,
    )


ADDING: dict[str, tuple[Any, str, Any, Callable[[Acting], object]]] = {
    "schedules": (schedules, "MAX_SCHEDULED", Deployment, _schedule),
    "targets": (
        targets,
        "MAX_TARGETS",
        NoticeTarget,
        lambda acting: targets.add_target("webhook", "https://example.com/hook", acting),
    ),
    "views": (saved, "MOST", SavedView, lambda acting: saved.save("Mine", {"status": "needs"}, acting)),
    "exports": (transfers, "MAX_OPEN", Transfer, lambda acting: transfers.export(PHRASE, acting)),
    "imports": (
        transfers,
        "MAX_OPEN",
        Transfer,
        lambda acting: transfers.take_in(SimpleUploadedFile("a.zip", io.BytesIO(b"PK").read()), PHRASE, acting),
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ADDING)
def test_the_second_of_two_at_once_waits_for_the_first_and_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, most, model, add = ADDING[kind]
    monkeypatch.setattr(module, most, 1)
    acting = Acting(Workspace.objects.create(name="Ours").pk, Role.ADMIN, "alice")

    def second() -> None:
        try:
            with pytest.raises(InvalidRequest, match=r"at most|as many|wait for one"):
                add(acting)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Workspace.hold(acting.workspace_id)
            waiting = pool.submit(second)
            wait_for(_somebody_waits, 60)
            add(acting)
        waiting.result(60)
    assert model.objects.count() == 1


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
