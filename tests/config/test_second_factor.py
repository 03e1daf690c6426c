"""Codes of an authenticator app and recovery codes: asked at the one door whenever they are set, each good once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import Membership, Workspace
from config.middleware import acting_for
from config.signin import throttle
from contract.roles import Role
from credentials import crypto
from credentials.models import AuditRecord
from credentials.resealing import reseal
from tests.config.factors import code, set_up_app

PASSWORD = "only for tests"

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(redis_url: str) -> Any:
    user = get_user_model().objects.create_user("alice", password=PASSWORD)
    workspace = Workspace.objects.create(name="Ours")
    Membership.objects.create(workspace=workspace, user=user, role=Role.ADMIN.value)
    return user


def sign_in(client: Client, password: str = PASSWORD, wanted: str = "") -> Any:
    return client.post("/login", {"username": "alice", "password": password, "next": wanted})


@pytest.fixture
def browser(alice: Any) -> Client:
    client = Client()
    assert sign_in(client).status_code == 302
    return client


def test_a_code_is_asked_after_the_password_and_leads_on(browser: Client) -> None:
    secret, _ = set_up_app(browser)
    fresh = Client()
    answer = sign_in(fresh, wanted="/audit/")
    assert answer["Location"] == "/login/code"
    assert fresh.get("/audit/").status_code == 302, "half a sign-in opens nothing"
    assert fresh.post("/login/code", {"code": "000000"}).status_code == 422
    assert fresh.post("/login/code", {"code": code(secret, steps=1)})["Location"] == "/audit/"
    assert fresh.get("/audit/").status_code == 200
    after = AuditRecord.objects.filter(action="person.signed_in").latest("id").after
    assert after is not None
    assert after["by"] == "password, code"


def test_a_code_works_once(browser: Client) -> None:
    secret, _ = set_up_app(browser)
    used = code(secret, steps=1)
    for expected in (302, 422):
        fresh = Client()
        sign_in(fresh)
        assert fresh.post("/login/code", {"code": used}).status_code == expected


def test_a_recovery_code_works_once_and_new_ones_void_the_old(browser: Client) -> None:
    _, codes = set_up_app(browser)
    assert len(codes) == 10
    for expected in (302, 422):
        fresh = Client()
        sign_in(fresh)
        assert fresh.post("/login/code", {"code": codes[0]}).status_code == expected
    assert "9 codes are left" in browser.get("/account/").content.decode()
    browser.post("/account/codes/recovery/")
    fresh = Client()
    sign_in(fresh)
    assert fresh.post("/login/code", {"code": codes[1]}).status_code == 422


def test_guessing_codes_is_throttled_from_wherever(browser: Client) -> None:
    secret, _ = set_up_app(browser)
    fresh = Client()
    sign_in(fresh)
    for number in range(throttle.FAILURES_OF_A_PERSON):
        guess = fresh.post("/login/code", {"code": "000000"}, REMOTE_ADDR=f"10.0.0.{number}")
        assert guess.status_code == 422
    refused = fresh.post("/login/code", {"code": code(secret, steps=1)}, REMOTE_ADDR="10.1.1.1")
    assert refused.status_code == 429
    assert "Wait five minutes" in refused.content.decode()


def test_the_admin_asks_for_it_too(browser: Client, alice: Any) -> None:
    set_up_app(browser)
    alice.is_staff = alice.is_superuser = True
    alice.save()
    fresh = Client()
    assert fresh.get("/admin/")["Location"] == "/admin/login/?next=/admin/"
    assert fresh.post("/login?next=/admin/", {"username": "alice", "password": PASSWORD})["Location"] == "/login/code"
    assert fresh.get("/admin/").status_code == 302


def test_secrets_of_factors_are_sealed_and_sealed_anew(browser: Client, settings: Any) -> None:
    secret, _ = set_up_app(browser)
    row = Authenticator.objects.get(type="totp")
    assert secret not in str(row.data)
    settings.HOLDFAST_KEYS = (("newer", settings.HOLDFAST_KEYS[0][1]), *settings.HOLDFAST_KEYS)
    counted = {tally.name: tally for tally in reseal()}["mfa.Authenticator.data"]
    assert (counted.resealed, counted.lost) == (2, [])
    row.refresh_from_db()
    assert row.wrap().validate_code(code(secret, steps=1))
    assert {tally.name: tally.current for tally in reseal()}["mfa.Authenticator.data"] == 2
    assert crypto.current_key() == "newer"


def test_a_sign_in_of_long_ago_must_be_proved_again(alice: Any, settings: Any) -> None:
    old = Client()
    sign_in(old)
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    asked = old.get("/account/codes/app/")
    assert asked["Location"] == "/account/confirm/?next=%2Faccount%2Fcodes%2Fapp%2F"
    assert old.post("/account/confirm/", {"password": "wrong"}).status_code == 422
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
    proved = old.post("/account/confirm/", {"password": PASSWORD, "next": "/account/codes/app/"})
    assert proved["Location"] == "/account/codes/app/"
    secret, _ = set_up_app(old)
    assert old.post("/account/confirm/", {"password": PASSWORD}).status_code == 422, "the second factor is asked"
    assert (
        old.post("/account/confirm/", {"code": code(secret, steps=1), "next": "https://evil.example"})["Location"]
        == "/account/"
    )


def test_where_everyone_needs_one_nothing_opens_before(browser: Client, alice: Any, settings: Any) -> None:
    settings.HOLDFAST_SIGNING_IN = dataclasses.replace(settings.HOLDFAST_SIGNING_IN, second_factor=True)
    assert browser.get("/audit/")["Location"] == "/account/"
    assert browser.get("/admin/")["Location"] == "/account/"
    assert acting_for(alice, None) is None, "sockets stay shut"
    assert "Everyone here needs a second factor" in browser.get("/account/").content.decode()
    set_up_app(browser)
    assert browser.get("/audit/").status_code == 200
    browser.post("/account/codes/app/remove/")
    assert Authenticator.objects.filter(type="totp").exists(), "the last one stays"


def test_without_the_requirement_the_app_can_be_removed(
    browser: Client, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        set_up_app(browser)
    browser.post("/account/codes/app/remove/")
    assert not Authenticator.objects.exists()
    assert sign_in(Client())["Location"] == "/"
    done = set(AuditRecord.objects.values_list("action", flat=True))
    assert {"person.second_factor_added", "person.second_factor_removed"} <= done


def test_a_new_password_signs_out_everywhere_else(browser: Client) -> None:
    other = Client()
    sign_in(other)
    new = {"old_password": PASSWORD, "new_password1": "another good one 7", "new_password2": "another good one 7"}
    assert browser.post("/account/password/", {**new, "old_password": "wrong"}).status_code == 422
    assert browser.post("/account/password/", new)["Location"] == "/account/"
    assert other.get("/account/").status_code == 302
    assert browser.get("/account/").status_code == 200


def test_other_sign_ins_are_listed_and_ended(browser: Client) -> None:
    other = Client(headers={"user-agent": "Other Browser 7"})
    sign_in(other)
    assert "Other Browser 7" in browser.get("/account/").content.decode()
    browser.post("/account/sign-ins/end/")
    assert other.get("/account/").status_code == 302
    assert Session.objects.count() == 1


def test_a_person_who_was_switched_off_is_told_so_only_with_the_right_password(alice: Any) -> None:
    alice.is_active = False
    alice.save()
    assert "don't match" in sign_in(Client()).content.decode()


def test_a_link_out_of_the_house_is_not_followed(alice: Any) -> None:
    assert sign_in(Client(), wanted="https://evil.example/")["Location"] == "/"


def test_passkeys_are_counted_under_a_lock_and_no_more_are_added_than_fit(
    browser: Client, alice: Any, settings: Any
) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert browser.get("/account/passkeys/new/").status_code == 200
    before, counted = (
        next(number for number, one in enumerate(asked) if word in one["sql"])
        for word in ("FOR UPDATE", 'COUNT(*) AS "__count" FROM "mfa_authenticator"')
    )
    assert before < counted
    keys = [Authenticator(user=alice, type=Authenticator.Type.WEBAUTHN, data={"name": str(n)}) for n in range(20)]
    Authenticator.objects.bulk_create(keys)
    told = browser.post("/account/passkeys/new/", {"name": "One more", "credential": "{}"}, follow=True)
    assert "You have 20 passkeys already" in told.content.decode()
