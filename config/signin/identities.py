"""People's identities at the provider of single sign-on: linked to accounts and unlinked, a way in always remains."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from agents import members
from agents.models import Membership, Workspace
from config.signin import groups
from config.signin.provider import PROVIDER_ID
from contract import audit
from contract.errors import Conflict
from contract.roles import Role
from contract.ways import SSO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest

WAITING = "identity_to_link"  # key in the cookie session
WAITING_SECONDS = 600
TAKEN = _("This identity is linked to another account here. Unlink it there first.")
LAST_WAY = _("This is your only way of signing in. Set a password or add another way first.")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An identity that the provider vouched for just now, and that waits for its owner's word."""

    uid: str
    claims: dict[str, Any]

    @property
    def name(self) -> str:
        return name_of(self.uid, self.claims)


@dataclass(frozen=True, slots=True)
class Change:
    """What a person's groups make of their role in a workspace; None is no role there."""

    workspace: str
    now: Role | None
    then: Role | None


def name_of(uid: str, claims: Mapping[str, Any]) -> str:
    """What the provider calls somebody, to be shown to them."""
    for part in ("userinfo", "id_token"):
        for claim in ("preferred_username", "email"):
            found = (claims.get(part) or {}).get(claim)
            if isinstance(found, str) and found:
                return found[:150]
    return uid


def wait(request: HttpRequest, account: Any) -> None:
    """Keep an identity in the session until its owner says that it is to be linked."""
    request.session[WAITING] = {"uid": account.uid, "claims": account.extra_data, "at": time.time()}


def waiting(request: HttpRequest) -> Waiting | None:
    """The identity that waits, for ten minutes."""
    kept = request.session.get(WAITING)
    if kept is None or time.time() - kept["at"] > WAITING_SECONDS:
        return None
    return Waiting(kept["uid"], kept["claims"])


def changes(user: Any, claims: Mapping[str, Any]) -> list[Change]:
    """What signing in by an identity with ``claims`` would change in a person's roles."""
    mine = _held(user)
    held = {pk: Role(one.role) for pk, one in mine.items()}
    found = groups.but_last_admins(mine, _roles(claims))
    names = Workspace.objects.in_bulk(found)
    return [Change(names[pk].name, held.get(pk), role) for pk, role in found.items() if held.get(pk) != role]


def given(account: Any) -> list[Membership]:
    """The memberships that the groups of a linked identity gave, as far as they hold what the groups say."""
    roles = _roles(account.extra_data)
    return [one for pk, one in _held(account.user).items() if roles.get(pk) == one.role]


@transaction.atomic
def link(user: Any, found: Waiting) -> None:
    """Let ``user`` sign in by the identity too. Raises ``Conflict`` if it is somebody else's."""
    account, made = SocialAccount.objects.get_or_create(
        provider=PROVIDER_ID, uid=found.uid, defaults={"user": user, "extra_data": found.claims}
    )
    if account.user_id != user.pk:
        raise Conflict(str(TAKEN))
    if made:
        audit.of_person(user, "person.identity_linked", {"by": SSO, "as": found.name})


@transaction.atomic
def unlink(account: Any) -> None:
    """Take an identity from its owner, and with it the roles that its groups gave.

    They are signed out where they lose one. Raises ``Conflict`` if they could not sign in any more, or if a
    workspace would lose its last admin.
    """
    user = lock(account.user_id)
    if not ways_in(user, without=account):
        raise Conflict(str(LAST_WAY))
    audit.of_person(user, "person.identity_unlinked", {"by": SSO, "as": name_of(account.uid, account.extra_data)})
    for member in given(account):
        members.check_not_last(member)
        members.follow_groups(user, member.workspace_id, None, member, user.get_username())
    account.delete()


def lock(user_id: int) -> Any:
    """The person, whose ways in change one after another until the transaction ends."""
    return get_user_model().objects.select_for_update().get(pk=user_id)


def ways_in(user: Any, *, without: Any) -> bool:
    """Whether ``user`` could still sign in without the identity or passkey ``without``."""
    if user.has_usable_password():
        return True
    gone = {type(without): without.pk}
    accounts = SocialAccount.objects.filter(user=user).exclude(pk=gone.get(SocialAccount))
    passkeys = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN)
    by_provider: bool = settings.HOLDFAST_SIGNING_IN.provider is not None and accounts.exists()
    return by_provider or passkeys.exclude(pk=gone.get(Authenticator)).exists()


def _held(user: Any) -> dict[str, Membership]:
    mine = Membership.objects.filter(user=user).select_related("workspace")
    return {one.workspace_id: one for one in mine}


def _roles(claims: Mapping[str, Any]) -> dict[str, Role | None]:
    provider = settings.HOLDFAST_SIGNING_IN.provider
    return groups.roles_of(groups.groups_of(claims, provider), provider.grants) if provider else {}
