"""Uploads, forks and archives on a disk that is really full: refused with the way out, and nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from contract.errors import NoRoom
from contract.secret import Secret
from sessions import events as ev
from sessions import log, workspaces
from sessions.events import Draft
from sessions.exchange import transfers
from sessions.models import Event, File, Session, Transfer
from tests.api.test_files import upload
from tests.api.test_session_lists import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.api.conftest import Caller

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can only be mounted by root")

LARGE = b"x" * 200_000


@pytest.fixture
def small(settings: Any, tmp_path: Path) -> Iterator[Path]:
    """A DATA_DIR of 128 KB."""
    disk = tmp_path / "small"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "small", str(disk)], capture_output=True, check=False, timeout=20
    )
    if mounted.returncode:
        pytest.skip(f"no small disk here: {mounted.stderr.decode()}")
    settings.HOLDFAST_DATA_DIR, settings.HOLDFAST_BLOB_DIR = disk, disk / "blobs"
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True, timeout=20)


def files_in(disk: Path) -> list[Path]:
    return [path for path in disk.rglob("*") if path.is_file()]


def test_an_upload_that_the_disk_has_no_room_for_is_refused_and_nothing_of_it_stays(alice: Caller, small: Path) -> None:
    answer = upload(alice, data=LARGE)
    assert answer.status_code == 507
    assert "DATA_DIR/blobs is full; make room" in answer.json()["error"]["message"]
    assert files_in(small) == []
    assert not File.objects.exists()
    assert upload(alice, data=b"there is room for this").status_code == 200


def test_an_archive_that_the_disk_has_no_room_for_says_so_and_nothing_of_it_stays(alice: Caller, small: Path) -> None:
    assert upload(alice, data=os.urandom(40_000)).status_code == 200
    kept = files_in(small)
    filler = small / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as target:
        target.write(os.urandom(128_000))
    begun = transfers.export(Secret("a phrase for this test"), alice.acting)
    transfers.carry_out(begun.pk)
    found = Transfer.objects.get(pk=begun.pk)
    assert found.state == "failed"
    assert "DATA_DIR is full; make room" in found.message
    filler.unlink()
    assert files_in(small) == kept
    again = transfers.export(Secret("a phrase for this test"), alice.acting)
    transfers.carry_out(again.pk)
    assert Transfer.objects.get(pk=again.pk).state == "completed"


def test_a_fork_whose_workspace_the_disk_has_no_room_for_is_refused_and_none_is_made(
    alice: Caller, agent: str, environment: str, small: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (origin,) = make(alice, agent, environment, 1)
    Session.objects.filter(pk=origin).update(machine=settings.HOLDFAST_MACHINE)
    session = Session.objects.get(pk=origin)
    thread = session.threads.get()
    log.append(origin, thread.pk, [Draft(ev.OPS_LIMITS_CHANGED, {"by": "ann"})])

    class Host:
        def snapshot(self, sandbox_id: str) -> Iterator[bytes]:
            yield LARGE

    monkeypatch.setattr(workspaces, "backend", Host)
    refused = alice.refused("POST", f"/x/sessions/{origin}/fork", {"prompt": "go on"})
    assert refused.status == 507
    assert "full; make room" in refused.message
    assert files_in(small) == []
    assert Session.objects.get().pk == origin
    assert Event.objects.filter(type=ev.OPS_NO_ROOM).count() == 1
    with pytest.raises(NoRoom):
        workspaces.keep(origin)
    assert Event.objects.filter(type=ev.OPS_NO_ROOM).count() == 1, "told once"
