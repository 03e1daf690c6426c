"""Memory stores as directories: what goes in and out, and two writers of one memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from agents.memory import memories, stores
from agents.memory.mounted import Memories, Mount
from agents.models import MemoryVersion
from agents.sandboxes.folders import Folder
from contract.roles import Role
from sessions.harness.hands.memory import Shelf
from tests.sessions.rows import acting, make_session

if TYPE_CHECKING:
    from pathlib import Path

    from agents.models import MemoryStore
    from sessions.models import Session

pytestmark = pytest.mark.django_db


class Desk:
    """One session with one store: the sandbox's directory, and the two ways between it and the store."""

    def __init__(self, session: Session, store: MemoryStore, place: Path) -> None:
        self.files, self.aside = place / "files" / "notes", place / "tmp"
        for directory in (self.files, self.aside):
            directory.mkdir(parents=True)
        folder = Folder(self.files, place / "notes.json", self.aside, None)
        mount = Mount("notes", store.pk, read_only=False)
        exchange = partial(lambda folder, name, updates: folder.exchange(updates), folder)
        self._memories = Memories([mount], exchange, Shelf(session.workspace_id, session.pk))

    def bring_in(self) -> None:
        self._memories.bring_in()

    def send_out(self) -> list[str]:
        return self._memories.send_out()


@pytest.fixture
def session() -> Session:
    return make_session()[0]


@pytest.fixture
def store(session: Session) -> MemoryStore:
    return stores.create_store({"name": "Notes"}, acting(session.workspace, Role.DEVELOPER))


def held(store: MemoryStore) -> dict[str, Any]:
    return dict(store.memories.values_list("path", "head__content"))


def test_two_writers_of_one_memory_lose_nothing(session: Session, store: MemoryStore, tmp_path: Path) -> None:
    one, other = Desk(session, store, tmp_path / "one"), Desk(session, store, tmp_path / "other")
    (one.files / "a.md").write_text("first")
    assert one.send_out() == []
    other.bring_in()
    assert (other.files / "a.md").read_text() == "first"
    (one.files / "a.md").write_text("one's")
    (other.files / "a.md").write_text("the other's")
    assert one.send_out() == []
    (notice,) = other.send_out()
    assert "/mnt/memory/notes/a.md was not saved: somebody else changed it" in notice
    assert held(store) == {"/a.md": "one's"}
    assert (other.files / "a.md").read_text() == "one's"
    assert (other.aside / "not-saved" / "notes" / "a.md").read_text() == "the other's"
    (other.files / "a.md").write_text("one's and the other's")
    assert other.send_out() == []
    assert held(store) == {"/a.md": "one's and the other's"}


def test_a_deletion_and_a_change_meet(session: Session, store: MemoryStore, tmp_path: Path) -> None:
    one, other = Desk(session, store, tmp_path / "one"), Desk(session, store, tmp_path / "other")
    (one.files / "a.md").write_text("first")
    one.send_out()
    other.bring_in()
    (one.files / "a.md").write_text("changed")
    (other.files / "a.md").unlink()
    one.send_out()
    (notice,) = other.send_out()
    assert "was not deleted" in notice and (other.files / "a.md").read_text() == "changed"


def test_what_is_written_again_unchanged_makes_no_version(session: Session, store: MemoryStore, tmp_path: Path) -> None:
    desk = Desk(session, store, tmp_path)
    for _ in range(3):
        (desk.files / "a.md").write_text("same")
        desk.send_out()
    assert MemoryVersion.objects.filter(store=store).count() == 1


def test_paths_that_no_memory_may_have_are_told_of(session: Session, store: MemoryStore, tmp_path: Path) -> None:
    desk = Desk(session, store, tmp_path)
    (desk.files / "a\x01b").write_text("x")
    (desk.files / "nul").write_text("a\x00b")
    (desk.files / "raw").write_bytes(b"\xff")
    (desk.files / "link").symlink_to("/etc/passwd")
    (desk.files / "fine").write_text("fine")
    notices = desk.send_out()
    assert len(notices) == 4
    assert held(store) == {"/fine": "fine"}
    assert [path.name for path in desk.files.iterdir()] == ["fine"]
    assert desk.send_out() == []


def test_a_full_store_takes_changes_but_nothing_new(
    session: Session, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memories, "MAX_MEMORIES", 1)
    desk = Desk(session, store, tmp_path)
    (desk.files / "a.md").write_text("one")
    desk.send_out()
    (desk.files / "a.md").write_text("two")
    (desk.files / "b.md").write_text("more")
    (notice,) = desk.send_out()
    assert "/mnt/memory/notes/b.md was not saved" in notice and "no more are allowed" in notice
    assert held(store) == {"/a.md": "two"}
