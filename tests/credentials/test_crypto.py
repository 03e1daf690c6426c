from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Workspace
from contract.secret import Secret
from credentials import crypto
from credentials.connections import connection_for, keep_connection
from credentials.models import ModelConnection

OLD = ("old", Secret(base64.b64encode(b"o" * 32).decode()))
NEW = ("new", Secret(base64.b64encode(b"n" * 32).decode()))


@given(text=st.text(), owner=st.text(min_size=1))
def test_what_was_sealed_is_opened_again(text: str, owner: str) -> None:
    assert crypto.unseal(crypto.seal(Secret(text), owner), owner) == Secret(text)


def test_a_sealed_value_does_not_open_for_another_row() -> None:
    sealed = crypto.seal(Secret("token"), "row_1")
    with pytest.raises(crypto.CannotOpen, match="changed or moved"):
        crypto.unseal(sealed, "row_2")


def test_a_changed_value_does_not_open() -> None:
    sealed = bytearray(crypto.seal(Secret("token"), "row_1"))
    sealed[-1] ^= 1
    with pytest.raises(crypto.CannotOpen, match="changed or moved"):
        crypto.unseal(bytes(sealed), "row_1")


def test_the_first_key_seals_and_every_key_of_the_ring_opens(settings: Any) -> None:
    settings.HOLDFAST_KEYS = (OLD,)
    sealed = crypto.seal(Secret("token"), "row_1")
    settings.HOLDFAST_KEYS = (NEW, OLD)
    assert crypto.unseal(sealed, "row_1") == Secret("token")
    assert crypto.key_name(crypto.seal(Secret("x"), "row_1")) == "new"
    settings.HOLDFAST_KEYS = (NEW,)
    with pytest.raises(crypto.CannotOpen, match="'old' is not in HOLDFAST_KEYS"):
        crypto.unseal(sealed, "row_1")


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("very-secret-token")
    assert "very-secret-token" not in f"{secret} {secret!r} {[secret]}"


@pytest.mark.django_db
def test_a_workspace_uses_its_own_connection_and_stores_no_plain_key() -> None:
    workspace = Workspace.objects.create(name="Own")
    assert connection_for(workspace.id).base_url == ""
    row = ModelConnection(workspace=workspace, base_url="http://127.0.0.1:9999")
    keep_connection(row, Secret("sk-very-secret"))
    found = connection_for(workspace.id)
    assert (found.base_url, found.api_key) == ("http://127.0.0.1:9999", Secret("sk-very-secret"))
    stored = ModelConnection.objects.get()
    assert b"very-secret" not in bytes(stored.sealed_key)
    assert stored.hint == "cret"
    keep_connection(stored, None)
    assert connection_for(workspace.id).api_key == Secret("sk-very-secret")
