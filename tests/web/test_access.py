"""Who may open which page: every URL, for owner, a teammate of each role, outsider and stranger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import request_finished
from django.db import close_old_connections, transaction
from django.test import Client
from django.urls import get_resolver, reverse

from agents.models import Membership, Workspace
from agents.skills.uploads import Collector
from contract.roles import Permission, Role, may

if TYPE_CHECKING:
    from django.http import HttpResponse

    from tests.web.conftest import World


pytestmark = pytest.mark.django_db
READ, OPERATE, BUILD, ADMINISTER = Permission


@dataclass(frozen=True)
class Door:
    """A URL: how it is opened, with which objects, what it needs, and what those who may get in see.

    ``theirs``: what teammates who may get in see of an object that is the owner's alone.
    """

    name: str
    objects: tuple[str, ...] = ()
    method: str = "GET"
    owner: int = 200
    needs: Permission = READ
    theirs: int = 0


DOORS = [
    Door("sessions:overview"),
    Door("sessions:shortcuts"),
    Door("sessions:import", needs=OPERATE),
    Door("sessions:replay"),
    Door("sessions:event", ("session", "one")),
    Door("sessions:trace", ("session",)),
    Door("sessions:inspect", ("session", "tools")),
    Door("sessions:thread", ("session", "thread")),
    Door("sessions:changes", ("session",)),
    Door("sessions:minimap", ("session",)),
    Door("sessions:pulse", ("session",)),
    Door("sessions:limit", ("session",), "POST", owner=302, needs=OPERATE),
    Door("sessions:session_limits", ("session",)),
    Door("sessions:fork", ("session",), needs=OPERATE),
    Door("sessions:compare", ("session", "session")),
    Door("sessions:export", ("session",)),
    Door("sessions:export_preview", ("session",)),
    Door("sessions:palette"),
    Door("sessions:list"),
    Door("sessions:new", needs=OPERATE),
    Door("sessions:new_preview", needs=OPERATE),
    Door("sessions:demo", (), "POST", owner=302, needs=OPERATE),
    Door("sessions:together", (), "POST", owner=302, needs=OPERATE),
    Door("sessions:view_save", (), "POST", owner=302),
    Door("sessions:view_change", ("view",), "POST", owner=302, theirs=404),
    Door("sessions:retry", ("session",), "POST", owner=302, needs=OPERATE),
    Door("sessions:usage"),
    Door("sessions:limits"),
    Door("sessions:limits_edit", needs=ADMINISTER),
    Door("sessions:system"),
    Door("sessions:errors"),
    Door("sessions:machine", ("machine",), owner=404, needs=ADMINISTER),
    Door("sessions:session", ("session",)),
    Door("sessions:events", ("session",)),
    Door("sessions:files", ("session",)),
    Door("sessions:download", ("session", "output")),
    Door("sessions:approvals"),
    Door("sessions:approvals_count"),
    Door("sessions:approvals_decide", (), "POST", owner=302, needs=OPERATE),
    Door("sessions:approval", ("approval",)),
    Door("sessions:approval_decide", ("approval",), "POST", owner=302, needs=OPERATE),
    Door("sessions:send", ("session",), "POST", owner=422, needs=OPERATE),
    Door("sessions:answer", ("session",), "POST", owner=302, needs=OPERATE),
    Door("sessions:interrupt", ("session",), "POST", owner=302, needs=OPERATE),
    Door("sessions:archive", ("session",), "POST", owner=302, needs=OPERATE),
    Door("sessions:notices", needs=ADMINISTER),
    Door("sessions:notice_new", needs=ADMINISTER),
    Door("sessions:notice_edit", ("notice",), needs=ADMINISTER),
    Door("sessions:notice_test", ("notice",), "POST", owner=302, needs=ADMINISTER),
    Door("sessions:notice_delete", ("notice",), "POST", owner=302, needs=ADMINISTER),
    Door("sessions:hold", ("session", "pause"), "POST", owner=302, needs=OPERATE),
    Door("sessions:all_files"),
    Door("sessions:all_files_upload", (), "POST", owner=422, needs=OPERATE),
    Door("sessions:file_download", ("output",)),
    Door("sessions:file_delete", ("output",), "POST", owner=302, needs=OPERATE),
    Door("sessions:schedules"),
    Door("sessions:schedule_new", needs=BUILD),
    Door("sessions:schedule", ("deployment",)),
    Door("sessions:schedule_edit", ("deployment",), needs=BUILD),
    Door("sessions:schedule_run", ("deployment",), "POST", owner=302, needs=OPERATE),
    Door("sessions:schedule_pause", ("deployment",), "POST", owner=302, needs=OPERATE),
    Door("sessions:schedule_archive", ("deployment",), "POST", owner=302, needs=BUILD),
    Door("sessions:credential", ("secret",), needs=BUILD),
    Door("sessions:credential_edit", ("secret",), needs=ADMINISTER),
    Door("sessions:credential_revoke", ("secret",), "POST", owner=302, needs=ADMINISTER),
    Door("sessions:credential_new", ("vault",), needs=ADMINISTER),
    Door("sessions:dreams"),
    Door("sessions:dream_new", needs=OPERATE),
    Door("sessions:dream", ("dream",)),
    Door("sessions:dream_cancel", ("dream",), "POST", owner=302, needs=OPERATE),
    Door("sessions:dream_archive", ("dream",), "POST", owner=400, needs=OPERATE),
    Door("sessions:environment_state", ("environment",)),
    Door("sessions:environment_rebuild", ("environment",), "POST", owner=302, needs=BUILD),
    Door("sessions:workers", ("outside",)),
    Door("sessions:worker_key", ("outside",), "POST", owner=422, needs=ADMINISTER),
    Door("sessions:worker_key_revoke", ("outside",), "POST", owner=404, needs=ADMINISTER),
    Door("sessions:archives", needs=ADMINISTER),
    Door("sessions:archive_export", (), "POST", owner=422, needs=ADMINISTER),
    Door("sessions:archive_import", (), "POST", owner=422, needs=ADMINISTER),
    Door("sessions:archive_confirm", ("archive",), "POST", owner=302, needs=ADMINISTER),
    Door("sessions:archive_download", ("archive",), owner=404, needs=ADMINISTER),
    Door("sessions:archive_discard", ("archive",), "POST", owner=302, needs=ADMINISTER),
    Door("sessions:webhooks", needs=ADMINISTER),
    Door("sessions:webhook_new", needs=ADMINISTER),
    Door("sessions:webhook", ("hook",), needs=ADMINISTER),
    Door("sessions:webhook_edit", ("hook",), needs=ADMINISTER),
    Door("sessions:webhook_state", ("hook",), "POST", owner=302, needs=ADMINISTER),
    Door("sessions:webhook_secret", ("hook",), "POST", needs=ADMINISTER),
    Door("sessions:webhook_delete", ("hook",), "POST", owner=302, needs=ADMINISTER),
    Door("sessions:webhook_redeliver", ("hook",), "POST", owner=404, needs=ADMINISTER),
    Door("sessions:members", needs=ADMINISTER),
    Door("sessions:member_new", needs=ADMINISTER),
    Door("sessions:member_role", ("member",), "POST", owner=400, needs=ADMINISTER),
    Door("sessions:member_link", ("member",), "POST", needs=ADMINISTER),
    Door("sessions:member_remove", ("member",), needs=ADMINISTER),
    Door("agents:list"),
    Door("agents:new", needs=BUILD),
    Door("agents:agent", ("agent",)),
    Door("agents:version", ("agent", "one")),
    Door("agents:edit", ("agent",), needs=BUILD),
    Door("agents:try", ("agent",), needs=OPERATE),
    Door("agents:archive", ("agent",), "POST", owner=302, needs=BUILD),
    Door("agents:check_new", (), "POST", needs=BUILD),
    Door("agents:check", ("agent",), "POST", needs=BUILD),
    Door("agents:restore", ("agent", "one"), "POST", owner=302, needs=BUILD),
    Door("agents:memory"),
    Door("agents:store_new", needs=BUILD),
    Door("agents:store", ("store",)),
    Door("agents:store_edit", ("store",), needs=BUILD),
    Door("agents:store_archive", ("store",), "POST", owner=302, needs=BUILD),
    Door("agents:store_delete", ("store",), "POST", owner=302, needs=BUILD),
    Door("agents:memory_new", ("store",), needs=OPERATE),
    Door("agents:memory_page", ("store", "memory")),
    Door("agents:memory_edit", ("store", "memory"), needs=OPERATE),
    Door("agents:memory_delete", ("store", "memory"), "POST", owner=302, needs=OPERATE),
    Door("agents:version_redact", ("store", "version"), "POST", owner=302, needs=BUILD),
    Door("agents:skills"),
    Door("agents:skill_new", needs=BUILD),
    Door("agents:skill", ("skill",)),
    Door("agents:skill_delete", ("skill",), "POST", owner=302, needs=BUILD),
    Door("agents:skill_version_new", ("skill",), needs=BUILD),
    Door("agents:skill_download", ("skill", "latest")),
    Door("agents:skill_version_delete", ("skill", "latest"), "POST", owner=302, needs=BUILD),
    Door("agents:environments"),
    Door("agents:environment_new", needs=BUILD),
    Door("agents:environment", ("environment",)),
    Door("agents:environment_archive", ("environment",), "POST", owner=302, needs=BUILD),
    Door("agents:environment_delete", ("outside",), "POST", owner=302, needs=BUILD),
    Door("credentials:list", needs=BUILD),
    Door("credentials:vault_new", needs=ADMINISTER),
    Door("credentials:signed_in", owner=400, needs=ADMINISTER),
    Door("credentials:vault", ("vault",), needs=BUILD),
    Door("credentials:vault_edit", ("vault",), needs=ADMINISTER),
    Door("credentials:vault_archive", ("vault",), "POST", owner=302, needs=ADMINISTER),
    Door("credentials:vault_delete", ("vault",), "POST", owner=302, needs=ADMINISTER),
    Door("credentials:sign_in", ("vault",), needs=ADMINISTER),
    Door("credentials:credential_archive", ("vault", "credential"), "POST", owner=302, needs=ADMINISTER),
    Door("credentials:keys", needs=ADMINISTER),
    Door("credentials:audit", needs=ADMINISTER),
    Door("credentials:audit_export", needs=ADMINISTER),
    Door("credentials:key_new", needs=ADMINISTER),
    Door("credentials:key_revoke", ("key",), "POST", owner=302, needs=ADMINISTER),
]
IDS = [door.name for door in DOORS]
LITERALS = {"machine": "rack-7", "one": 1, "tools": "tools", "latest": "latest", "pause": "pause"}
# Pages of one's own account: everybody who is signed in, whatever their role.
OWN = {
    "account:account", "account:password", "account:end_sign_ins", "account:app", "account:app_remove",
    "account:recovery", "account:passkey_new", "account:passkey_remove", "account_reauthenticate",
    "account:link", "account:link_confirm", "account:unlink", "account:workspace",
}  # fmt: skip
# What is open to strangers, with a lock of its own where it needs one.
FRONT = {
    "account_login", "mfa_authenticate", "mfa_login_webauthn", "openid_connect_login", "openid_connect_callback",
    "join", "logout", "healthz", "readyz", "metrics",
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_blobs() -> None:
    """Blobs stay as long as the rows that name them."""


def path_of(shared: World, door: Door) -> str:
    arguments = [LITERALS[name] if name in LITERALS else getattr(shared, name).pk for name in door.objects]
    return reverse(door.name, args=arguments)


def opened(client: Client, shared: World, door: Door, method: str = "") -> HttpResponse:
    """Try a door, and put everything back as it was."""
    with transaction.atomic():
        response: Any = client.generic(method or door.method, path_of(shared, door))
        shown = b"".join(response) if response.streaming else response.content
        request_finished.disconnect(close_old_connections)  # it would take the savepoint's connection away
        response.close()  # a download holds its file open
        request_finished.connect(close_old_connections)
        transaction.set_rollback(True)
    response.shown = shown.decode(errors="replace")
    return response  # type: ignore[no-any-return]


def names(patterns: Any, prefix: str = "") -> set[str]:
    """The name of every URL of ours; the API and the admin have tables of their own."""
    found = set()
    for pattern in patterns:
        space = getattr(pattern, "namespace", None)
        if space in ("api", "admin"):
            continue
        if hasattr(pattern, "url_patterns"):
            found |= names(pattern.url_patterns, f"{space}:" if space else prefix)
        elif pattern.name:
            found.add(prefix + pattern.name)
    return found


def test_every_url_is_in_one_of_the_tables() -> None:
    assert names(get_resolver().url_patterns) == set(IDS) | OWN | FRONT


@pytest.mark.parametrize("door", DOORS, ids=IDS)
def test_owner_teammates_outsider_and_stranger_at_every_door(shared: World, door: Door) -> None:
    assert opened(shared.alice, shared, door).status_code == door.owner, "the owner"
    for role, client in shared.team.items():
        expected = (door.theirs or door.owner) if may(role, door.needs) else 403
        assert opened(client, shared, door).status_code == expected, f"a teammate who is {role.value}"
    stranger = opened(shared.nobody, shared, door)
    assert (stranger.status_code, stranger["Location"].partition("?")[0]) == (302, "/login")
    outside = opened(shared.charlie, shared, door)
    if door.objects:
        assert outside.status_code == 404
        assert "Nothing here" in outside.shown  # type: ignore[attr-defined]
    for theirs in (shared.session.pk, shared.agent.pk, shared.environment.pk, "Night build robot", "a-viewer"):
        assert theirs not in outside.shown.replace(path_of(shared, door), "")  # type: ignore[attr-defined]
    assert opened(shared.alice, shared, door, "DELETE").status_code == 405


@pytest.mark.parametrize("name", sorted(OWN))
def test_an_account_is_ones_own_and_closed_to_strangers(shared: World, name: str) -> None:
    path = reverse(name, args=[1] if name in ("account:passkey_remove", "account:unlink", "account:workspace") else [])
    for method in ("get", "post"):
        stranger = getattr(shared.nobody, method)(path)
        assert (stranger.status_code, stranger["Location"].partition("?")[0]) == (302, "/login")
    for client in (shared.team[Role.VIEWER], shared.charlie):
        answer = client.get(path)
        assert answer.status_code in (200, 302, 405)
        assert "alice" not in answer.content.decode()


def test_whoever_belongs_to_two_workspaces_chooses_which_one_is_shown(shared: World, django_user_model: Any) -> None:
    first, second, foreign = (Workspace.objects.create(name=name) for name in ("First", "Second", "Foreign"))
    dora = django_user_model.objects.create_user("dora")
    for workspace in (first, second):
        Membership.objects.create(workspace=workspace, user=dora, role=Role.ADMIN)
    client = Client()
    client.force_login(dora)
    assert "sessions of First" in client.get("/limits/").content.decode()
    assert "Go to Second" in client.get(reverse("account:account")).content.decode()
    assert client.post(reverse("account:workspace", args=[foreign.pk])).status_code == 404
    assert client.post(reverse("account:workspace", args=[second.pk])).status_code == 302
    assert "sessions of Second" in client.get("/limits/").content.decode()


def test_a_person_without_a_workspace_is_told_so(shared: World, django_user_model: type) -> None:
    client = Client()
    client.force_login(django_user_model.objects.create_user("dora"))  # type: ignore[attr-defined]
    response = client.get("/")
    assert response.status_code == 403
    assert "You belong to no workspace yet" in response.content.decode()


def test_a_viewer_sees_no_acting_buttons(shared: World) -> None:
    for path in ("/", "/sessions/", "/agents/", f"/agents/{shared.agent.pk}/", "/environments/"):
        shown = shared.bob.get(path).content.decode()
        assert "Start session" not in shown
        assert "New agent" not in shown
        assert "Archive<" not in shown
    page = shared.bob.get(f"/sessions/{shared.session.pk}/").content.decode()
    assert 'id="composer" method' not in page
    assert 'id="answer"' not in page
    assert "data-operates" not in page


@pytest.mark.parametrize(
    "path", ["/sessions/%00/", "/agents/%00/", "/environments/%00/", "/vaults/%00/", "/schedules/%00/"]
)
def test_an_id_that_the_database_could_not_hold_is_no_object(shared: World, path: str) -> None:
    assert shared.alice.get(path).status_code == 404


def test_a_stranger_s_upload_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []
    monkeypatch.setattr(Collector, "receive_data_chunk", lambda self, data, start: kept.append(data))
    answer = Client().post(reverse("agents:skill_new"), {"files": SimpleUploadedFile("skill.zip", b"PK\x03\x04")})
    assert answer.status_code == 302
    assert kept == []
