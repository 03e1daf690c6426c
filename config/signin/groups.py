"""A person's groups at the provider as roles in workspaces, weighed anew at each sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from agents import members
from agents.models import Membership, Workspace
from contract.roles import GRANTS, Role
from contract.ways import SSO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from config.signin.settings import Grant, Provider

AS = SSO  # who the audit log names


def groups_of(claims: Mapping[str, Any], provider: Provider) -> frozenset[str]:
    """The groups that the provider names, from the id token first, else from its user information.

    ``OIDC_GROUPS_CLAIM`` may be a path such as ``realm_access.roles``. No claim means no group.
    """
    for part in ("id_token", "userinfo"):
        found = _at(claims.get(part) or {}, provider.groups_claim)
        if isinstance(found, str):
            return frozenset({found})
        if isinstance(found, list):
            return frozenset(one for one in found if isinstance(one, str))
    return frozenset()


def _at(claims: Mapping[str, Any], path: str) -> Any:
    if path in claims:
        return claims[path]
    found: Any = claims
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def roles_of(groups: Iterable[str], grants: Iterable[Grant]) -> dict[str, Role | None]:
    """Workspace id → the strongest role that the groups give there; None where they give none.

    Workspaces that no grant names are left out: what was set up by hand stays.
    """
    given, found = frozenset(groups), dict[str, Role | None]()
    for grant in grants:
        named = Workspace.objects.filter(Q(pk=grant.workspace) | Q(name=grant.workspace)).first()
        if named is None:
            continue
        held = found.setdefault(named.pk, None)
        if grant.group in given and (held is None or GRANTS[grant.role] > GRANTS[held]):
            found[named.pk] = grant.role
    return found


@transaction.atomic
def apply(user: Any, roles: Mapping[str, Role | None]) -> None:
    """Make the person's memberships be ``roles``. Whoever loses one, or rights in one, is signed out everywhere."""
    list(Workspace.objects.select_for_update().filter(pk__in=roles).order_by("pk").values_list("pk"))
    held = {one.workspace_id: one for one in Membership.objects.filter(user=user)}
    for workspace_id, role in but_last_admins(held, roles).items():
        members.follow_groups(user, workspace_id, role, held.get(workspace_id), AS)


def but_last_admins(held: Mapping[str, Membership], roles: Mapping[str, Role | None]) -> dict[str, Role | None]:
    """``roles`` but for workspaces whose last admin holds ``held`` and where no group gives that role: another admin
    could never come by the provider. Where one does, the groups decide here too.
    """
    provider = settings.HOLDFAST_SIGNING_IN.provider
    grants = provider.grants if provider else ()
    most = roles_of((grant.group for grant in grants), grants)
    alone = {pk for pk, member in held.items() if most.get(pk) is not Role.ADMIN and members.is_last_admin(member)}
    return {pk: role for pk, role in roles.items() if pk not in alone}
