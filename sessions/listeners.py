"""What follows from changes that are made below: see ``contract.happenings``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contract.happenings import Happening


def follow_agents(happening: Happening) -> None:
    """An agent that is archived takes its deployments with it (spec advanced 13.4)."""
    from sessions.schedules import actions

    if happening.type == "agent.archived":
        actions.follow_agent(happening.id)
