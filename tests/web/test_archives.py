"""The page of archives: one is made by a worker and fetched, another is looked at first and then brought in."""

from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from agents.models import Agent
from contract.acting import Acting
from contract.roles import Role
from contract.secret import Secret
from credentials.models import AuditRecord
from sessions.exchange import archive, transfers
from sessions.models import Session, Transfer
from tests.live import wait_for
from tests.streamed import whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.conftest import World

PHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task is carried out by the tests, when they want it."""
    monkeypatch.setattr("sessions.views.archives.drive_transfer", lambda transfer_id: None)


def made(world: World) -> bytes:
    """An archive, exported as the page does it."""
    assert world.alice.post("/archives/export/", {"out-passphrase": PHRASE}).status_code == 302
    one = Transfer.objects.latest("created_at")
    assert "Waiting for a worker" in world.alice.get("/archives/").content.decode()
    transfers.carry_out(one.pk)
    page = world.alice.get("/archives/").content.decode()
    assert f"/archives/{one.pk}/download/" in page
    fetched = world.alice.get(f"/archives/{one.pk}/download/")
    assert fetched["Content-Disposition"].startswith("attachment")
    return whole(fetched)


def test_a_file_that_can_t_be_kept_leaves_nothing_to_be_worked_on(world: World) -> None:
    """The sweep hands over whatever it finds waiting, so the row comes after its file."""

    class Torn(SimpleUploadedFile):
        def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
            yield b"PK"
            assert not Transfer.objects.exists()
            raise OSError(28, "No space left on device")

    acting = Acting(world.session.workspace_id, Role.ADMIN, "alice")
    with pytest.raises(OSError, match="No space left"):
        transfers.take_in(Torn("ours.zip", b""), Secret(PHRASE), acting)
    assert not Transfer.objects.exists()
    assert list((settings.HOLDFAST_DATA_DIR / "transfers").glob("*.zip")) == []


def bring(world: World, content: bytes, phrase: str = PHRASE) -> Transfer:
    """Upload an archive as Charlie, whose workspace is another, and have it checked."""
    body: dict[str, Any] = {"in-archive": SimpleUploadedFile("ours.zip", content), "in-passphrase": phrase}
    assert world.charlie.post("/archives/import/", body).status_code == 302
    one = Transfer.objects.latest("created_at")
    transfers.carry_out(one.pk)
    return Transfer.objects.get(pk=one.pk)


def test_an_archive_is_looked_at_and_then_brought_in(world: World) -> None:
    content = made(world)
    session_id, agent_id = world.session.pk, world.agent.pk
    checked = bring(world, content)
    page = world.charlie.get("/archives/").content.decode()
    assert (checked.state, checked.message) == ("checked", "")
    assert checked.report["rows"]["Session"] == [1, 1]
    assert "on this server already" in page
    assert f"/archives/{checked.pk}/import/" not in page
    wipe()
    checked = bring(world, content)
    assert checked.report["rows"]["Session"] == [1, 0]
    assert not Session.objects.exists()
    assert f"/archives/{checked.pk}/import/" in world.charlie.get("/archives/").content.decode()
    world.charlie.post(f"/archives/{checked.pk}/import/")
    transfers.carry_out(checked.pk)
    done = Transfer.objects.get(pk=checked.pk)
    assert (done.state, done.message, bytes(done.sealed_passphrase)) == ("completed", "", b"")
    assert Session.objects.get().pk == session_id
    assert Agent.objects.get().pk == agent_id
    assert world.charlie.get(f"/sessions/{session_id}/").status_code == 200
    assert not transfers.place(done).exists()
    told = set(AuditRecord.objects.values_list("action", flat=True))
    assert {"workspace.export_begun", "workspace.archive_downloaded", "workspace.import_begun"} <= told
    assert "workspace.restored" in told


def wipe() -> None:
    from tests.api.test_exchange import wipe as everything

    everything()


@pytest.mark.parametrize(
    ("spoil", "phrase", "said"),
    [
        (lambda content: content, "another phrase here", "signature is wrong"),
        (lambda content: content[: len(content) // 2], PHRASE, "The archive is broken"),
        (lambda content: b"no zip at all", PHRASE, "The archive is broken"),
    ],
)
def test_what_is_no_archive_of_ours_is_refused_with_the_reason(
    world: World, spoil: Any, phrase: str, said: str
) -> None:
    failed = bring(world, spoil(made(world)), phrase)
    assert failed.state == "failed"
    page = world.charlie.get("/archives/").content.decode()
    assert said in page
    assert f"/archives/{failed.pk}/import/" not in page
    assert world.charlie.post(f"/archives/{failed.pk}/import/").status_code == 302
    assert Transfer.objects.get(pk=failed.pk).state == "failed"
    assert not transfers.place(failed).exists()


def test_a_short_passphrase_and_a_missing_file_are_said_on_the_form(world: World) -> None:
    short = world.alice.post("/archives/export/", {"out-passphrase": "short"})
    assert short.status_code == 422
    assert "at least 12 characters" in short.content.decode()
    assert world.alice.post("/archives/import/", {"in-passphrase": PHRASE}).status_code == 422
    assert not Transfer.objects.exists()


def test_no_more_than_two_are_worked_on_at_a_time(world: World) -> None:
    for _ in range(2):
        world.alice.post("/archives/export/", {"out-passphrase": PHRASE})
    third = world.alice.post("/archives/export/", {"out-passphrase": PHRASE})
    assert (third.status_code, Transfer.objects.count()) == (422, 2)


def test_what_a_killed_worker_left_is_ended_and_old_archives_are_forgotten(world: World) -> None:
    world.alice.post("/archives/export/", {"out-passphrase": PHRASE})
    one = Transfer.objects.get()
    assert transfers.sweep() == [one.pk]
    Transfer.objects.update(state="running")
    progress = transfers.place(one).with_suffix(".progress")
    progress.write_text('["Event", 500]')
    assert "Events: 500 so far" in world.alice.get("/archives/").content.decode()
    assert transfers.sweep() == []
    assert Transfer.objects.get().state == "running"
    os.utime(progress, (0, time.time() - 2 * transfers.SILENT_SECONDS))
    transfers.sweep()
    assert Transfer.objects.get().message == transfers.GONE
    Transfer.objects.update(created_at=one.created_at - 2 * transfers.KEPT)
    transfers.sweep()
    assert not Transfer.objects.exists()


def test_a_worker_that_says_nothing_for_long_is_known_to_be_alive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(workspace: Any, target: Any, passphrase: Any, say: Any) -> dict[str, int]:
        progress = transfers.place(Transfer.objects.get()).with_suffix(".progress")
        os.utime(progress, (0, 0))
        wait_for(lambda: progress.stat().st_mtime > time.time() - transfers.SILENT_SECONDS, 30)
        assert transfers.sweep() == []
        return {}

    monkeypatch.setattr(transfers, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(archive, "export", slow)
    world.alice.post("/archives/export/", {"out-passphrase": PHRASE})
    transfers.carry_out(Transfer.objects.get().pk)
    assert Transfer.objects.get().state == "completed"


def test_an_import_that_was_given_up_brings_nothing_in_when_its_worker_comes_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = made(world)
    wipe()
    checked = bring(world, content)
    world.charlie.post(f"/archives/{checked.pk}/import/")
    real = archive.restore

    def asleep(source: Any, *given: Any, **named: Any) -> dict[str, int]:
        os.utime(transfers.place(checked).with_suffix(".progress"), (0, 0))
        kept = io.BytesIO(source.read())
        transfers.sweep()
        assert Transfer.objects.get(pk=checked.pk).message == transfers.GONE
        return real(kept, *given, **named)

    monkeypatch.setattr(archive, "restore", asleep)
    transfers.carry_out(checked.pk)
    done = Transfer.objects.get(pk=checked.pk)
    assert (done.state, done.message) == ("failed", transfers.GONE)
    assert not Session.objects.exists()


def test_the_passphrase_is_stored_sealed_only(world: World) -> None:
    world.alice.post("/archives/export/", {"out-passphrase": PHRASE})
    row = Transfer.objects.values().get()
    assert PHRASE.encode() not in io.BytesIO(repr(row).encode()).read()
