"""What sessions used, a quarter of an hour at a time: written with the events that used it."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sessions import events as ev
from sessions.projections.columns import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sessions.models import Event

MINUTES = 15
COUNTED = (
    *("requests", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"),
    *("cost", "unpriced"),
)
ADD = f"""
INSERT INTO agent_sessions_usageslice AS old
  (workspace_id, agent_id, session_id, user_id, api_key_id, at, model, {", ".join(COUNTED)})
SELECT workspace_id, agent_id, id, created_by_id, created_by_key, %s::timestamptz, %s,
  {", ".join("%s::numeric" if name == "cost" else "%s::bigint" for name in COUNTED)}
FROM agent_sessions_session WHERE {{still}} AND id = %s
ON CONFLICT (session_id, at, model) DO UPDATE
SET {", ".join(f"{name} = old.{name} + excluded.{name}" for name in COUNTED)}
"""  # noqa: S608  the names above


def additions(session_id: str, stored: Sequence[Event]) -> list[tuple[str, list[Any]]]:
    """Statements that count what these entries used. Rows are the session's own: no other session waits for them."""
    sums: dict[tuple[datetime, str], list[Any]] = defaultdict(lambda: [0] * len(COUNTED))
    for event in stored:
        private = event.private
        if event.type not in ev.SPENDING or not private or "usage" not in private:
            continue
        key = (quarter(event.created_at), str(private.get("model") or ""))
        sums[key] = [one + more for one, more in zip(sums[key], _counted(private), strict=True)]
    return [(ADD, [at, model, *counted, session_id]) for (at, model), counted in sorted(sums.items())]


def quarter(moment: datetime) -> datetime:
    """The beginning of the quarter of an hour that a moment is in."""
    return moment.replace(minute=moment.minute - moment.minute % MINUTES, second=0, microsecond=0)


def _counted(private: dict[str, Any]) -> list[Any]:
    used = Usage.load(private["usage"])
    cost = private.get("cost")
    return [
        used.model_requests,
        used.input_tokens,
        used.cache_read_input_tokens,
        used.cache_creation_5m + used.cache_creation_1h,
        used.output_tokens,
        Decimal(cost) if cost is not None else Decimal(0),
        int(cost is None),
    ]
