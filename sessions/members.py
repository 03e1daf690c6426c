"""Members together with the API keys they made: shown side by side, and taken away side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agents import members
from contract.roles import Permission
from contract.times import timestamp, timestamp_or_none
from credentials.actions import revoke_api_key
from credentials.models import ApiKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents.models import Membership
    from contract.acting import Acting


@dataclass(frozen=True, slots=True)
class Row:
    """A member and their keys of this workspace that work."""

    member: Membership
    keys: list[ApiKey]


def rows(found: Sequence[Membership], acting: Acting) -> list[Row]:
    """One query for the keys of all of them."""
    alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    mine: dict[int, list[ApiKey]] = {}
    people = [member.user_id for member in found]
    for key in ApiKey.objects.filter(
        alive, workspace_id=acting.workspace_id, created_by__in=people, revoked_at=None
    ).order_by("created_at"):
        mine.setdefault(cast("int", key.created_by_id), []).append(key)
    return [Row(member, mine.get(member.user_id, [])) for member in found]


def row(member_id: str, acting: Acting) -> Row:
    """One member with their keys. Raises ``NotFound``."""
    return rows([members.find(member_id, acting)], acting)[0]


@transaction.atomic
def remove(member_id: str, key_ids: Iterable[str], acting: Acting) -> Row:
    """Remove a member and revoke those of their keys that are named, together or not at all."""
    acting.require(Permission.ADMINISTER)
    found = row(member_id, acting)
    wanted = set(key_ids)
    members.remove(member_id, acting)
    for key in found.keys:
        if key.pk in wanted:
            revoke_api_key(key.pk, acting=acting)
    return Row(found.member, [key for key in found.keys if key.pk not in wanted])


def shape(found: Row) -> dict[str, Any]:
    """A member as our API shows it."""
    member, user = found.member, cast("Any", found.member.user)
    return {
        "id": str(member.pk),
        "type": "member",
        "user_id": member.user_id,
        "username": user.get_username(),
        "email": user.email or None,
        "role": member.role,
        "is_active": user.is_active,
        "has_second_factor": member.second_factor,  # type: ignore[attr-defined]  # annotated by agents.members
        "signs_in_at_provider": member.by_provider,  # type: ignore[attr-defined]
        "created_at": timestamp(member.created_at),
        "last_signed_in_at": timestamp_or_none(user.last_login),
        "api_keys": [{"id": key.pk, "name": key.name, "hint": key.hint} for key in found.keys],
    }
