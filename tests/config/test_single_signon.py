"""Single sign-on at a real provider: groups become roles at each sign-in, and no false answer opens the door."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from allauth.account.models import Login
from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal.flows import perform_passwordless_login
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth import get_user_model
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from agents.models import Membership, Workspace
from config.readers import Reader, SettingError
from config.signin import bounds, throttle
from config.signin import settings as signing_in
from config.signin.provider import registered
from contract.roles import Role
from credentials.models import AuditRecord
from tests.config.factors import code, set_up_app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
OURS = {
    "OIDC_CLIENT_ID": "holdfast",
    "OIDC_CLIENT_SECRET": "s3cret:with=signs",
    "OIDC_GROUPS": "team=ops=Ours:operator; admins=Ours:admin\nadmins=Theirs:viewer",
}

pytestmark = pytest.mark.django_db


@dataclass
class Away:
    """The provider, and the way through it."""

    issuer: str

    def become(self, sub: str, *groups: str, wrong: str = "", **more: Any) -> None:
        claims = {"sub": sub, "preferred_username": sub, "groups": list(groups), **more}
        self._ask("/as", json.dumps({"claims": claims, "wrong": wrong}).encode())

    def sign_in(self, client: Client, wanted: str = "", way: str = "/login/sso") -> Any:
        """There and back; what our server answers at the end."""
        left = client.get(f"{way}?next={wanted}")
        if left.status_code != 302:
            return left
        back = urlsplit(self._ask(left["Location"].removeprefix(self.issuer)))
        return client.get(f"{back.path}?{back.query}")

    def _ask(self, path: str, body: bytes | None = None) -> str:
        opener = urllib.request.build_opener(Stay)
        try:
            with opener.open(f"{self.issuer}{path}", body, timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.headers["location"])


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


@pytest.fixture(scope="module")
def process() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.config.provider", "0", "holdfast", OURS["OIDC_CLIENT_SECRET"]]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        yield started.stdout.readline().strip()
        started.terminate()


@pytest.fixture
def away(process: str, settings: Any, redis_url: str) -> Away:
    settings.HOLDFAST_SIGNING_IN = signing_in.read(Reader({**OURS, "OIDC_ISSUER": process}))
    settings.SOCIALACCOUNT_PROVIDERS = registered(settings.HOLDFAST_SIGNING_IN.provider)
    for name in ("Ours", "Theirs", "By hand"):
        Workspace.objects.create(name=name)
    return Away(process)


def roles(name: str) -> dict[str, str]:
    rows = Membership.objects.filter(user__username=name).values_list("workspace__name", "role")
    return dict(rows)


def test_a_member_of_a_group_becomes_a_person_with_its_role(away: Away) -> None:
    away.become("alice", "team=ops", "cooks", email="alice@example.com")
    client = Client()
    assert "Sign in with single sign-on" in client.get("/login").content.decode()
    assert away.sign_in(client, "/sessions/")["Location"] == "/sessions/"
    assert roles("alice") == {"Ours": "operator"}
    assert client.get("/sessions/").status_code == 200
    assert not get_user_model().objects.get(username="alice").has_usable_password()
    signed_in = AuditRecord.objects.get(action="person.signed_in")
    assert signed_in.after == {"by": "single sign-on", "from": "127.0.0.1"}
    assert signed_in.workspace_id == Workspace.objects.get(name="Ours").pk
    assert AuditRecord.objects.get(action="member.added").actor == "single sign-on"


def test_groups_are_weighed_anew_at_each_sign_in(away: Away) -> None:
    away.become("alice", "team=ops", "admins")
    first, second = Client(), Client()
    away.sign_in(first)
    assert roles("alice") == {"Ours": "admin", "Theirs": "viewer"}, "the strongest role counts"
    away.become("alice", "team=ops")
    assert away.sign_in(second).status_code == 302
    assert roles("alice") == {"Ours": "operator"}
    assert first.get("/").status_code == 302, "who loses rights is signed out everywhere"
    assert second.get("/").status_code == 200


def test_who_is_in_no_group_any_more_stays_outside_and_is_signed_out(away: Away) -> None:
    away.become("alice", "team=ops")
    client = Client()
    away.sign_in(client)
    away.become("alice", "cooks")
    refused = away.sign_in(Client())
    assert refused.status_code == 403
    assert "none of the groups" in refused.content.decode()
    assert roles("alice") == {}
    assert client.get("/").status_code == 302


def test_a_membership_made_by_hand_stays(away: Away) -> None:
    away.become("alice", "team=ops")
    away.sign_in(Client())
    by_hand = Workspace.objects.get(name="By hand")
    Membership.objects.create(
        workspace=by_hand, user=get_user_model().objects.get(username="alice"), role=Role.VIEWER.value
    )
    away.become("alice")
    assert away.sign_in(Client()).status_code == 302
    assert roles("alice") == {"By hand": "viewer"}


def test_a_stranger_of_no_group_becomes_nobody(away: Away) -> None:
    away.become("mallory", "cooks")
    assert away.sign_in(Client()).status_code == 403
    assert not get_user_model().objects.filter(username="mallory").exists()


def test_a_name_that_is_taken_is_not_taken_over(away: Away) -> None:
    local = get_user_model().objects.create_user("root", email="root@example.com", password="only for tests")
    away.become("root", "team=ops", email="root@example.com", email_verified=True)
    client = Client()
    assert away.sign_in(client).status_code == 302
    assert client.session["_auth_user_id"] != str(local.pk)


def test_a_person_who_was_switched_off_stays_outside(away: Away) -> None:
    away.become("alice", "team=ops")
    away.sign_in(Client())
    get_user_model().objects.filter(username="alice").update(is_active=False)
    client = Client()
    assert away.sign_in(client)["Location"] == "/login"
    assert "switched off" in client.get("/login").content.decode()


def test_the_second_factor_is_asked_after_it_too(away: Away) -> None:
    away.become("alice", "team=ops")
    client = Client()
    away.sign_in(client)
    secret, _ = set_up_app(client)
    fresh = Client()
    assert away.sign_in(fresh)["Location"] == "/login/code"
    assert fresh.post("/login/code", {"code": code(secret, steps=1)}).status_code == 302
    assert fresh.get("/").status_code == 200


@pytest.mark.parametrize("wrong", ["signature", "audience", "issuer", "expired", "person", "name", "nonce", "no nonce"])
def test_an_answer_that_is_not_the_providers_is_refused(away: Away, wrong: str) -> None:
    away.become("alice", "team=ops", wrong=wrong)
    refused = away.sign_in(Client())
    assert refused.status_code in {403, 502}
    assert "Single sign-on ended here" in refused.content.decode()
    assert not get_user_model().objects.filter(username="alice").exists()


def test_who_changes_their_mind_is_back_at_the_door(away: Away) -> None:
    away.become("alice", "team=ops", wrong="denied")
    assert away.sign_in(Client())["Location"] == "/login"


def test_an_answer_to_another_browser_or_a_second_time_is_refused_and_counted(away: Away) -> None:
    away.become("alice", "team=ops")
    for _ in range(throttle.FAILURES_OF_AN_ADDRESS):
        assert Client().get("/login/sso/callback?code=x&state=y").status_code == 403
    assert Client().get("/login/sso/callback?code=x&state=y").status_code == 429
    assert away.sign_in(Client()).status_code == 429


def test_a_provider_that_is_away_says_so(away: Away, settings: Any) -> None:
    gone = {**OURS, "OIDC_ISSUER": "http://127.0.0.1:9"}
    settings.HOLDFAST_SIGNING_IN = signing_in.read(Reader(gone))
    settings.SOCIALACCOUNT_PROVIDERS = registered(settings.HOLDFAST_SIGNING_IN.provider)
    refused = Client().get("/login/sso")
    assert refused.status_code == 502
    assert "could not be reached" in refused.content.decode()


def test_a_sign_in_of_the_provider_ends_after_the_hours_that_are_set(away: Away) -> None:
    away.become("alice", "team=ops")
    client = Client()
    away.sign_in(client)
    assert 11.9 < client.session.get_expiry_age() / 3600 <= 12


def test_a_passkey_does_not_outlive_the_groups_that_gave_the_roles(away: Away, rf: Any) -> None:
    away.become("alice", "team=ops")
    away.sign_in(Client())
    alice = get_user_model().objects.get(username="alice")
    assert comes_by_passkey(rf, alice) == "/"
    an_hour_left = timezone.now() - timedelta(hours=11)
    SocialAccount.objects.filter(user=alice).update(last_login=an_hour_left)
    soon = bounds.ends_at(alice)
    assert soon is not None
    assert soon - timezone.now() < timedelta(hours=1), "the sign-in ends when one at the provider would have"
    SocialAccount.objects.filter(user=alice).update(last_login=an_hour_left - timedelta(hours=2))
    assert comes_by_passkey(rf, alice) == "/login"
    failed = AuditRecord.objects.filter(action="person.sign_in_failed").latest("id")
    assert (failed.actor, failed.after) == ("alice", {"by": "passkey", "from": "127.0.0.1"})
    alice.set_password("only for tests")
    alice.save()
    assert comes_by_passkey(rf, alice) == "/", "who has a password here is not the provider's alone"


def comes_by_passkey(rf: Any, user: Any) -> str:
    """Where somebody is sent whose passkey was found right."""
    request = rf.post("/login/passkey")
    for layer in (SessionMiddleware, AuthenticationMiddleware, MessageMiddleware):
        layer(lambda _: HttpResponse()).process_request(request)
    key, _ = Authenticator.objects.get_or_create(user=user, type=Authenticator.Type.WEBAUTHN, data={})
    with context.request_context(request):
        answer = perform_passwordless_login(request, key, Login(user=user, redirect_url="/"))
    return str(answer["Location"])


@pytest.fixture
def local(away: Away) -> Client:
    """Somebody with a password, signed in by it, and admin of a workspace that groups govern."""
    user = get_user_model().objects.create_user("bea", password="only for tests")
    Membership.objects.create(workspace=Workspace.objects.get(name="Ours"), user=user, role=Role.ADMIN.value)
    client = Client()
    client.post("/login", {"username": "bea", "password": "only for tests"})
    return client


def link(away: Away, client: Client) -> str:
    """Go and link who is signed in at the provider; what the account page says then."""
    assert away.sign_in(client, way="/account/identities/new/")["Location"] == "/account/identities/new/confirm/"
    return str(client.post("/account/identities/new/confirm/", follow=True).content.decode())


def test_an_identity_is_linked_only_when_its_owner_confirms(away: Away, local: Client) -> None:
    away.become("b.smith", "team=ops")
    away.sign_in(local, way="/account/identities/new/")
    asked = local.get("/account/identities/new/confirm/").content.decode()
    assert "Link b.smith?" in asked
    assert "Ours: admin → operator" in asked, "what the groups will change is told before"
    assert not SocialAccount.objects.exists()
    assert "b.smith is linked" in local.post("/account/identities/new/confirm/", follow=True).content.decode()
    linked = AuditRecord.objects.get(action="person.identity_linked")
    assert (linked.actor, linked.after) == ("bea", {"by": "single sign-on", "as": "b.smith"})
    assert linked.workspace_id == Workspace.objects.get(name="Ours").pk
    assert roles("bea") == {"Ours": "admin"}, "until the next sign-in"
    fresh = Client()
    away.sign_in(fresh)
    assert fresh.session["_auth_user_id"] == str(get_user_model().objects.get(username="bea").pk)
    assert roles("bea") == {"Ours": "operator"}


def test_what_was_not_just_vouched_for_is_not_linked(away: Away, local: Client) -> None:
    assert "took too long" in local.post("/account/identities/new/confirm/", follow=True).content.decode()
    away.become("b.smith", "team=ops", wrong="nonce")
    assert away.sign_in(local, way="/account/identities/new/").status_code == 403
    assert not SocialAccount.objects.exists()


def test_an_identity_of_somebody_else_is_not_linked(away: Away, local: Client) -> None:
    away.become("alice", "team=ops")
    away.sign_in(Client())
    assert "linked to another account" in link(away, local)
    assert SocialAccount.objects.get().user.username == "alice"


def test_linking_what_is_linked_already_weighs_the_groups_like_a_sign_in(away: Away, local: Client) -> None:
    away.become("b.smith", "team=ops", "admins")
    link(away, local)
    away.become("b.smith", "team=ops")
    elsewhere = Client()
    elsewhere.post("/login", {"username": "bea", "password": "only for tests"})
    assert away.sign_in(local, way="/account/identities/new/")["Location"] == "/account/"
    assert roles("bea") == {"Ours": "operator"}
    assert elsewhere.get("/").status_code == 302, "who loses rights is signed out"
    assert local.get("/").status_code == 200


def test_unlinking_takes_the_roles_that_the_groups_gave(away: Away, local: Client) -> None:
    boss = get_user_model().objects.create_user("boss")
    Membership.objects.create(workspace=Workspace.objects.get(name="Ours"), user=boss, role=Role.ADMIN.value)
    away.become("b.smith", "admins")
    link(away, local)
    away.sign_in(local)
    assert roles("bea") == {"Ours": "admin", "Theirs": "viewer"}
    account = SocialAccount.objects.get()
    shown = local.get(f"/account/identities/{account.pk}/remove/").content.decode()
    assert "Ours: admin" in shown
    assert "Theirs: viewer" in shown
    assert local.post(f"/account/identities/{account.pk}/remove/").status_code == 302
    assert roles("bea") == {}
    assert local.get("/").status_code == 302
    unlinked = AuditRecord.objects.filter(action="person.identity_unlinked")
    assert {one.workspace_id for one in unlinked} == {one.pk for one in Workspace.objects.exclude(name="By hand")}
    assert not SocialAccount.objects.exists()


def test_the_last_admin_and_the_last_way_in_stay(away: Away, local: Client) -> None:
    away.become("b.smith", "admins")
    link(away, local)
    account = SocialAccount.objects.get()
    kept = local.post(f"/account/identities/{account.pk}/remove/", follow=True).content.decode()
    assert "last admin" in kept
    away.become("alice", "team=ops")
    alone = Client()
    away.sign_in(alone)
    hers = SocialAccount.objects.get(user__username="alice")
    kept = alone.post(f"/account/identities/{hers.pk}/remove/", follow=True).content.decode()
    assert "only way of signing in" in kept
    assert alone.post(f"/account/identities/{account.pk}/remove/").status_code == 404, "it is somebody else's"
    assert SocialAccount.objects.count() == 2


def test_the_last_passkey_of_a_person_without_a_password_stays(away: Away) -> None:
    away.become("alice", "team=ops")
    client = Client()
    away.sign_in(client)
    alice = get_user_model().objects.get(username="alice")
    key = Authenticator.objects.create(user=alice, type=Authenticator.Type.WEBAUTHN, data={"name": "Laptop"})
    account = SocialAccount.objects.get()
    with transaction.atomic():
        assert client.post(f"/account/identities/{account.pk}/remove/").status_code == 302
        assert not SocialAccount.objects.exists(), "the passkey is a way in"
        transaction.set_rollback(True)
    SocialAccount.objects.all().delete()
    kept = client.post(f"/account/passkeys/{key.pk}/remove/", follow=True).content.decode()
    assert "only way of signing in" in kept
    assert Authenticator.objects.filter(pk=key.pk).exists()


def test_without_a_provider_there_is_no_such_page() -> None:
    assert Client().get("/login/sso").status_code == 404
    assert Client().get("/login/sso/callback").status_code == 404
    assert "single sign-on" not in Client().get("/login").content.decode()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"OIDC_ISSUER": "https://id.example"}, "OIDC_CLIENT_ID and OIDC_CLIENT_SECRET and OIDC_GROUPS are not"),
        ({**OURS}, "OIDC_ISSUER is not"),
        ({"OIDC_NAME": "Example"}, "OIDC_NAME is set, but OIDC_ISSUER is not"),
        ({**OURS, "OIDC_ISSUER": "http://id.example"}, "plain http"),
        ({**OURS, "OIDC_ISSUER": "https://id.example", "OIDC_GROUPS": "ops"}, "group=workspace:role"),
        ({**OURS, "OIDC_ISSUER": "https://id.example", "OIDC_GROUPS": "ops=Ours:king"}, "one of viewer"),
    ],
)
def test_half_a_configuration_ends_the_start_with_a_sentence(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        signing_in.read(Reader(given))


def test_the_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    given = {**OURS, "OIDC_ISSUER": "https://id.example/", "OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    provider = signing_in.read(Reader({name: v for name, v in given.items() if name != "OIDC_CLIENT_SECRET"})).provider
    assert provider is not None
    assert (provider.client_secret.reveal(), provider.issuer) == ("from a file", "https://id.example")
    assert "from a file" not in repr(provider)
