"""Every operation of the API against bad input: unknown keys, wrong shapes, broken bodies, bad cursors and limits."""

from __future__ import annotations

import json
import re

import pytest
from django.test import override_settings

from agents.actions import create_agent, create_environment
from tests.api.conftest import Caller, caller, noted, refusal
from tests.api.test_borders import HOOK
from tests.api.test_skills import make as make_skill
from tests.specification import paths

pytestmark = pytest.mark.django_db
PATHS = paths()
WRITES = sorted(
    path
    for path, item in PATHS.items()
    if "application/json" in item.get("post", {}).get("requestBody", {}).get("content", {})
)
NEEDED = [path for path in WRITES if PATHS[path]["post"]["requestBody"].get("required")]
LISTS = sorted(
    path
    for path, item in PATHS.items()
    if any(parameter["name"] == "page" for parameter in item.get("get", {}).get("parameters", ()))
)
ORDERED = ("/sessions", "/sessions/{session_id}/events")


@pytest.fixture(autouse=True)
def blob_dir() -> None:
    """Blobs stay as long as the rows that name them."""


@pytest.fixture(scope="module")
def alice(lasting: None) -> Caller:
    return caller("alice")


@pytest.fixture(scope="module")
def ids(alice: Caller) -> dict[str, str]:
    """Objects that lists lie below; what a write names is refused before anybody looks for it."""
    with pytest.MonkeyPatch.context() as patch, override_settings(HOLDFAST_ALLOWED_NETWORKS=("127.0.0.1",)):
        noted(patch)
        return made(alice)


def made(alice: Caller) -> dict[str, str]:
    agent = create_agent({"name": "Coder", "model": "demo"}, alice.acting).agent_id
    environment = create_environment({"name": "Plain"}, alice.acting).pk
    session = alice.post("/sessions", {"agent": agent, "environment_id": environment})
    outside = alice.post("/environments", {"name": "Outside", "config": {"type": "self_hosted"}})["id"]
    return {
        "environment_id": outside,
        "agent_id": session["agent"]["id"],
        "session_id": session["id"],
        "thread_id": alice.get(f"/sessions/{session['id']}/threads")["data"][0]["id"],
        "vault_id": alice.post("/vaults", {"display_name": "V"})["id"],
        "skill_id": make_skill(alice)["id"],
        "endpoint_id": alice.post("/x/webhooks", {"url": HOOK, "enabled_events": ["session.created"]})["id"],
        "store_id": alice.post("/memory_stores", {"name": "M"})["id"],
    }


def address(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "x_none"), path)


@pytest.mark.parametrize("path", WRITES)
def test_a_key_that_nobody_knows_is_refused_by_name(alice: Caller, path: str, ids: dict[str, str]) -> None:
    refused = alice.refused("POST", address(path, ids), {"no_such_key": 1})
    assert (refused.status, refused.type) == (400, "invalid_request_error")
    assert "no_such_key: Extra inputs are not permitted" in refused.message or "more" in refused.message


@pytest.mark.parametrize("path", WRITES)
def test_a_body_that_is_no_json_object_is_refused(alice: Caller, path: str, ids: dict[str, str]) -> None:
    for body in (b"[]", b'"text"', b"7", b"{", b'{"name": NaN}', b'{"name": "\xff"}', b"{}{}", b"[" * 100_000):
        refused = refusal(alice.raw("POST", address(path, ids), body))
        assert (refused.status, refused.type) == (400, "invalid_request_error"), body[:20]


@pytest.mark.parametrize("path", NEEDED)
def test_an_empty_body_where_one_is_needed_is_refused(alice: Caller, path: str, ids: dict[str, str]) -> None:
    refused = refusal(alice.raw("POST", address(path, ids), b""))
    assert (refused.status, refused.message) == (400, "The request needs a JSON object as its body.")


@pytest.mark.parametrize("path", LISTS)
def test_cursors_that_nobody_gave_out_and_limits_out_of_range_are_refused(
    alice: Caller, path: str, ids: dict[str, str]
) -> None:
    if path == "/environments/{environment_id}/work":  # for environment keys alone
        alice = Caller(
            alice.post(f"/x/environments/{ids['environment_id']}/keys", {"name": "rack"})["key"], alice.acting
        )
    for page in ("page_", "page_%F0%9F%8D%B5", "nonsense", "page_" + "A" * 5_000):
        assert alice.refused("GET", f"{address(path, ids)}?page={page}").status == 400
    for limit in ("0", "-1", "1001", "x", "9" * 30):
        refused = alice.refused("GET", f"{address(path, ids)}?limit={limit}")
        assert refused.status == 400
        assert refused.message.startswith("limit")


@pytest.mark.parametrize("path", ORDERED)
def test_a_cursor_holds_for_its_own_order_only(alice: Caller, path: str, ids: dict[str, str]) -> None:
    session = alice.get(f"/sessions/{ids['session_id']}")
    again = {"agent": session["agent"]["id"], "environment_id": session["environment_id"]}
    alice.post("/sessions", again)
    sent = {"type": "user.interrupt"}
    alice.post(f"/sessions/{session['id']}/events", {"events": [sent, sent]})
    first = alice.get(f"{address(path, ids)}?limit=1&order=asc")
    assert first["next_page"]
    assert alice.get(f"{address(path, ids)}?limit=1&order=asc&page={first['next_page']}")["data"]
    assert alice.refused("GET", f"{address(path, ids)}?limit=1&order=desc&page={first['next_page']}").status == 400


def test_a_cursor_of_another_list_is_refused(alice: Caller, ids: dict[str, str]) -> None:
    for name in ("one", "two"):
        alice.post("/agents", {"name": name, "model": "m"})
    page = alice.get("/agents?limit=1")["next_page"]
    assert alice.refused("GET", f"/sessions?page={page}").status == 400
    assert json.dumps(alice.get(f"/agents?limit=1&page={page}"))


def test_our_own_operations_name_a_query_parameter_that_they_do_not_know(alice: Caller, ids: dict[str, str]) -> None:
    preview = f"/x/sessions/{ids['session_id']}/fork"
    refused = alice.refused("GET", f"{preview}?at=1&until=2")
    assert (refused.status, refused.message) == (400, "until: unknown query parameter; those known are at")
    refused = alice.refused("GET", f"{preview}?at=1&session_id=x")
    assert refused.message == "session_id: unknown query parameter; those known are at"
