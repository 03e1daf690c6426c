"""User profiles through the SDK alone, with its current client and with its beta client (spec advanced 19)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anthropic
import pytest

if TYPE_CHECKING:
    from anthropic.types import UserProfile

BORN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def profile(client: anthropic.Anthropic) -> UserProfile:
    details = {"reference_id": "row-1", "country": "DE", "onboarded_at": BORN}
    return client.user_profiles.create(name="Ada", external_user_details=details, metadata={"plan": "pro"})  # type: ignore[arg-type]


@pytest.mark.proves("user_profiles.create", "user_profiles.retrieve", "user_profiles.update")
@pytest.mark.proves("user_profiles.list", "user_profiles.delete")
def test_a_profile_lives_from_create_to_delete(client: anthropic.Anthropic, profile: UserProfile) -> None:
    profiles = client.user_profiles
    assert profiles.retrieve(profile.id) == profile
    assert (profile.external_user_details.onboarded_at, profile.enforcement_status) == (BORN, "unrestricted")
    updated = profiles.update(profile.id, access_type="passthrough", metadata={"plan": ""})
    assert (updated.access_type, updated.metadata, updated.name) == ("passthrough", {}, "Ada")
    assert profile.id in [one.id for one in profiles.list(limit=1, enforcement_status=["unrestricted", "banned"])]
    assert profile.id in [one.id for one in profiles.list(order_by="name", order="asc", limit=1)]
    assert profiles.delete(profile.id).type == "user_profile_deleted"
    with pytest.raises(anthropic.NotFoundError):
        profiles.retrieve(profile.id)


@pytest.mark.proves("beta.user_profiles.create", "beta.user_profiles.retrieve", "beta.user_profiles.update")
@pytest.mark.proves("beta.user_profiles.list", "beta.user_profiles.delete")
def test_the_beta_client_sees_and_writes_its_own_form(client: anthropic.Anthropic, profile: UserProfile) -> None:
    profiles = client.beta.user_profiles
    seen = profiles.retrieve(profile.id)
    assert (seen.external_id, seen.external_user_onboarded_at, seen.trust_grants) == ("row-1", BORN, {})
    assert profiles.update(profile.id, external_id="row-2").external_id == "row-2"
    assert client.user_profiles.retrieve(profile.id).external_user_details.reference_id == "row-2"
    newer = profiles.retrieve(profile.id, betas=["user-profiles-2026-09-04"])
    assert newer.external_user_details is not None
    made = profiles.create(external_id="row-3", external_user_onboarded_at=BORN, name="Bo")
    assert made.id in [one.id for one in profiles.list(limit=1)]
    assert profiles.delete(made.id).id == made.id


@pytest.mark.proves("beta.user_profiles.create_enrollment_url")
@pytest.mark.proves("user_profiles.action_urls.create", "beta.user_profiles.action_urls.create")
def test_there_is_nothing_to_enroll_in(client: anthropic.Anthropic, profile: UserProfile) -> None:
    with pytest.raises(anthropic.BadRequestError, match="programs"):
        client.beta.user_profiles.create_enrollment_url(profile.id)
    for profiles in (client.user_profiles, client.beta.user_profiles):
        with pytest.raises(anthropic.BadRequestError, match="programs"):
            profiles.action_urls.create(profile.id, action={"type": "enroll_end_user"})
