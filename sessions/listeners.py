"""What follows from changes that are made below: see ``contract.happenings``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract import happenings

if TYPE_CHECKING:
    from contract.happenings import Happening


def follow_agents(happening: Happening) -> None:
    """An agent that is archived takes its deployments with it (spec advanced 13.4)."""
    from sessions.schedules import actions

    if happening.type == "agent.archived":
        actions.follow_agent(happening.id)


def tell_webhooks(happening: Happening) -> None:
    """Every endpoint that wants to hear of it gets a delivery (spec advanced 15)."""
    from sessions.webhooks import outbox

    outbox.note(happening)


def give_room(happening: Happening) -> None:
    """Sessions that stopped at limits of their agent or workspace go on where new ones leave them room."""
    from sessions import caps

    if happening.type == "agent.updated":
        caps.follow_agent(happening.id)
    elif happening.type == happenings.WORKSPACE_LIMITS:
        caps.follow_workspace(happening.id)


def close_sockets(happening: Happening) -> None:
    """The pages of a person whose sign-in ended lose their sockets at once."""
    from agents.people import SIGNED_OUT
    from sessions import nudges

    if happening.type == SIGNED_OUT:
        nudges.publish_person(happening.id)
