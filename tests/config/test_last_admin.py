"""Groups of single sign-on and the last admin of a workspace."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model

from agents.models import Membership, Workspace
from config.readers import Reader
from config.signin import groups
from config.signin import settings as signing_in
from contract.roles import Role
from tests.config.test_single_signon import OURS, roles


@pytest.mark.django_db
def test_groups_do_not_take_the_last_admin_of_a_workspace_in_which_no_group_gives_another(settings: Any) -> None:
    given = {**OURS, "OIDC_ISSUER": "http://127.0.0.1:1", "OIDC_GROUPS": "team=Ours:operator"}
    settings.HOLDFAST_SIGNING_IN = signing_in.read(Reader(given))
    ours = Workspace.objects.create(name="Ours")
    bea, cara = (get_user_model().objects.create_user(name) for name in ("bea", "cara"))
    Membership.objects.create(workspace=ours, user=bea, role=Role.ADMIN.value)
    groups.apply(bea, {ours.pk: Role.OPERATOR})
    assert roles("bea") == {"Ours": "admin"}
    Membership.objects.create(workspace=ours, user=cara, role=Role.ADMIN.value)
    groups.apply(bea, {ours.pk: Role.OPERATOR})
    assert roles("bea") == {"Ours": "operator"}
