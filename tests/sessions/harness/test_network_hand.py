"""What a turn tells the egress proxy before its calls: they may be over before anybody looks after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.acting import Acting
from contract.roles import Role
from credentials import vaults
from sessions.harness import spec as specs
from sessions.harness.hands.base import Turn
from sessions.harness.hands.sandbox import SandboxHand
from sessions.harness.state import ThreadState
from sessions.models import Session
from tests.credentials.egress.rig import Rig
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db(transaction=True)

OPEN = {"type": "cloud", "networking": {"type": "unrestricted"}}
TOKEN = {
    "type": "environment_variable",
    "secret_name": "API_TOKEN",
    "secret_value": "s3cret-value",
    "networking": {"type": "limited", "allowed_hosts": ["api.example"]},
}


@pytest.fixture
def rig(settings: Any) -> Iterator[Rig]:
    made = Rig()
    settings.HOLDFAST_EGRESS_SOCKET = made.socket
    yield made
    made.stop()


@pytest.fixture
def hand(rig: Rig) -> SandboxHand:
    """Of a turn that has opened its sandbox, with a credential, and told the proxy."""
    session, thread = make_session()
    acting = Acting(session.workspace_id, Role.ADMIN, "root")
    vault = vaults.create_vault({"display_name": "V"}, acting)
    vaults.create_credential(vault.pk, {"auth": TOKEN, "display_name": "C"}, acting)
    Session.objects.filter(pk=session.pk).update(vault_ids=[vault.pk], sandbox_config=OPEN)
    session = Session.objects.select_related("environment").get(pk=session.pk)
    idle: Any = type("Lease", (), {"should_stop": staticmethod(lambda: False), "kept": None})()
    made = SandboxHand(Turn(specs.load(session, thread), ThreadState(thread.pk), idle))
    assert made._network is not None
    made._network.tell(session)
    made.is_open = True
    return made


def lent(rig: Rig, hand: SandboxHand) -> list[str]:
    return [held.name for held in rig.sessions.get(hand._session_id).holding("api.example")]


def test_a_proxy_that_forgot_a_session_is_told_again_before_the_next_call(rig: Rig, hand: SandboxHand) -> None:
    assert hand._network is not None
    rig.sessions.forget(hand._session_id)
    hand._network.collect()
    assert hand.open() == []
    assert lent(rig, hand) == ["API_TOKEN"]


def test_what_was_lent_for_a_minute_is_lent_again_before_a_call_after_it(rig: Rig, hand: SandboxHand) -> None:
    assert hand._network is not None
    rig.sessions.get(hand._session_id).lent_until = 0.0
    assert lent(rig, hand) == []
    hand._network._known.at -= 60.0
    assert hand.open() == []
    assert lent(rig, hand) == ["API_TOKEN"]
