"""What changes user profiles, and how they look (spec advanced 19)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from agents.dialects import UNKNOWN_FIELD
from agents.models import UserProfile
from contract import audit, metadata
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission
from contract.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.dialects import Dialect
    from contract.acting import Acting

MAX_TEXT = 255
FUTURE = timedelta(minutes=1)
COUNTRY = re.compile("[A-Z]{2}")
COMPLETE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
DETAILS = ("account_status", "country", "email_hash", "entity_type", "name_hash", "onboarded_at", "reference_id")
LEGACY_DETAILS = {"external_id": "reference_id", "external_user_onboarded_at": "onboarded_at"}
ASCII_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})


def find_profile(profile_id: str, acting: Acting) -> UserProfile:
    return _found(UserProfile.objects.filter(pk=profile_id, workspace_id=acting.workspace_id).first(), profile_id)


@audit.logged("user_profile.created", "agents.UserProfile", bare=True)
def create_profile(body: Mapping[str, Any], acting: Acting, dialect: Dialect) -> UserProfile:
    """A profile of what was told; nothing is required."""
    acting.require(Permission.OPERATE)
    now = timezone.now()
    pairs = metadata.check(body.get("metadata") or {})
    for key, value in pairs.items():
        if not value:
            raise InvalidRequest(f"metadata.{key}: must not be empty", error_code="invalid_metadata")
    profile = UserProfile(
        workspace_id=acting.workspace_id,
        access_type=body.get("access_type") or "application",
        details=_details(body, dialect, now, may_be_null=True),
        metadata=pairs,
        created_at=now,
        updated_at=now,
    )
    _rename(profile, body.get("name"))
    profile.save(force_insert=True)
    return profile


@transaction.atomic
@audit.logged("user_profile.updated", "agents.UserProfile", "profile_id", bare=True)
def update_profile(profile_id: str, body: Mapping[str, Any], acting: Acting, dialect: Dialect) -> UserProfile:
    """Change what was sent. What the platform once stated of a person can be replaced, not cleared."""
    acting.require(Permission.OPERATE)
    profile = _lock(profile_id, acting)
    now = timezone.now()
    if "name" in body:
        _rename(profile, body["name"])
    profile.access_type = body.get("access_type") or profile.access_type
    profile.details = {**profile.details, **_details(body, dialect, now, may_be_null=False)}
    profile.metadata = metadata.merge(profile.metadata, body.get("metadata"), empty_deletes=True)
    profile.updated_at = now
    profile.save()
    return profile


@transaction.atomic
@audit.logged("user_profile.deleted", "agents.UserProfile", "profile_id", bare=True)
def delete_profile(profile_id: str, acting: Acting) -> None:
    acting.require(Permission.OPERATE)
    _lock(profile_id, acting).delete()


def profile_shape(profile: UserProfile, dialect: Dialect) -> dict[str, Any]:
    """The profile in the caller's dialect. This installation enforces nothing and runs no programs."""
    stated = {name: profile.details.get(name) for name in DETAILS}
    shape: dict[str, Any] = {
        "id": profile.pk,
        "type": "user_profile",
        "name": profile.name,
        "metadata": profile.metadata,
        "created_at": timestamp(profile.created_at),
        "updated_at": timestamp(profile.updated_at),
    }
    if dialect.access_type:
        shape["access_type"] = profile.access_type
    if dialect.details:
        shape["external_user_details"] = stated
    else:
        shape |= {old: stated[new] for old, new in LEGACY_DETAILS.items() if dialect.takes(old)}
    if dialect.programs:
        programs = {"cyber": None, "efs": None}
        return {**shape, "enforcement_status": "unrestricted", "enforcement_actions": [], "programs": programs}
    return {**shape, "trust_grants": {}}


def _lock(profile_id: str, acting: Acting) -> UserProfile:
    rows = UserProfile.objects.select_for_update()
    return _found(rows.filter(pk=profile_id, workspace_id=acting.workspace_id).first(), profile_id)


def _found(profile: UserProfile | None, profile_id: str) -> UserProfile:
    if profile is None:
        raise NotFound(f"There is no user profile {profile_id} in this workspace.")
    return profile


def _rename(profile: UserProfile, name: str | None) -> None:
    """An empty name is none."""
    if name is not None and len(name) > MAX_TEXT:
        raise InvalidRequest(f"name: must be at most {MAX_TEXT} characters long")
    profile.name = name or None
    profile.name_key = profile.name and profile.name.translate(ASCII_LOWER)


def _details(body: Mapping[str, Any], dialect: Dialect, now: datetime, *, may_be_null: bool) -> dict[str, str]:
    """What was stated, by the names of ``external_user_details``, whichever dialect it came in."""
    for field in ("external_user_details", *LEGACY_DETAILS):
        if field in body and not dialect.takes(field):
            raise InvalidRequest(f"{field}: {UNKNOWN_FIELD}")
    sent = {f"external_user_details.{name}": value for name, value in (body.get("external_user_details") or {}).items()}
    sent |= {old: body[old] for old in LEGACY_DETAILS if old in body}
    found = {}
    for field, value in sent.items():
        if value is not None:
            found[LEGACY_DETAILS.get(field) or field.rpartition(".")[2]] = _stated(field, value, now)
        elif not may_be_null:
            raise InvalidRequest(f"{field}: can be replaced, but not cleared")
    return found


def _stated(field: str, value: str, now: datetime) -> str:
    name = LEGACY_DETAILS.get(field) or field.rpartition(".")[2]
    if name == "onboarded_at":
        return _moment(field, value, now)
    if name == "country" and not COUNTRY.fullmatch(value):
        raise InvalidRequest(f"{field}: must be two upper-case letters, such as US")
    if not 1 <= len(value) <= MAX_TEXT:
        raise InvalidRequest(f"{field}: must be 1 to {MAX_TEXT} characters long")
    return value


def _moment(field: str, value: str, now: datetime) -> str:
    """The time in UTC as the API shows it."""
    try:
        moment = datetime.fromisoformat(value.upper()) if COMPLETE_TIME.fullmatch(value) else None
        moment = moment and moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise InvalidRequest(f"{field}: must be a complete RFC 3339 time such as 2026-01-31T12:00:00Z")
    if moment > now + FUTURE:
        raise InvalidRequest(f"{field}: must not lie in the future")
    return timestamp(moment)
