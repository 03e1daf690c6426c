"""Dreams as the API shows them (spec advanced 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.times import timestamp, timestamp_or_none
from sessions.projections.columns import Usage

if TYPE_CHECKING:
    from sessions.models import Dream


def dream_shape(dream: Dream) -> dict[str, Any]:
    outputs = [{"type": "memory_store", "memory_store_id": dream.output_store_id}] if dream.output_store_id else []
    return {
        "id": dream.pk,
        "type": "dream",
        "status": dream.status,
        "inputs": [
            {"type": "memory_store", "memory_store_id": dream.store_id},
            {"type": "sessions", "session_ids": dream.session_ids},
        ],
        "outputs": outputs,
        "model": dream.model,
        "instructions": dream.instructions,
        "output_behavior": dream.output_behavior,
        "session_id": dream.session_id,
        "usage": _tokens(used(dream)),
        "error": dream.error,
        "created_at": timestamp(dream.created_at),
        "ended_at": timestamp_or_none(dream.ended_at),
        "archived_at": timestamp_or_none(dream.archived_at),
    }


def used(dream: Dream) -> Usage:
    """What the dream has used so far: its session's figures as long as it may run."""
    live = dream.session is not None and not dream.stopped
    return Usage.load((dream.session.usage if live and dream.session else dream.usage) or {})


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_creation_input_tokens": usage.cache_creation_5m + usage.cache_creation_1h,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
    }
