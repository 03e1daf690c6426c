"""The pages of a credential: made, scoped, changed, looked at before it is revoked; its secret never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credentials import lending, vaults
from credentials.lending import Borrower, Use
from credentials.models import Credential
from sessions.models import Session
from tests.web.forms import filled, no_rows

if TYPE_CHECKING:
    from tests.web.conftest import World

SECRET = "s3cret-typed-into-a-page"
FORM = {
    "kind": "environment_variable",
    "place": "OTHER_TOKEN",
    "secret": SECRET,
    "display_name": "Deploys",
    "allowed_hosts": "api.example.com, *.example.org",
    "tools": "bash",
    "methods": "get post",
    **no_rows("metadata"),
}


def test_a_variable_is_made_with_hosts_and_a_scope(world: World) -> None:
    response = world.alice.post(f"/vaults/{world.vault.pk}/new/", FORM, follow=True)
    made = Credential.objects.get(display_name="Deploys")
    assert made.auth["networking"]["allowed_hosts"] == ["api.example.com", "*.example.org"]
    assert made.auth["injection_location"] == {"header": True, "body": False}
    assert made.scope == {"tools": ["bash"], "methods": ["GET", "POST"]}
    shown = response.content.decode()
    assert "tools bash; methods GET, POST" in shown
    assert SECRET not in shown


def test_what_is_wrong_is_said_at_the_form_without_the_secret(world: World) -> None:
    response = world.alice.post(f"/vaults/{world.vault.pk}/new/", {**FORM, "place": "not a name"})
    assert response.status_code == 422
    shown = response.content.decode()
    assert "letters, digits and underscores" in response.context["form"].errors["place"][0]
    assert SECRET not in shown


def test_a_change_replaces_secret_and_scope(world: World) -> None:
    address = f"/credentials/{world.secret.pk}/edit/"
    form = filled(world.alice.get(address).content.decode())
    change = {"display_name": "Renamed", "secret": SECRET, "hosts": "api.example.com"}
    world.alice.post(address, form | change)
    row = Credential.objects.get(pk=world.secret.pk)
    assert (row.display_name, row.scope) == ("Renamed", {"hosts": ["api.example.com"]})
    assert vaults.secrets_of(row)["secret_value"].reveal() == SECRET
    assert row.auth == world.secret.auth
    world.alice.post(address, form | {"display_name": "Renamed", "allowed_hosts": "", "in_body": "on"})
    row.refresh_from_db()
    assert row.scope == {}
    assert row.auth["networking"] == {"type": "unrestricted"}
    assert row.auth["injection_location"] == {"header": True, "body": True}
    assert vaults.secrets_of(row)["secret_value"].reveal() == SECRET


def test_the_page_tells_what_would_break_and_what_it_was_used_for(world: World) -> None:
    Session.objects.filter(pk=world.session.pk).update(vault_ids=[world.vault.pk])
    borrower = Borrower(world.workspace.pk, [world.vault.pk], world.agent.pk, world.session.pk)
    use = Use(world.vault.pk, world.secret.pk, "egress", "api.example.com", "bash", "POST", "scope: any", "sevt_1")
    lending.note_uses(borrower, "Coder", [use])
    shown = world.alice.get(f"/credentials/{world.secret.pk}/").content.decode()
    assert "Tidy up" in shown
    assert "is left without one" in shown
    assert "POST api.example.com" in shown
    world.alice.post(f"/credentials/{world.secret.pk}/revoke/")
    after = world.alice.get(f"/credentials/{world.secret.pk}/").content.decode()
    assert "Revoked" in after
    assert "If it is revoked" not in after
    assert "s3cret-of-the-world" not in shown + after
