"""Sessions archived long ago leave the database as files, and only once their file is whole on the disk."""

from __future__ import annotations

import gzip
from datetime import timedelta
from io import BytesIO, StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from contract.errors import InvalidRequest
from sessions import actions, exports, packing
from sessions import events as ev
from sessions.events import Draft
from sessions.models import Event, Session
from tests.web.conftest import World, first_day, own_blobs, text, world

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["first_day", "own_blobs", "world"]  # fixtures
SAID = "first\u2028second\x85third"  # what some take for the ends of lines


@pytest.fixture
def old(world: World) -> Session:
    """A session of one message, archived a hundred days ago."""
    world.append(Draft(ev.USER_MESSAGE, {"content": text(SAID)}))
    actions.archive_session(world.session.pk, world.acting)
    Session.objects.filter(pk=world.session.pk).update(archived_at=timezone.now() - timedelta(days=100))
    return world.fresh()


@pytest.fixture
def cold(tmp_path: Path) -> Path:
    """Where the files go."""
    (tmp_path / "cold").mkdir()
    return tmp_path / "cold"


def _packed(directory: Path, *options: str) -> str:
    out, told = StringIO(), StringIO()
    call_command("pack_sessions", str(directory), *options, stdout=out, stderr=told)
    return out.getvalue() + told.getvalue()


def test_an_old_session_becomes_a_file_that_can_be_imported_again(world: World, old: Session, cold: Path) -> None:
    assert _packed(cold, "--days", "90").startswith("1 sessions are in")
    assert not Session.objects.filter(pk=old.pk).exists()
    assert not Event.objects.filter(session_id=old.pk).exists()
    (file,) = cold.iterdir()
    assert file.name == f"{old.pk}.jsonl.gz"
    assert file.stat().st_mode & 0o777 == 0o600
    made = exports.take_in(BytesIO(file.read_bytes()), world.agent.pk, world.environment.pk, world.acting)
    said = Event.objects.get(session_id=made.pk, type=ev.USER_MESSAGE)
    assert said.payload["content"] == text(SAID)
    assert f"events of {old.pk}" in Event.objects.get(session_id=made.pk, type=ev.OPS_IMPORTED).payload["message"]


def test_younger_ones_those_at_rest_and_other_workspaces_stay(world: World, old: Session, cold: Path) -> None:
    assert _packed(cold, "--days", "101").startswith("0 sessions")
    Session.objects.filter(pk=old.pk).update(archived_at=None)
    assert _packed(cold, "--days", "0").startswith("0 sessions")
    Session.objects.filter(pk=old.pk).update(archived_at=old.archived_at)
    with pytest.raises(CommandError, match="no workspace 'elsewhere'"):
        _packed(cold, "--days", "0", "--workspace", "elsewhere")
    assert Session.objects.filter(pk=old.pk).exists()
    assert not list(cold.iterdir())


def test_a_session_whose_file_is_not_whole_stays(old: Session, cold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(exports.lines(old))
    monkeypatch.setattr(exports, "lines", lambda session: iter([whole[0], *whole[2:]]))
    assert "does not hold all of its log" in _packed(cold, "--days", "90")
    assert Session.objects.filter(pk=old.pk).exists()


def test_one_that_was_killed_between_file_and_deletion_is_packed_anew(
    old: Session, cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(actions, "delete_session", killed)
        with pytest.raises(KeyboardInterrupt):
            _packed(cold, "--days", "90")
    assert Session.objects.filter(pk=old.pk).exists()
    assert _packed(cold, "--days", "90").startswith("1 sessions")
    assert [path.name for path in cold.iterdir()] == [f"{old.pk}.jsonl.gz"]


def test_a_session_too_large_to_be_read_again_stays(old: Session, cold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_BYTES", 100)
    with pytest.raises(packing.CannotPack, match="too large"):
        packing.pack(old, cold)
    assert not list(cold.iterdir())
    assert Session.objects.filter(pk=old.pk).exists()


@pytest.mark.parametrize(("data", "said"), [(b"\x1f\x8bnonsense", "damaged"), (b"", "cut off")])
def test_a_damaged_packed_file_is_refused(world: World, data: bytes, said: str) -> None:
    data = data or gzip.compress(b'{"type":"holdfast.session","version":1}\n')[:-6]
    with pytest.raises(InvalidRequest, match=f"file: .*{said}"):
        exports.take_in(BytesIO(data), world.agent.pk, world.environment.pk, world.acting)


@pytest.mark.parametrize("options", [("--days", "-1"), ("--days", "1", "--most", "0")])
def test_options_that_make_no_sense_are_refused(world: World, cold: Path, options: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"--days must be 0 or more, --most 1 or more\."):
        _packed(cold, *options)
    with pytest.raises(CommandError, match="is not a directory"):
        _packed(cold / "nowhere", "--days", "1")
