"""Changing the key that seals, while everything stays readable; and what to do about a key that is gone."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import models

from agents.models import Workspace
from contract.acting import Acting
from contract.errors import InvalidRequest
from contract.roles import Role
from contract.secret import Secret
from credentials import crypto, resealing, vaults
from credentials.connections import connection_for, keep_connection
from credentials.models import Credential, ModelConnection

OLD = ("old", Secret(base64.b64encode(b"o" * 32).decode()))
NEW = ("new", Secret(base64.b64encode(b"n" * 32).decode()))
BEARER = {"type": "static_bearer", "mcp_server_url": "https://mcp.example/", "token": "s3cret-bearer"}


@pytest.fixture
def acting(db: None) -> Acting:
    return Acting(Workspace.objects.create(name="W").pk, Role.ADMIN, "API key alice")


@pytest.fixture
def sealed(acting: Acting, settings: Any) -> Credential:
    """A credential and a model connection, sealed with the old key; the new one comes first now."""
    settings.HOLDFAST_KEYS = (OLD,)
    vault = vaults.create_vault({"display_name": "V"}, acting)
    row = vaults.create_credential(vault.pk, {"auth": BEARER}, acting)
    keep_connection(ModelConnection(workspace_id=acting.workspace_id), Secret("s3cret-model"))
    settings.HOLDFAST_KEYS = (NEW, OLD)
    return row


def test_everything_is_sealed_anew_and_the_old_key_can_go(sealed: Credential, acting: Acting, settings: Any) -> None:
    out = io.StringIO()
    call_command("reseal", stdout=out)
    settings.HOLDFAST_KEYS = (NEW,)
    row = Credential.objects.get(pk=sealed.pk)
    assert crypto.key_name(bytes(row.sealed)) == "new"
    assert vaults.secrets_of(row) == {"token": Secret("s3cret-bearer")}
    assert connection_for(acting.workspace_id).api_key == Secret("s3cret-model")
    assert "older keys may leave the ring" in out.getvalue()
    assert "s3cret" not in out.getvalue()
    assert sum(tally.resealed for tally in resealing.reseal()) == 0


def test_a_value_that_no_key_opens_is_named_and_the_others_are_done(sealed: Credential, settings: Any) -> None:
    Credential.objects.filter(pk=sealed.pk).update(sealed=crypto.seal(Secret("{}"), "another row"))
    ModelConnection.objects.update(sealed_key=b"")
    settings.HOLDFAST_KEYS = (("newest", NEW[1]), OLD)
    with pytest.raises(CommandError, match=sealed.pk):
        call_command("reseal", stdout=io.StringIO())


def test_every_binary_column_is_resealed() -> None:
    """A secret in a column of another name would stay behind under the old key."""
    columns = {
        (model, column.name)
        for model in apps.get_models()
        for column in model._meta.local_concrete_fields
        if isinstance(column, models.BinaryField)
    }
    assert columns == set(resealing.sealed_columns())


def test_a_credential_whose_key_is_gone_is_rotated_all_the_same(
    sealed: Credential, acting: Acting, settings: Any
) -> None:
    settings.HOLDFAST_KEYS = (NEW,)
    change = {"auth": {"type": "static_bearer", "token": "s3cret-new"}}
    vaults.update_credential(sealed.vault_id, sealed.pk, change, acting)
    assert vaults.secrets_of(Credential.objects.get(pk=sealed.pk)) == {"token": Secret("s3cret-new")}


def test_a_rotation_that_needs_what_is_lost_says_what_to_send(
    sealed: Credential, acting: Acting, settings: Any
) -> None:
    settings.HOLDFAST_KEYS = (NEW,)
    with pytest.raises(InvalidRequest, match=r"token must be sent too.*'old' is not in HOLDFAST_KEYS"):
        vaults.update_credential(sealed.vault_id, sealed.pk, {"auth": {"type": "static_bearer"}}, acting)
