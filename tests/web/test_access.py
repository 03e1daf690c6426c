"""Who may open which page: every URL of the pages, for owner, viewer, outsider and stranger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

import agents.urls
import credentials.urls
import sessions.agent_urls
import sessions.urls
from sessions import events as ev
from sessions.events import Draft
from tests.web.conftest import World, text

if TYPE_CHECKING:
    from django.http import HttpResponse

MODULES = (agents.urls, sessions.agent_urls, credentials.urls, sessions.urls)


@dataclass(frozen=True)
class Door:
    """A URL: how it is opened, with which objects, and whether a viewer may."""

    name: str
    objects: tuple[str, ...] = ()
    method: str = "GET"
    viewer: bool = True
    owner: int = 200


DOORS = [
    Door("sessions:overview"),
    Door("sessions:shortcuts"),
    Door("sessions:import", viewer=False),
    Door("sessions:replay"),
    Door("sessions:event", ("session", "one")),
    Door("sessions:trace", ("session",)),
    Door("sessions:inspect", ("session", "tools")),
    Door("sessions:thread", ("session", "thread")),
    Door("sessions:changes", ("session",)),
    Door("sessions:minimap", ("session",)),
    Door("sessions:pulse", ("session",)),
    Door("sessions:limit", ("session",), "POST", viewer=False, owner=302),
    Door("sessions:fork", ("session",), viewer=False),
    Door("sessions:compare", ("session", "session")),
    Door("sessions:export", ("session",)),
    Door("sessions:export_preview", ("session",)),
    Door("sessions:palette"),
    Door("sessions:list"),
    Door("sessions:new", viewer=False),
    Door("sessions:new_preview", viewer=False),
    Door("sessions:session", ("session",)),
    Door("sessions:events", ("session",)),
    Door("sessions:files", ("session",)),
    Door("sessions:download", ("session", "output")),
    Door("sessions:approvals"),
    Door("sessions:approvals_decide", (), "POST", viewer=False, owner=302),
    Door("sessions:approval", ("approval",)),
    Door("sessions:approval_decide", ("approval",), "POST", viewer=False, owner=302),
    Door("sessions:notices", viewer=False),
    Door("sessions:notice_new", viewer=False),
    Door("sessions:notice_edit", ("notice",), viewer=False),
    Door("sessions:notice_test", ("notice",), "POST", viewer=False, owner=302),
    Door("sessions:notice_delete", ("notice",), "POST", viewer=False, owner=302),
    Door("sessions:send", ("session",), "POST", viewer=False, owner=422),
    Door("sessions:answer", ("session",), "POST", viewer=False, owner=302),
    Door("sessions:interrupt", ("session",), "POST", viewer=False, owner=302),
    Door("sessions:hold", ("session", "pause"), "POST", viewer=False, owner=302),
    Door("sessions:archive", ("session",), "POST", viewer=False, owner=302),
    Door("sessions:all_files"),
    Door("sessions:all_files_upload", (), "POST", viewer=False, owner=422),
    Door("sessions:file_download", ("output",)),
    Door("sessions:file_delete", ("output",), "POST", viewer=False, owner=302),
    Door("sessions:schedules"),
    Door("sessions:schedule_new", viewer=False),
    Door("sessions:schedule", ("deployment",)),
    Door("sessions:schedule_edit", ("deployment",), viewer=False),
    Door("sessions:schedule_run", ("deployment",), "POST", viewer=False, owner=302),
    Door("sessions:schedule_pause", ("deployment",), "POST", viewer=False, owner=302),
    Door("sessions:schedule_archive", ("deployment",), "POST", viewer=False, owner=302),
    Door("sessions:dreams"),
    Door("sessions:dream_new", viewer=False),
    Door("sessions:dream", ("dream",)),
    Door("sessions:dream_cancel", ("dream",), "POST", viewer=False, owner=302),
    Door("sessions:dream_archive", ("dream",), "POST", viewer=False, owner=400),
    Door("sessions:credential", ("secret",), viewer=False),
    Door("sessions:credential_edit", ("secret",), viewer=False),
    Door("sessions:credential_revoke", ("secret",), "POST", viewer=False, owner=302),
    Door("sessions:credential_new", ("vault",), viewer=False),
    Door("sessions:workers", ("outside",)),
    Door("sessions:worker_key", ("outside",), "POST", viewer=False, owner=422),
    Door("sessions:worker_key_revoke", ("outside",), "POST", viewer=False, owner=404),
    Door("sessions:webhooks", viewer=False),
    Door("sessions:webhook_new", viewer=False),
    Door("sessions:webhook", ("hook",), viewer=False),
    Door("sessions:webhook_edit", ("hook",), viewer=False),
    Door("sessions:webhook_state", ("hook",), "POST", viewer=False, owner=302),
    Door("sessions:webhook_secret", ("hook",), "POST", viewer=False),
    Door("sessions:webhook_delete", ("hook",), "POST", viewer=False, owner=302),
    Door("sessions:webhook_redeliver", ("hook",), "POST", viewer=False, owner=404),
    Door("agents:list"),
    Door("agents:new", viewer=False),
    Door("agents:agent", ("agent",)),
    Door("agents:version", ("agent", "one")),
    Door("agents:edit", ("agent",), viewer=False),
    Door("agents:check_new", (), "POST", viewer=False),
    Door("agents:check", ("agent",), "POST", viewer=False),
    Door("agents:restore", ("agent", "one"), "POST", viewer=False, owner=302),
    Door("agents:try", ("agent",), viewer=False),
    Door("agents:archive", ("agent",), "POST", viewer=False, owner=302),
    Door("agents:memory"),
    Door("agents:store_new", viewer=False),
    Door("agents:store", ("store",)),
    Door("agents:store_edit", ("store",), viewer=False),
    Door("agents:store_archive", ("store",), "POST", viewer=False, owner=302),
    Door("agents:store_delete", ("store",), "POST", viewer=False, owner=302),
    Door("agents:memory_new", ("store",), viewer=False),
    Door("agents:memory_page", ("store", "memory")),
    Door("agents:memory_edit", ("store", "memory"), viewer=False),
    Door("agents:memory_delete", ("store", "memory"), "POST", viewer=False, owner=302),
    Door("agents:version_redact", ("store", "version"), "POST", viewer=False, owner=302),
    Door("agents:skills"),
    Door("agents:skill_new", viewer=False),
    Door("agents:skill", ("skill",)),
    Door("agents:skill_delete", ("skill",), "POST", viewer=False, owner=302),
    Door("agents:skill_version_new", ("skill",), viewer=False),
    Door("agents:skill_download", ("skill", "latest")),
    Door("agents:skill_version_delete", ("skill", "latest"), "POST", viewer=False, owner=302),
    Door("agents:environments"),
    Door("agents:environment_new", viewer=False),
    Door("agents:environment", ("environment",)),
    Door("agents:environment_archive", ("environment",), "POST", viewer=False, owner=302),
    Door("credentials:list", viewer=False),
    Door("credentials:vault_new", viewer=False),
    Door("credentials:signed_in", viewer=False, owner=400),
    Door("credentials:vault", ("vault",), viewer=False),
    Door("credentials:sign_in", ("vault",), viewer=False),
    Door("credentials:credential_archive", ("vault", "credential"), "POST", viewer=False, owner=302),
    Door("credentials:keys", viewer=False),
    Door("credentials:audit", viewer=False),
    Door("credentials:audit_export", viewer=False),
    Door("credentials:key_new", viewer=False),
    Door("credentials:key_revoke", ("key",), "POST", viewer=False, owner=302),
]
IDS = [door.name for door in DOORS]
LITERALS = {"one": 1, "tools": "tools", "latest": "latest", "pause": "pause"}


@pytest.fixture(autouse=True)
def an_event(world: World) -> None:
    world.append(Draft(ev.AGENT_MESSAGE, {"content": text("hello")}))


def path_of(world: World, door: Door) -> str:
    arguments = [LITERALS[name] if name in LITERALS else getattr(world, name).pk for name in door.objects]
    return reverse(door.name, args=arguments)


def opened(world: World, who: str, door: Door) -> HttpResponse:
    response: HttpResponse = getattr(world, who).generic(door.method, path_of(world, door))
    response.close()  # a download holds its file open
    return response


def test_every_url_of_the_pages_is_in_the_table() -> None:
    named = {f"{module.app_name}:{pattern.name}" for module in MODULES for pattern in module.urlpatterns}
    assert named == set(IDS)


@pytest.mark.parametrize("door", DOORS, ids=IDS)
def test_the_owner_gets_in(world: World, door: Door) -> None:
    assert opened(world, "alice", door).status_code == door.owner


@pytest.mark.parametrize("door", DOORS, ids=IDS)
def test_a_viewer_reads_and_changes_nothing(world: World, door: Door) -> None:
    assert opened(world, "bob", door).status_code == (200 if door.viewer else 403)


@pytest.mark.parametrize("door", [door for door in DOORS if door.objects], ids=lambda door: door.name)
def test_an_object_of_another_workspace_does_not_exist_for_an_outsider(world: World, door: Door) -> None:
    response = opened(world, "charlie", door)
    assert response.status_code == 404
    assert "Nothing here" in response.content.decode()


@pytest.mark.parametrize("door", [door for door in DOORS if not door.objects], ids=lambda door: door.name)
def test_an_outsider_sees_none_of_our_objects_in_lists(world: World, door: Door) -> None:
    response = opened(world, "charlie", door)
    whole = b"".join(response) if response.streaming else response.content
    shown = whole.decode()
    assert world.session.pk not in shown
    assert world.agent.pk not in shown
    assert world.environment.pk not in shown
    assert "Night build robot" not in shown


@pytest.mark.parametrize("door", DOORS, ids=IDS)
def test_a_stranger_is_sent_to_sign_in(world: World, door: Door) -> None:
    response = opened(world, "nobody", door)
    assert response.status_code == 302
    assert response["Location"].startswith("/login")


@pytest.mark.parametrize("door", DOORS, ids=IDS)
def test_a_page_takes_only_its_methods(world: World, door: Door) -> None:
    assert world.alice.delete(path_of(world, door)).status_code == 405


def test_a_person_without_a_workspace_is_told_so(world: World, django_user_model: type) -> None:
    world.nobody.force_login(django_user_model.objects.create_user("dora"))  # type: ignore[attr-defined]
    response = world.nobody.get("/")
    assert response.status_code == 403
    assert "You belong to no workspace yet" in response.content.decode()


def test_a_viewer_sees_no_acting_buttons(world: World) -> None:
    for path in ("/", "/sessions/", "/agents/", f"/agents/{world.agent.pk}/", "/environments/"):
        shown = world.bob.get(path).content.decode()
        assert "Start session" not in shown
        assert "New agent" not in shown
        assert "Archive<" not in shown
    page = world.bob.get(f"/sessions/{world.session.pk}/").content.decode()
    assert 'id="composer" method' not in page
    assert 'id="answer"' not in page
    assert "data-operates" not in page


@pytest.mark.parametrize(
    "path", ["/sessions/%00/", "/agents/%00/", "/environments/%00/", "/vaults/%00/", "/schedules/%00/"]
)
def test_an_id_that_the_database_could_not_hold_is_no_object(world: World, path: str) -> None:
    assert world.alice.get(path).status_code == 404
