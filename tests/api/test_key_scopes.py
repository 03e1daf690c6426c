"""API keys that are limited to parts of the API, and the audit log over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from contract.errors import InvalidRequest
from contract.roles import Role
from credentials import key_scopes
from credentials.actions import create_api_key, find_api_key, revoke_api_key
from credentials.models import ApiKey
from tests.api.conftest import Caller, caller
from tests.specification import DOCUMENT


def limited(alice: Caller, *scopes: str) -> Caller:
    _, plain = create_api_key(alice.acting, name="limited", role=Role.ADMIN, scopes=scopes)
    return Caller(plain, alice.acting)


def test_a_limited_key_reaches_its_families_and_nothing_else(alice: Caller, session: dict[str, Any]) -> None:
    key = limited(alice, "sessions:read", "approvals")
    assert key.get(f"/sessions/{session['id']}/events")["data"] == []
    assert key.get("/x/approvals")["data"] == []
    for method, path in (
        ("POST", "/sessions"),
        ("POST", f"/sessions/{session['id']}"),
        ("GET", "/agents"),
        ("GET", "/x/audit"),
        ("GET", "/vaults"),
    ):
        refusal = key.refused(method, path, {})
        assert (refusal.status, refusal.type) == (403, "permission_error"), path
        assert "limited to approvals, sessions:read" in refusal.message


def test_a_key_is_found_until_it_expires_or_is_revoked(alice: Caller) -> None:
    soon = timezone.now() + timedelta(days=1)
    until = {"ever": None, "tomorrow": soon, "yesterday": soon}
    made = {
        name: create_api_key(alice.acting, name=name, role=Role.VIEWER, expires_at=at) for name, at in until.items()
    }
    ApiKey.objects.filter(pk=made["yesterday"][0].pk).update(expires_at=soon - timedelta(days=2))
    assert {name for name, (_, plain) in made.items() if find_api_key(plain)} == {"ever", "tomorrow"}
    key, plain = made["ever"]
    found = find_api_key(plain)
    assert found is not None
    assert found.last_used_at is not None
    revoke_api_key(key.id, acting=alice.acting)
    assert find_api_key(plain) is None
    assert find_api_key("unknown") is None


def test_an_unknown_scope_is_refused(alice: Caller) -> None:
    with pytest.raises(InvalidRequest, match="scopes: galaxies is no scope"):
        limited(alice, "galaxies")


def test_every_path_of_the_api_belongs_to_a_family() -> None:
    """A new part of the API must be named, or no limited key could ever use it."""
    stray = {path for path in DOCUMENT["paths"] if key_scopes.family_of(path) not in key_scopes.FAMILIES}
    assert stray == set()


def test_the_audit_log_is_read_by_administrators_of_its_workspace(alice: Caller, charlie: Caller, agent: str) -> None:
    page = alice.get(f"/x/audit?object_id={agent}&action=agent.created")
    (record,) = page["data"]
    assert (record["actor"], record["kind"], record["after"]["name"]) == ("alice", "agents.Agent", "Coder")
    assert all(row["object_id"] != agent for row in charlie.get("/x/audit")["data"])
    from agents.models import Workspace

    operator = caller("op", Role.DEVELOPER, Workspace.objects.get(pk=alice.acting.workspace_id))
    assert operator.refused("GET", "/x/audit").status == 403
