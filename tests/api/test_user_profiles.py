"""``/v1/user_profiles`` in its four dialects (spec advanced 19)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract.roles import Role
from tests.api.conftest import Caller, caller, fits, refusal

CURRENT = "anthropic.types.user_profile.UserProfile"
LEGACY = "beta_user_profile.BetaUserProfile"
MARCH, AUGUST, SEPTEMBER = ("user-profiles-2026-03-24", "user-profiles-2026-08-18", "user-profiles-2026-09-04")
COMMON = {"id", "type", "name", "metadata", "created_at", "updated_at"}
DETAILS = {
    "account_status": "active",
    "country": "DE",
    "email_hash": "e" * 255,
    "entity_type": "individual",
    "name_hash": "n",
    "onboarded_at": "2026-01-31T12:00:00+02:00",
    "reference_id": "row-1",
}


def send(alice: Caller, method: str, path: str, body: Any = None, beta: str = "") -> Any:
    return alice.send(method, path, body, **({"anthropic-beta": beta} if beta else {}))


def ok(alice: Caller, method: str, path: str, body: Any = None, beta: str = "") -> dict[str, Any]:
    answer = send(alice, method, path, body, beta)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def profile(alice: Caller) -> dict[str, Any]:
    body = {"name": "Ada", "external_user_details": DETAILS, "metadata": {"plan": "pro"}}
    return alice.post("/user_profiles", body)


def test_a_profile_needs_nothing_and_shows_everything(alice: Caller) -> None:
    made = alice.post("/user_profiles", {})
    fits(CURRENT, made)
    assert made["id"].startswith("uprof_")
    assert (made["type"], made["name"], made["access_type"]) == ("user_profile", None, "application")
    assert made["external_user_details"] == dict.fromkeys(DETAILS)
    assert (made["enforcement_status"], made["enforcement_actions"]) == ("unrestricted", [])
    assert made["programs"] == {"cyber": None, "efs": None}
    assert alice.get(f"/user_profiles/{made['id']}") == made


def test_what_was_stated_is_shown_with_times_in_utc(profile: dict[str, Any]) -> None:
    fits(CURRENT, profile)
    assert profile["external_user_details"] == {**DETAILS, "onboarded_at": "2026-01-31T10:00:00.000Z"}


@pytest.mark.parametrize(
    ("beta", "fields"),
    [
        (MARCH, {"external_id", "trust_grants"}),
        (AUGUST, {"access_type", "external_id", "external_user_onboarded_at", "trust_grants"}),
        (SEPTEMBER, {"access_type", "external_user_details", "trust_grants"}),
        ("", {"access_type", "external_user_details", "enforcement_status", "enforcement_actions", "programs"}),
        (f"something-else,{SEPTEMBER},{AUGUST}", {"access_type", "external_user_details", "trust_grants"}),
    ],
)
def test_each_dialect_shows_its_own_fields(alice: Caller, profile: dict[str, Any], beta: str, fields: set[str]) -> None:
    shown = ok(alice, "GET", f"/user_profiles/{profile['id']}", beta=beta)
    assert set(shown) == COMMON | fields
    fits(CURRENT if not beta else LEGACY, shown)
    if "external_id" in fields:
        assert shown["external_id"] == "row-1"


def test_a_legacy_client_writes_what_a_current_one_reads(alice: Caller) -> None:
    body = {"external_id": "row-9", "external_user_onboarded_at": "2026-02-01T00:00:00Z", "name": "Bo"}
    made = ok(alice, "POST", "/user_profiles", body, AUGUST)
    details = alice.get(f"/user_profiles/{made['id']}")["external_user_details"]
    assert (details["reference_id"], details["onboarded_at"]) == ("row-9", "2026-02-01T00:00:00.000Z")
    ok(alice, "POST", f"/user_profiles/{made['id']}", {"external_id": "row-10"}, MARCH)
    assert alice.get(f"/user_profiles/{made['id']}")["external_user_details"]["reference_id"] == "row-10"


@pytest.mark.parametrize(
    ("beta", "body"),
    [
        ("", {"external_id": "x"}),
        ("", {"external_user_onboarded_at": "2026-02-01T00:00:00Z"}),
        (SEPTEMBER, {"external_id": "x"}),
        (MARCH, {"external_user_onboarded_at": "2026-02-01T00:00:00Z"}),
        (MARCH, {"external_user_details": {}}),
        (AUGUST, {"external_user_details": {}}),
    ],
)
def test_fields_of_another_dialect_are_refused(
    alice: Caller, profile: dict[str, Any], beta: str, body: dict[str, Any]
) -> None:
    for path in ("/user_profiles", f"/user_profiles/{profile['id']}"):
        refused = refusal(send(alice, "POST", path, body, beta))
        assert (refused.status, refused.message.split(":")[0]) == (400, next(iter(body)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "x" * 256}, "name"),
        ({"name": 7}, "name"),
        ({"access_type": "root"}, "access_type"),
        ({"bogus": 1}, "bogus"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"metadata": {"k": None}}, "metadata.k"),
        ({"external_user_details": None}, "external_user_details"),
        ({"external_user_details": {"bogus": 1}}, "external_user_details.bogus"),
        ({"external_user_details": {"country": "de"}}, "external_user_details.country"),
        ({"external_user_details": {"country": "DEU"}}, "external_user_details.country"),
        ({"external_user_details": {"email_hash": ""}}, "external_user_details.email_hash"),
        ({"external_user_details": {"email_hash": "x" * 256}}, "external_user_details.email_hash"),
        ({"external_user_details": {"reference_id": "x" * 256}}, "external_user_details.reference_id"),
        ({"external_user_details": {"account_status": "gone"}}, "external_user_details.account_status"),
        ({"external_user_details": {"entity_type": "cat"}}, "external_user_details.entity_type"),
        ({"external_user_details": {"onboarded_at": "2026-01-31"}}, "external_user_details.onboarded_at"),
        ({"external_user_details": {"onboarded_at": "2026-01-31T12:00:00"}}, "external_user_details.onboarded_at"),
        ({"external_user_details": {"onboarded_at": "2026-02-31T12:00:00Z"}}, "external_user_details.onboarded_at"),
        (
            {"external_user_details": {"onboarded_at": "0001-01-01T00:00:00+14:00"}},
            "external_user_details.onboarded_at",
        ),
        ({"external_user_details": {"onboarded_at": "2999-01-01T00:00:00Z"}}, "external_user_details.onboarded_at"),
    ],
)
def test_bad_input_is_refused_by_name(alice: Caller, change: dict[str, Any], named: str) -> None:
    made = alice.post("/user_profiles", {"name": "Ada"})
    for path in ("/user_profiles", f"/user_profiles/{made['id']}"):
        refused = alice.refused("POST", path, change)
        assert (refused.status, refused.type) == (400, "invalid_request_error")
        assert refused.message.startswith(named)
    assert alice.get("/user_profiles")["data"] == [made]


def test_a_moment_of_the_near_future_is_forgiven(alice: Caller) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    alice.post("/user_profiles", {"external_user_details": {"onboarded_at": soon}})


def test_metadata_may_not_be_empty_at_first_and_is_removed_by_emptiness_later(
    alice: Caller, profile: dict[str, Any]
) -> None:
    refused = alice.refused("POST", "/user_profiles", {"metadata": {"k": ""}})
    assert (refused.status, refused.details) == (400, {"error_code": "invalid_metadata"})
    updated = alice.post(f"/user_profiles/{profile['id']}", {"metadata": {"plan": "", "seat": "3"}})
    assert updated["metadata"] == {"seat": "3"}


def test_an_update_replaces_what_was_sent_and_clears_no_statement(alice: Caller, profile: dict[str, Any]) -> None:
    path = f"/user_profiles/{profile['id']}"
    change = {"external_user_details": {"country": "FR"}, "access_type": "passthrough"}
    updated = alice.post(path, change)
    assert updated["external_user_details"] == {**profile["external_user_details"], "country": "FR"}
    assert (updated["access_type"], updated["name"]) == ("passthrough", "Ada")
    for field in DETAILS:
        assert alice.refused("POST", path, {"external_user_details": {field: None}}).status == 400
    assert refusal(send(alice, "POST", path, {"external_id": None}, AUGUST)).status == 400
    assert alice.post(path, {"name": None})["name"] is None
    assert alice.post(path, {"access_type": None})["access_type"] == "passthrough"


def test_a_deleted_profile_is_gone(alice: Caller, profile: dict[str, Any]) -> None:
    path = f"/user_profiles/{profile['id']}"
    assert alice.ok("DELETE", path) == {"id": profile["id"], "type": "user_profile_deleted"}
    for method, body in [("GET", None), ("DELETE", None), ("POST", {"name": "x"})]:
        assert alice.refused(method, path, body).type == "not_found_error"


def test_strangers_find_nothing(charlie: Caller, profile: dict[str, Any]) -> None:
    path = f"/user_profiles/{profile['id']}"
    action = {"action": {"type": "enroll_end_user"}}
    for method, target, body in [
        ("GET", path, None),
        ("POST", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/enrollment_url", None),
        ("POST", f"{path}/action_urls", action),
    ]:
        assert charlie.refused(method, target, body).status == 404
    assert charlie.get("/user_profiles")["data"] == []


def test_a_viewer_changes_nothing(alice: Caller, profile: dict[str, Any]) -> None:
    from agents.models import Workspace

    viewer = caller("v", Role.VIEWER, Workspace.objects.get(pk=alice.acting.workspace_id))
    assert viewer.get("/user_profiles")["data"] == [profile]
    for method, path in [("POST", "/user_profiles"), ("POST", f"/user_profiles/{profile['id']}")]:
        assert viewer.refused(method, path, {}).status == 403
    assert viewer.refused("DELETE", f"/user_profiles/{profile['id']}").status == 403


NAMES = ["bo", "Ada", None, "änne", "_x", "ada", None, "Zoe"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [7, 6, 5, 4, 3, 2, 1, 0]),
        ("order=asc", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("order_by=name&order=asc", ["_x", "ada", "ada", "bo", "zoe", "änne", None, None]),
        ("order_by=name", ["änne", "zoe", "bo", "ada", "ada", "_x", None, None]),
    ],
)
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_list_is_sorted_by_time_or_name_across_pages(
    alice: Caller, query: str, expected: list[Any], limit: int
) -> None:
    made = [alice.post("/user_profiles", {"name": name})["id"] for name in NAMES]
    found: list[dict[str, Any]] = []
    page: str | None = ""
    while page is not None:
        answer = alice.get(f"/user_profiles?limit={limit}&{query}{page and f'&page={page}'}")
        found += answer["data"]
        page = answer["next_page"]
    assert len({profile["id"] for profile in found}) == len(NAMES)
    if "name" in query:
        assert [profile["name"] and profile["name"].lower() for profile in found] == expected
    else:
        assert [made.index(profile["id"]) for profile in found] == expected


def test_a_cursor_is_bound_to_its_order(alice: Caller) -> None:
    for name in ("a", "b"):
        alice.post("/user_profiles", {"name": name})
    page = alice.get("/user_profiles?limit=1")["next_page"]
    for query in ("order=asc", "order_by=name"):
        refused = alice.refused("GET", f"/user_profiles?limit=1&{query}&page={page}")
        assert (refused.status, refused.message[:5]) == (400, "page:")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "order=up", "order_by=id", "page=x", "enforcement_status[]=odd"]
)
def test_a_bad_query_is_refused(alice: Caller, query: str) -> None:
    assert alice.refused("GET", f"/user_profiles?{query}").status == 400


def test_enforcement_filters_the_current_dialect_only(alice: Caller, profile: dict[str, Any]) -> None:
    both = "enforcement_status[]=banned&enforcement_status[]=unrestricted"
    assert alice.get(f"/user_profiles?{both}")["data"] == [profile]
    assert alice.get("/user_profiles?enforcement_status[]=banned")["data"] == []
    assert send(alice, "GET", f"/user_profiles?{both}", beta=SEPTEMBER).status_code == 400


def test_there_is_nothing_to_enroll_in(alice: Caller, profile: dict[str, Any]) -> None:
    path = f"/user_profiles/{profile['id']}"
    for target, body in [("enrollment_url", None), ("action_urls", {"action": {"type": "enroll_end_user"}})]:
        refused = alice.refused("POST", f"{path}/{target}", body)
        assert (refused.status, "programs" in refused.message) == (400, True)
    assert alice.refused("POST", f"{path}/action_urls", {"action": {"type": "x"}}).message.startswith("action.type")
    assert alice.refused("POST", f"{path}/action_urls", {}).message == "action: Field required"
