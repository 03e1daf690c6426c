"""Which credential serves a session, and the record that it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents.models import Workspace
from contract.acting import Acting
from contract.roles import Role
from credentials import lending, vaults
from credentials.lending import Borrower, Use
from credentials.models import AccessRecord, Credential

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.django_db

URL = "https://mcp.example/sse"


@pytest.fixture
def acting() -> Acting:
    return Acting(Workspace.objects.create(name="W").pk, Role.ADMIN, "API key alice")


def vault(acting: Acting) -> str:
    return vaults.create_vault({"display_name": "V"}, acting).pk


def variable(acting: Acting, vault_id: str, value: str, scope: dict[str, list[str]] | None = None) -> Credential:
    auth = {
        "type": "environment_variable",
        "secret_name": "TOKEN",
        "secret_value": value,
        "networking": {"type": "unrestricted"},
    }
    row = vaults.create_credential(vault_id, {"auth": auth}, acting)
    Credential.objects.filter(pk=row.pk).update(scope=scope or {})
    return row


def borrower(acting: Acting, vault_ids: Sequence[str], agent_id: str = "agent_1") -> Borrower:
    return Borrower(acting.workspace_id, vault_ids, agent_id, "sesn_1")


def values(who: Borrower) -> list[str]:
    found, problems = lending.variables(who)
    assert problems == []
    return [one.secret.reveal() for one in found]


def test_of_two_vaults_the_one_named_first_wins(acting: Acting) -> None:
    first, second = vault(acting), vault(acting)
    variable(acting, first, "s3cret-one")
    variable(acting, second, "s3cret-two")
    assert values(borrower(acting, [second, first])) == ["s3cret-two"]
    assert values(borrower(acting, [first, second])) == ["s3cret-one"]
    assert values(borrower(acting, [])) == []


def test_what_is_archived_is_not_lent(acting: Acting) -> None:
    first, second = vault(acting), vault(acting)
    gone = variable(acting, first, "s3cret-one")
    variable(acting, second, "s3cret-two")
    vaults.archive_credential(first, gone.pk, acting)
    assert values(borrower(acting, [first, second])) == ["s3cret-two"]
    vaults.archive_vault(second, acting)
    assert values(borrower(acting, [first, second])) == []


def test_a_credential_outside_of_its_scope_gives_way_to_the_next_vaults(acting: Acting) -> None:
    first, second = vault(acting), vault(acting)
    variable(acting, first, "s3cret-one", {"agents": ["agent_2"]})
    variable(acting, second, "s3cret-two")
    assert values(borrower(acting, [first, second], "agent_1")) == ["s3cret-two"]
    assert values(borrower(acting, [first, second], "agent_2")) == ["s3cret-one"]


def test_a_scope_without_the_shell_keeps_a_variable_out_of_the_sandbox(acting: Acting) -> None:
    one = vault(acting)
    variable(acting, one, "s3cret-one", {"tools": ["web_fetch"]})
    assert values(borrower(acting, [one])) == []


def test_the_vaults_of_another_workspace_lend_nothing(acting: Acting) -> None:
    other = Acting(Workspace.objects.create(name="Other").pk, Role.ADMIN, "API key bob")
    theirs = vault(other)
    variable(other, theirs, "s3cret-theirs")
    assert values(borrower(acting, [theirs])) == []


def test_a_secret_whose_key_left_the_ring_is_a_sentence_and_not_a_failure(acting: Acting, settings: Any) -> None:
    one = vault(acting)
    row = variable(acting, one, "s3cret-one")
    settings.HOLDFAST_KEYS = tuple((f"other-{name}", key) for name, key in settings.HOLDFAST_KEYS)
    found, problems = lending.variables(borrower(acting, [one]))
    assert found == []
    assert len(problems) == 1
    assert row.pk in problems[0]


def test_a_server_is_found_by_its_normalised_address(acting: Acting) -> None:
    one = vault(acting)
    auth = {"type": "static_bearer", "mcp_server_url": URL, "token": "s3cret-bearer"}
    row = vaults.create_credential(one, {"auth": auth}, acting)
    who = borrower(acting, [one])
    assert lending.for_server(who, "HTTPS://MCP.example:443/sse/") == row
    assert lending.for_server(who, "https://mcp.example/other") is None
    Credential.objects.filter(pk=row.pk).update(scope={"tools": ["search"]})
    assert lending.for_server(who, URL, tool="delete") is None
    assert lending.for_server(who, URL, tool="search") == row


def test_a_use_is_recorded_once_and_never_changed(acting: Acting) -> None:
    use = Use("vlt_1", "vcrd_1", "egress", "api.example", "bash", "GET", "scope: any", "sevt_1")
    for _ in range(2):
        lending.note_uses(borrower(acting, []), "Coder", [use])
    (row,) = AccessRecord.objects.all()
    assert (row.by, row.session_id, row.tool, row.host, row.method) == ("Coder", "sesn_1", "bash", "api.example", "GET")
    with pytest.raises(TypeError):
        row.save()
    with pytest.raises(TypeError):
        row.delete()
