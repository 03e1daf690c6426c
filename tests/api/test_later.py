"""What this version can't run is checked, refused in a clear sentence, and never pretended to exist."""

from __future__ import annotations

from typing import Any

import pytest

from contract.roles import Role
from tests.api.conftest import Caller, caller

DREAM: dict[str, Any] = {
    "inputs": [
        {"type": "memory_store", "memory_store_id": "memstore_1"},
        {"type": "sessions", "session_ids": ["sesn_1"]},
    ],
    "model": "demo",
}
CREATES = [("/dreams", DREAM)]


@pytest.mark.parametrize(("path", "body"), CREATES)
def test_a_create_is_refused_and_leaves_nothing_behind(alice: Caller, path: str, body: dict[str, Any]) -> None:
    refused = alice.refused("POST", path, body)
    assert (refused.status, refused.type) == (400, "invalid_request_error")
    assert refused.message.endswith("are not supported by this version of Holdfast; nothing was created.")
    assert alice.get(path)["data"] == []


@pytest.mark.parametrize(("path", "body"), CREATES)
def test_a_viewer_is_refused_for_being_one(alice: Caller, path: str, body: dict[str, Any]) -> None:
    from agents.models import Workspace

    viewer = caller("v", Role.VIEWER, Workspace.objects.get(pk=alice.acting.workspace_id))
    assert viewer.refused("POST", path, body).status == 403


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/dreams", {**DREAM, "bogus": 1}, "bogus"),
        ("/dreams", {**DREAM, "inputs": [{"type": "files"}]}, "inputs.0"),
        ("/dreams", {**DREAM, "model": 7}, "model"),
        ("/dreams", {**DREAM, "output_behavior": {"type": "none"}}, "output_behavior"),
        ("/dreams", {}, "inputs"),
    ],
)
def test_mistakes_are_told_before_anything_else(alice: Caller, path: str, body: dict[str, Any], named: str) -> None:
    refused = alice.refused("POST", path, body)
    assert refused.status == 400
    assert refused.message.startswith(named), refused.message


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/dreams/drm_1", None),
        ("POST", "/dreams/drm_1/cancel", None),
        ("POST", "/dreams/drm_1/archive", None),
    ],
)
def test_no_such_object_exists(alice: Caller, method: str, path: str, body: Any) -> None:
    refused = alice.refused(method, path, body)
    assert (refused.status, refused.type) == (404, "not_found_error")
    assert path.split("/")[-1] in refused.message or path.split("/")[-2] in refused.message


@pytest.mark.parametrize(
    "query",
    [
        "/dreams?statuses[]=pending&statuses[]=failed&include_archived=true&limit=100",
    ],
)
def test_a_list_is_an_empty_page(alice: Caller, query: str) -> None:
    assert alice.get(query) == {"data": [], "next_page": None}


@pytest.mark.parametrize(
    "query",
    [
        "/dreams?statuses[]=asleep",
        "/dreams?limit=0",
        "/dreams?page=",
    ],
)
def test_a_bad_query_is_refused(alice: Caller, query: str) -> None:
    assert alice.refused("GET", query).status == 400


def test_the_rest_of_the_administration_is_still_out_of_scope(alice: Caller) -> None:
    refused = alice.refused("GET", "/organizations/me")
    assert (refused.status, "hosted service" in refused.message) == (404, True)
