"""Credentials and vaults over time: rotation, locks, names, archiving, lists, roles (spec advanced 1)."""

from __future__ import annotations

from typing import Any

import pytest

from agents.models import Workspace
from contract.roles import Role
from credentials.models import Credential
from tests.api.conftest import Caller, caller, fits
from tests.api.vaulting import BEARER, CREDENTIAL, OAUTH, URL, VARIABLE, VAULT, add, client, secrets_in


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"body": True}, {"header": True, "body": True}),
        ({"body": True, "header": False}, {"header": False, "body": True}),
        ({}, {"header": True, "body": False}),
        ({"header": False}, None),
        ({"body": None}, None),
        (None, None),
    ],
)
def test_an_update_of_the_location_keeps_what_it_leaves_out(alice: Caller, vault: str, sent: Any, stored: Any) -> None:
    made = add(alice, vault, {**VARIABLE, "injection_location": {"header": True}})
    path = f"/vaults/{vault}/credentials/{made['id']}"
    body = {"auth": {"type": "environment_variable", "injection_location": sent}}
    if stored is None:
        assert alice.refused("POST", path, body).status == 400
        assert alice.get(path)["auth"] == made["auth"]
    else:
        assert alice.post(path, body)["auth"]["injection_location"] == stored


ROTATIONS = [
    (BEARER, {"token": "new"}, {}, {"token": "new"}),
    (BEARER, {"token": None}, {}, {}),
    (OAUTH, {"access_token": "new"}, {}, {"access_token": "new"}),
    (OAUTH, {"expires_at": "2198-01-01T00:00:00Z"}, {"expires_at": "2198-01-01T00:00:00.000Z"}, {}),
    (OAUTH, {"expires_at": None, "refresh": None}, {}, {}),
    (OAUTH, {"refresh": {"refresh_token": "new"}}, {}, {"refresh_token": "new"}),
    (
        OAUTH,
        {"refresh": {"token_endpoint_auth": {"type": "client_secret_basic", "client_secret": "new"}}},
        {},
        {"client_secret": "new"},
    ),
    (VARIABLE, {"secret_value": "new"}, {}, {"secret_value": "new"}),
    (VARIABLE, {"secret_value": None, "networking": None}, {}, {}),
    (VARIABLE, {"networking": {"type": "unrestricted"}}, {"networking": {"type": "unrestricted"}}, {}),
]


@pytest.mark.parametrize(("auth", "change", "shown", "secret"), ROTATIONS)
def test_a_rotation_replaces_what_it_names(
    alice: Caller, vault: str, auth: dict[str, Any], change: dict[str, Any], shown: Any, secret: Any
) -> None:
    made = add(alice, vault, auth)
    before = secrets_in(made["id"])
    path = f"/vaults/{vault}/credentials/{made['id']}"
    updated = alice.post(path, {"auth": {"type": auth["type"], **change}})
    fits(CREDENTIAL, updated)
    assert updated["auth"] == {**made["auth"], **shown}
    assert secrets_in(made["id"]) == {**before, **secret}


@pytest.mark.parametrize(("scope", "stored"), [("", None), ("write", "write"), (None, "read write")])
def test_an_empty_scope_clears_it(alice: Caller, vault: str, scope: str | None, stored: str | None) -> None:
    path = f"/vaults/{vault}/credentials/{add(alice, vault, OAUTH)['id']}"
    updated = alice.post(path, {"auth": {"type": "mcp_oauth", "refresh": {"scope": scope}}})
    assert updated["auth"]["refresh"]["scope"] == stored


LOCKED = [
    (BEARER, {"mcp_server_url": URL}, "auth.mcp_server_url"),
    (OAUTH, {"mcp_server_url": URL}, "auth.mcp_server_url"),
    (OAUTH, {"refresh": {"token_endpoint": "https://x.example"}}, "auth.refresh.token_endpoint"),
    (OAUTH, {"refresh": {"client_id": "x"}}, "auth.refresh.client_id"),
    (OAUTH, {"refresh": {"resource": "x"}}, "auth.refresh.resource"),
    (OAUTH, {"expires_at": "2020-01-01T00:00:00Z"}, "auth.expires_at"),
    (OAUTH, {"access_token": "x" * 8193}, "auth.access_token"),
    (OAUTH, {"refresh": {"token_endpoint_auth": {"type": "none"}}}, "auth.refresh.token_endpoint_auth"),
    (VARIABLE, {"secret_name": "OTHER"}, "auth.secret_name"),
    (VARIABLE, {"secret_value": ""}, "auth.secret_value"),
    (VARIABLE, {"networking": {"type": "limited", "allowed_hosts": ["a:1"]}}, "auth.networking.allowed_hosts.0"),
    (VARIABLE, {"type": "static_bearer"}, "auth.type"),
    ({**OAUTH, "refresh": None}, {"refresh": {"refresh_token": "x"}}, "auth.refresh"),
    (
        client("none"),
        {"refresh": {"token_endpoint_auth": {"type": "client_secret_post", "client_secret": "x"}}},
        "auth.refresh.token_endpoint_auth",
    ),
]


@pytest.mark.parametrize(("auth", "change", "named"), LOCKED)
def test_what_is_locked_or_bad_changes_nothing(
    alice: Caller, vault: str, auth: dict[str, Any], change: dict[str, Any], named: str
) -> None:
    made = add(alice, vault, auth)
    path, before = f"/vaults/{vault}/credentials/{made['id']}", secrets_in(made["id"])
    refused = alice.refused("POST", path, {"auth": {"type": auth["type"], **change}, "display_name": "new"})
    assert (refused.status, refused.message.startswith(named)) == (400, True), refused
    assert alice.get(path) == made
    assert secrets_in(made["id"]) == before


def test_a_name_and_metadata_change_without_the_auth(alice: Caller, vault: str) -> None:
    made = add(alice, vault, BEARER, metadata={"a": "1"})
    path = f"/vaults/{vault}/credentials/{made['id']}"
    updated = alice.post(path, {"display_name": "New", "metadata": {"a": None, "b": "2"}})
    assert (updated["display_name"], updated["metadata"]) == ("New", {"b": "2"})
    assert secrets_in(made["id"]) == {"token": "s3cret-bearer"}
    assert alice.post(path, {"display_name": None})["display_name"] == "New"
    assert alice.refused("POST", path, {"display_name": ""}).status == 400
    assert alice.refused("POST", path, {"vault_id": vault}).status == 400


SAME_PLACE = ["HTTPS://MCP.example/sse", "https://mcp.example:443/sse", "https://mcp.example/sse/"]


@pytest.mark.parametrize("url", [URL, *SAME_PLACE])
def test_a_second_credential_for_one_server_is_a_conflict(alice: Caller, vault: str, url: str) -> None:
    add(alice, vault, OAUTH)
    response = alice.send("POST", f"/vaults/{vault}/credentials", {"auth": {**BEARER, "mcp_server_url": url}})
    assert (response.status_code, response["x-should-retry"]) == (409, "false")


@pytest.mark.parametrize("url", ["http://mcp.example/sse", "https://mcp.example/SSE", f"{URL}?a=1", f"{URL}:8443"])
def test_another_address_is_another_server(alice: Caller, vault: str, url: str) -> None:
    add(alice, vault, OAUTH)
    add(alice, vault, {**BEARER, "mcp_server_url": url})
    assert Credential.objects.count() == 2


def test_names_are_taken_in_their_vault_while_active(alice: Caller, vault: str) -> None:
    made = add(alice, vault, VARIABLE)
    assert alice.refused("POST", f"/vaults/{vault}/credentials", {"auth": VARIABLE}).status == 409
    other = alice.post("/vaults", {"display_name": "Other"})["id"]
    add(alice, other, VARIABLE)
    alice.post(f"/vaults/{vault}/credentials/{made['id']}/archive")
    add(alice, vault, VARIABLE)


def test_a_vault_holds_twenty_active_credentials(alice: Caller, vault: str) -> None:
    made = [add(alice, vault, {**VARIABLE, "secret_name": f"K{n}"}) for n in range(20)]
    one_more = {"auth": {**VARIABLE, "secret_name": "K20"}}
    refused = alice.refused("POST", f"/vaults/{vault}/credentials", one_more)
    assert (refused.status, "20" in refused.message) == (400, True)
    alice.post(f"/vaults/{vault}/credentials/{made[0]['id']}/archive")
    alice.post(f"/vaults/{vault}/credentials", one_more)


def test_archiving_a_credential_forgets_its_secrets(alice: Caller, vault: str) -> None:
    made = add(alice, vault, OAUTH)
    path = f"/vaults/{vault}/credentials/{made['id']}"
    archived = alice.post(f"{path}/archive")
    fits(CREDENTIAL, archived)
    assert archived["archived_at"] is not None
    assert archived["auth"] == made["auth"]
    assert bytes(Credential.objects.get().sealed) == b""
    assert alice.post(f"{path}/archive") == archived == alice.get(path)
    assert alice.refused("POST", path, {"display_name": "x"}).status == 400
    assert alice.refused("POST", f"{path}/mcp_oauth_validate").status == 400
    assert alice.get(f"/vaults/{vault}/credentials")["data"] == []
    assert alice.get(f"/vaults/{vault}/credentials?include_archived=true")["data"] == [archived]


def test_archiving_a_vault_archives_what_is_in_it(alice: Caller, vault: str) -> None:
    early = add(alice, vault, VARIABLE)
    path = f"/vaults/{vault}"
    early = alice.post(f"{path}/credentials/{early['id']}/archive")
    add(alice, vault, BEARER)
    archived = alice.post(f"{path}/archive")
    fits(VAULT, archived)
    assert alice.post(f"{path}/archive") == archived == alice.get(path)
    inside = alice.get(f"{path}/credentials?include_archived=true")["data"]
    assert [one["archived_at"] for one in inside] == [archived["archived_at"], early["archived_at"]]
    assert {bytes(row.sealed) for row in Credential.objects.all()} == {b""}
    assert alice.refused("POST", path, {"display_name": "x"}).status == 400
    assert alice.refused("POST", f"{path}/credentials", {"auth": BEARER}).status == 400
    assert alice.get("/vaults")["data"] == []
    assert alice.get("/vaults?include_archived=true")["data"] == [archived]


def test_deleting_leaves_nothing(alice: Caller, vault: str) -> None:
    first, second = add(alice, vault, BEARER), add(alice, vault, VARIABLE)
    path = f"/vaults/{vault}/credentials/{first['id']}"
    assert alice.ok("DELETE", path) == {"id": first["id"], "type": "vault_credential_deleted"}
    assert alice.refused("GET", path).status == alice.refused("DELETE", path).status == 404
    assert alice.ok("DELETE", f"/vaults/{vault}") == {"id": vault, "type": "vault_deleted"}
    assert alice.refused("GET", f"/vaults/{vault}/credentials/{second['id']}").status == 404
    assert alice.refused("GET", f"/vaults/{vault}/credentials").status == 404
    assert not Credential.objects.exists()


def test_a_credential_is_found_in_its_own_vault_only(alice: Caller, vault: str) -> None:
    made = add(alice, vault, BEARER)
    other = alice.post("/vaults", {"display_name": "Other"})["id"]
    path = f"/vaults/{other}/credentials/{made['id']}"
    for method, address in (("GET", path), ("POST", path), ("DELETE", path), ("POST", f"{path}/archive")):
        assert alice.refused(method, address, {} if method == "POST" else None).status == 404


def test_lists_are_newest_first_and_in_pages(alice: Caller, vault: str) -> None:
    ids = [add(alice, vault, {**VARIABLE, "secret_name": f"K{n}"})["id"] for n in range(3)][::-1]
    first = alice.get(f"/vaults/{vault}/credentials?limit=2")
    second = alice.get(f"/vaults/{vault}/credentials?limit=2&page={first['next_page']}")
    assert [one["id"] for one in first["data"] + second["data"]] == ids
    assert second["next_page"] is None
    vaults = [alice.post("/vaults", {"display_name": str(n)})["id"] for n in range(2)][::-1]
    page = alice.get("/vaults?limit=1")
    assert [one["id"] for one in page["data"]] == vaults[:1]
    assert alice.get(f"/vaults?limit=2&page={page['next_page']}")["data"][0]["id"] == vaults[1]
    other = alice.post("/vaults", {"display_name": "Other"})["id"]
    stolen = f"/vaults/{other}/credentials?page={first['next_page']}"
    assert alice.refused("GET", stolen).message.startswith("page")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "page=", "page=page_x", "page=abc", "include_archived=maybe"]
)
@pytest.mark.parametrize("credentials", [False, True])
def test_a_bad_query_is_refused(alice: Caller, vault: str, query: str, credentials: bool) -> None:
    path = f"/vaults/{vault}/credentials" if credentials else "/vaults"
    assert alice.refused("GET", f"{path}?{query}").status == 400


@pytest.mark.parametrize(
    ("role", "may_read", "may_write"),
    [
        (Role.VIEWER, False, False),
        (Role.OPERATOR, False, False),
        (Role.DEVELOPER, True, False),
        (Role.ADMIN, True, True),
    ],
)
def test_developers_see_vaults_and_administrators_change_them(
    alice: Caller, vault: str, role: Role, may_read: bool, may_write: bool
) -> None:
    made = add(alice, vault, BEARER)
    who = caller("colleague", role, Workspace.objects.get(pk=alice.acting.workspace_id))
    path = f"/vaults/{vault}/credentials/{made['id']}"
    reads = ("/vaults", f"/vaults/{vault}", f"/vaults/{vault}/credentials", path)
    assert {who.send("GET", one).status_code for one in reads} == {200 if may_read else 403}
    writes = [
        ("POST", "/vaults", {"display_name": "V"}),
        ("POST", f"/vaults/{vault}", {"display_name": "V"}),
        ("POST", f"/vaults/{vault}/credentials", {"auth": VARIABLE}),
        ("POST", path, {"display_name": "V"}),
        ("POST", f"{path}/archive", None),
        ("DELETE", path, None),
        ("POST", f"/vaults/{vault}/archive", None),
        ("DELETE", f"/vaults/{vault}", None),
    ]
    assert {who.send(*one).status_code for one in writes} == {200 if may_write else 403}
    if not may_write:
        assert who.send("POST", f"{path}/mcp_oauth_validate").status_code == 403


def test_only_oauth_credentials_can_be_validated(alice: Caller, vault: str) -> None:
    for auth in (BEARER, VARIABLE):
        path = f"/vaults/{vault}/credentials/{add(alice, vault, auth)['id']}/mcp_oauth_validate"
        assert alice.refused("POST", path).status == 400
