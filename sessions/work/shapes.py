"""Work items and environment keys as the API shows them (spec advanced 16.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.times import timestamp, timestamp_or_none

if TYPE_CHECKING:
    from sessions.models import EnvironmentKey, Work


def work_shape(work: Work, secret: str | None = None) -> dict[str, Any]:
    """``secret`` is there in a poll's answer alone."""
    return {
        "id": work.pk,
        "type": "work",
        "environment_id": work.environment_id,
        "data": {"type": "session", "id": work.session_id},
        "state": work.state,
        "secret": secret,
        "metadata": work.metadata,
        "created_at": timestamp(work.created_at),
        "acknowledged_at": timestamp_or_none(work.acknowledged_at),
        "started_at": timestamp_or_none(work.started_at),
        "latest_heartbeat_at": work.latest_heartbeat or None,
        "stop_requested_at": timestamp_or_none(work.stop_requested_at),
        "stopped_at": timestamp_or_none(work.stopped_at),
    }


def key_shape(key: EnvironmentKey) -> dict[str, Any]:
    return {
        "id": key.pk,
        "type": "environment_key",
        "environment_id": key.environment_id,
        "name": key.name,
        "hint": key.hint,
        "created_at": timestamp(key.created_at),
        "expires_at": timestamp_or_none(key.expires_at),
        "revoked_at": timestamp_or_none(key.revoked_at),
        "last_used_at": timestamp_or_none(key.last_used_at),
    }
