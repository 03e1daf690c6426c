"""The pages of memory, skills and files: made, looked into, changed, taken away; what a role may not do is refused."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from agents.memory import memories
from agents.models import Environment, Memory, MemoryStore, MemoryVersion, Skill
from contract.errors import NotFound
from sessions import files
from sessions.models import File
from tests.web.conftest import World, make_world
from tests.web.forms import no_rows

MAIN = b"---\nname: writing\ndescription: How we write.\n---\n\n# Writing\n"


@pytest.fixture
def world(db: None) -> World:
    """A world of each test's own: closing a download closes the connection too, and a module's world with it."""
    return make_world()


def packed(**more: bytes) -> SimpleUploadedFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("writing/SKILL.md", MAIN)
        for name, data in more.items():
            archive.writestr(f"writing/{name}", data)
    return SimpleUploadedFile("writing.zip", buffer.getvalue(), "application/zip")


def body(response: Any) -> str:
    return str(response.content.decode())


def test_a_store_is_made_filled_looked_into_and_deleted(world: World) -> None:
    made = world.alice.post(
        "/memory/new/", {"name": "Team notes", "description": "What we agreed on.", **no_rows("metadata")}
    )
    store = MemoryStore.objects.get(name="Team notes")
    assert made["Location"] == f"/memory/{store.pk}/"
    assert "Nothing is remembered yet" in body(world.alice.get(f"/memory/{store.pk}/"))
    world.alice.post(f"/memory/{store.pk}/memories/new/", {"path": "/a/b.md", "content": "one"})
    world.alice.post(f"/memory/{store.pk}/memories/new/", {"path": "/c.md", "content": "two"})
    top = world.alice.get(f"/memory/{store.pk}/")
    assert [name for _, name in top.context["folders"]] == ["a/"]
    assert [memory.path for memory in top.context["memories"]] == ["/c.md"]
    inside = world.alice.get(f"/memory/{store.pk}/", {"in": "/a/"})
    assert [memory.path for memory in inside.context["memories"]] == ["/a/b.md"]
    found = world.alice.get(f"/memory/{store.pk}/", {"q": "b.m"})
    assert [memory.path for memory in found.context["memories"]] == ["/a/b.md"]
    taken = world.alice.post(f"/memory/{store.pk}/memories/new/", {"path": "/a", "content": ""})
    assert taken.status_code == 422
    assert taken.context["form"].errors["path"]
    world.alice.post(f"/memory/{store.pk}/delete/")
    assert not MemoryStore.objects.filter(pk=store.pk).exists()


def test_a_memory_shows_what_each_version_changed_and_who_wrote_it(world: World) -> None:
    from agents.memory import actors

    memories.update_memory(
        world.store.pk, world.memory.pk, {"content": "one\nby it\n"}, world.acting,
        author=actors.of_session(world.session.pk),
    )  # fmt: skip
    page = body(world.bob.get(f"/memory/{world.store.pk}/memories/{world.memory.pk}/"))
    assert "-2" in page
    assert "+by it" in page
    assert f"/sessions/{world.session.pk}/" in page
    assert "Erase what it says" not in page
    old = body(world.alice.get(f"/memory/{world.store.pk}/memories/{world.memory.pk}/?version={world.version.pk}"))
    assert "An earlier version." in old
    assert "Erase what it says" in old


def test_what_was_written_meanwhile_is_not_overwritten(world: World) -> None:
    address = f"/memory/{world.store.pk}/memories/{world.memory.pk}/edit/"
    seen = world.alice.get(address).context["form"].initial["sha256"]
    memories.update_memory(world.store.pk, world.memory.pk, {"content": "theirs\n"}, world.acting)
    late = world.alice.post(address, {"path": "/notes/a.md", "content": "mine\n", "sha256": seen})
    assert late.status_code == 409
    shown = body(late)
    assert "-theirs" in shown
    assert "+mine" in shown
    again = late.context["form"]["sha256"].value()
    sent = {"path": "/notes/a.md", "content": "mine\n", "sha256": again}
    assert world.alice.post(address, sent).status_code == 302
    assert Memory.objects.get(pk=world.memory.pk).head.content == "mine\n"


def test_a_deleted_memory_keeps_its_page_and_an_erased_version_says_so(world: World) -> None:
    address = f"/memory/{world.store.pk}/memories/{world.memory.pk}/"
    world.alice.post(f"{address}delete/")
    assert "Deleted" in body(world.alice.get(address))
    world.alice.post(f"/memory/{world.store.pk}/versions/{world.version.pk}/redact/")
    assert MemoryVersion.objects.get(pk=world.version.pk).content is None
    erased = body(world.alice.get(f"{address}?version={world.version.pk}"))
    assert "was erased" in erased


def test_a_skill_is_uploaded_as_a_zip_read_and_replaced(world: World) -> None:
    made = world.alice.post("/skills/new/", {"files": packed(**{"x.py": b"print(1)\n"}), "display_name": "Our way"})
    skill = Skill.objects.get(name="writing")
    assert made["Location"] == f"/skills/{skill.pk}/"
    page = body(world.bob.get(f"/skills/{skill.pk}/"))
    assert "Our way" in page
    assert "How we write." in page
    assert "x.py" in page
    code = body(world.bob.get(f"/skills/{skill.pk}/", {"file": "x.py"}))
    assert "print" in code
    assert world.bob.get(f"/skills/{skill.pk}/", {"file": "../x"}).status_code == 404
    world.alice.post(f"/skills/{skill.pk}/versions/new/", {"files": packed()})
    assert skill.versions.count() == 2
    oldest = skill.versions.last()
    assert oldest is not None
    world.alice.post(f"/skills/{skill.pk}/versions/{oldest.pk}/delete/")
    assert skill.versions.count() == 1
    zipped = world.bob.get(f"/skills/{skill.pk}/versions/latest/zip/")
    assert zipped["content-type"] == "application/zip"
    world.alice.post(f"/skills/{skill.pk}/delete/")
    assert not Skill.objects.filter(pk=skill.pk).exists()
    zipped.close()


def test_a_skill_is_uploaded_as_a_folder_with_its_directories(world: World) -> None:
    def part(name: str, data: bytes) -> bytes:
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        return head.encode() + data + b"\r\n"

    sent = part("writing/SKILL.md", MAIN) + part("writing/ways/short.md", b"Short.") + b"--x--\r\n"
    world.alice.post("/skills/new/", sent, content_type="multipart/form-data; boundary=x")
    skill = Skill.objects.get(name="writing")
    assert skill.latest is not None
    assert [one["path"] for one in skill.latest.files] == ["SKILL.md", "ways/short.md"]


@pytest.mark.parametrize("sent", [{}, {"files": SimpleUploadedFile("a.zip", b"no zip")}])
def test_a_skill_that_is_none_is_refused_with_a_reason(world: World, sent: dict[str, SimpleUploadedFile]) -> None:
    answer = world.alice.post("/skills/new/", sent)
    assert answer.status_code == 422
    assert answer.context["wrong"]
    assert not Skill.objects.exists()


def test_an_upload_without_the_form_s_token_is_refused(world: World, settings: Any) -> None:
    strict = Client(enforce_csrf_checks=True, raise_request_exception=False)
    strict.force_login(world.key.created_by)  # type: ignore[arg-type]
    assert strict.post("/skills/new/", {"files": packed()}).status_code == 403
    strict.get("/skills/new/")
    token = strict.cookies[settings.CSRF_COOKIE_NAME].value
    assert strict.post("/skills/new/", {"files": packed(), "csrfmiddlewaretoken": token}).status_code == 302


def test_files_are_uploaded_found_and_deleted_with_their_expiry(world: World) -> None:
    chosen = SimpleUploadedFile("plan.txt", b"Plan\n", "text/plain")
    world.alice.post("/files/upload/", {"chosen": chosen, "expiry": "86400"})
    made = File.objects.get(filename="plan.txt")
    assert made.expires_at is not None
    page = body(world.bob.get("/files/"))
    assert "plan.txt" in page
    assert "report.html" in page
    assert "Delete plan.txt" not in page
    only = world.alice.get("/files/", {"kind": "uploads"}).context["page"].object_list
    assert [file.pk for file in only] == [made.pk]
    assert world.alice.get("/files/", {"session": world.session.pk, "q": "repo"}).context["page"].paginator.count == 1
    assert "No file fits" in body(world.alice.get("/files/", {"q": "zzz"}))
    assert world.alice.get(f"/files/{made.pk}/").status_code == 400
    whole = world.bob.get(f"/files/{world.output.pk}/")
    assert whole["content-length"] == "6"
    world.alice.post(f"/files/{made.pk}/delete/")
    with pytest.raises(NotFound):
        files.find_file(made.pk, world.acting)
    assert world.alice.post("/files/upload/", {}).status_code == 422
    whole.close()


@pytest.mark.parametrize("bad", ["<script>alert(1)</script>", "\x1b[31mred\x1b[0m", "a\u202eb", "\u0645" * 200])
def test_what_agents_write_stays_text_on_the_pages_of_memory(world: World, bad: str) -> None:
    memories.update_memory(world.store.pk, world.memory.pk, {"content": f"start {bad} end"}, world.acting)
    page = body(world.alice.get(f"/memory/{world.store.pk}/memories/{world.memory.pk}/"))
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert " end" in page


def test_the_packages_of_an_environment_are_edited_and_shown(world: World) -> None:
    form = {"name": "Tools", "networking": "limited", "allow_package_managers": "on", "packages": "pip six==1.16\n"}
    form |= no_rows("metadata")
    world.alice.post("/environments/new/", form)
    made = Environment.objects.get(name="Tools")
    assert made.config["packages"]["pip"] == ["six==1.16"]
    assert made.config["networking"]["allow_package_managers"] is True
    assert world.alice.get(f"/environments/{made.pk}/").context["form"]["packages"].value() == "pip six==1.16"
    assert "pip six==1.16" in body(world.bob.get(f"/environments/{made.pk}/"))
    for wrong in ("brew jq", "pip", "pip --help"):
        answer = world.alice.post("/environments/new/", {**form, "name": "Other", "packages": wrong})
        assert answer.status_code == 422, wrong
