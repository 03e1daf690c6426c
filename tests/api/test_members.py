"""Members by API and page: invited by a link that works once, promoted, removed at once, and never the last admin."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from agents.models import Membership, Workspace
from contract.roles import Role
from credentials.actions import find_api_key, issue_api_key
from credentials.models import AuditRecord
from tests.api.conftest import Caller, caller

PASSWORD = "a good one of 7 words"

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.objects.create(name="Members only")


@pytest.fixture
def boss(workspace: Workspace) -> Caller:
    return caller("boss", Role.ADMIN, workspace)


def page_of(workspace: Workspace, name: str, role: Role) -> Client:
    """A signed-in member's browser."""
    user = get_user_model().objects.create_user(name, password=PASSWORD)
    Membership.objects.create(workspace=workspace, user=user, role=role.value)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def join(link: str, password: str = PASSWORD) -> Any:
    """Open a one-time link in a browser of its own and set the password."""
    client = Client()
    opened = client.get(urlsplit(link).path)
    if opened.status_code != 302:
        return opened
    return client.post(opened["Location"], {"new_password1": password, "new_password2": password})


def sign_in(name: str) -> Any:
    return Client().post("/login", {"username": name, "password": PASSWORD})


def test_a_new_person_joins_by_a_link_that_works_once(boss: Caller, redis_url: str) -> None:
    made = boss.post("/x/members", {"username": "dora", "role": "operator", "email": "dora@example.com"})
    assert (made["username"], made["role"], made["last_signed_in_at"]) == ("dora", "operator", None)
    assert sign_in("dora").status_code == 200, "there is no password yet"
    assert join(made["join_link"])["Location"] == "/login"
    assert sign_in("dora")["Location"] == "/"
    assert "This link has ended" in join(made["join_link"]).content.decode()
    assert boss.get(f"/x/members/{made['id']}")["last_signed_in_at"] is not None
    assert "join_link" not in boss.get(f"/x/members/{made['id']}")


def test_a_newer_link_is_for_a_forgotten_password_and_signs_out_everywhere(
    workspace: Workspace, boss: Caller, redis_url: str
) -> None:
    client = page_of(workspace, "erin", Role.DEVELOPER)
    member = boss.get("/x/members")["data"][0]
    link = boss.post(f"/x/members/{member['id']}/join_link")["url"]
    assert join(link, "another good one 8").status_code == 302
    assert client.get("/").status_code == 302
    assert AuditRecord.objects.filter(action="member.link_made", object_id=member["id"]).exists()
    assert link not in str(AuditRecord.objects.values_list("before", "after"))


def test_no_link_leads_into_other_workspaces_or_the_installation(workspace: Workspace, boss: Caller) -> None:
    elsewhere = Workspace.objects.create(name="Elsewhere")
    page_of(elsewhere, "frank", Role.ADMIN)
    known = boss.post("/x/members", {"username": "frank", "role": "viewer"})
    assert known["join_link"] is None
    assert "other workspaces" in boss.refused("POST", f"/x/members/{known['id']}/join_link").message
    get_user_model().objects.create_superuser("root")
    root = boss.post("/x/members", {"username": "root", "role": "viewer"})
    assert boss.refused("POST", f"/x/members/{root['id']}/join_link").status == 409


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"username": "gina", "role": "king"}, "role: "),
        ({"username": "g i n a", "role": "viewer"}, "username: "),
        ({"username": "gina", "role": "viewer", "email": "nowhere"}, "email: "),
        ({"username": "", "role": "viewer"}, "username: "),
        ({"username": "gina", "role": "viewer", "password": "x"}, "password: "),
    ],
)
def test_a_member_that_cannot_be_is_refused_by_field(boss: Caller, body: dict[str, str], said: str) -> None:
    refused = boss.refused("POST", "/x/members", body)
    assert (refused.status, refused.message.startswith(said)) == (400, True), refused.message
    assert not get_user_model().objects.filter(username__contains="gina").exists()


def test_nobody_is_a_member_twice(boss: Caller) -> None:
    boss.post("/x/members", {"username": "dora", "role": "viewer"})
    again = boss.refused("POST", "/x/members", {"username": "dora", "role": "admin"})
    assert again.message == "username: dora is a member already."


def test_the_last_admin_stays(workspace: Workspace, boss: Caller) -> None:
    page_of(workspace, "alice", Role.ADMIN)
    last = boss.get("/x/members")["data"][0]["id"]
    assert "last admin" in boss.refused("DELETE", f"/x/members/{last}").message
    assert "last admin" in boss.refused("POST", f"/x/members/{last}", {"role": "viewer"}).message
    other = boss.post("/x/members", {"username": "bert", "role": "viewer"})["id"]
    boss.post(f"/x/members/{other}", {"role": "admin"})
    assert boss.ok("DELETE", f"/x/members/{last}")["type"] == "member_deleted"
    assert boss.refused("GET", f"/x/members/{last}").status == 404


def test_who_is_removed_is_out_at_once_and_their_keys_are_named(workspace: Workspace, boss: Caller) -> None:
    client = page_of(workspace, "erin", Role.DEVELOPER)
    user = get_user_model().objects.get(username="erin")
    keys = [issue_api_key(workspace=workspace, name=name, role=Role.VIEWER, created_by=user) for name in ("one", "two")]
    member = boss.get("/x/members")["data"][0]
    assert [key["name"] for key in member["api_keys"]] == ["one", "two"]
    gone = boss.ok("DELETE", f"/x/members/{member['id']}?revoke_keys=true")
    assert gone["api_keys"] == []
    assert client.get("/").status_code == 302
    assert all(find_api_key(plain) is None for _, plain in keys)
    assert AuditRecord.objects.filter(action="member.removed", object_id=member["id"]).exists()


def test_members_of_other_workspaces_are_nobody_here(boss: Caller) -> None:
    elsewhere = Workspace.objects.create(name="Elsewhere")
    page_of(elsewhere, "frank", Role.ADMIN)
    theirs = Membership.objects.get(user__username="frank").pk
    for method, path, body in (
        ("GET", f"/x/members/{theirs}", None),
        ("POST", f"/x/members/{theirs}", {"role": "viewer"}),
        ("POST", f"/x/members/{theirs}/join_link", None),
        ("DELETE", f"/x/members/{theirs}", None),
        ("GET", "/x/members/%F0%9F%99%82", None),
        ("GET", "/x/members/99999999999999999999", None),
    ):
        assert boss.refused(method, path, body).status == 404
    assert boss.get("/x/members") == {"data": [], "next_page": None}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.DEVELOPER])
def test_only_admins_see_and_change_members(workspace: Workspace, role: Role) -> None:
    other = caller("other", role, workspace)
    for method, path, body in (
        ("GET", "/x/members", None),
        ("POST", "/x/members", {"username": "gina", "role": "viewer"}),
        ("GET", "/x/members/1", None),
        ("POST", "/x/members/1", {"role": "admin"}),
        ("POST", "/x/members/1/join_link", None),
        ("DELETE", "/x/members/1", None),
    ):
        assert other.refused(method, path, body).status == 403


def test_the_page_adds_promotes_and_removes(workspace: Workspace) -> None:
    alice = page_of(workspace, "alice", Role.ADMIN)
    assert "You are alone here" in alice.get("/members/").content.decode()
    assert alice.post("/members/new/", {"username": "a b", "role": "viewer"}).status_code == 422
    shown = alice.post("/members/new/", {"username": "dora", "role": "viewer"}).content.decode()
    assert "/join/" in shown
    dora = Membership.objects.get(user__username="dora")
    alice.post(f"/members/{dora.pk}/role/", {"role": "developer"})
    dora.refresh_from_db()
    assert dora.role == "developer"
    assert "/join/" in alice.post(f"/members/{dora.pk}/link/").content.decode()
    key, _ = issue_api_key(workspace=workspace, name="Dora's robot", role=Role.VIEWER, created_by=dora.user_id)
    assert key.pk in alice.get(f"/members/{dora.pk}/remove/").content.decode()
    assert (
        "1 of their keys is revoked"
        in alice.post(f"/members/{dora.pk}/remove/", {"keys": [key.pk]}, follow=True).content.decode()
    )
    mine = Membership.objects.get(user__username="alice").pk
    assert "last admin" in alice.post(f"/members/{mine}/remove/").content.decode()
    assert "last admin" in alice.post(f"/members/{mine}/role/", {"role": "viewer"}, follow=True).content.decode()
    assert Membership.objects.filter(workspace=workspace).count() == 1
