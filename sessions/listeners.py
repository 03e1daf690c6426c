"""What follows from changes that are made below: see ``contract.happenings``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

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
    """Sessions that stopped at their agent's limits go on where a new version leaves them room."""
    from sessions import caps

    if happening.type == "agent.updated":
        transaction.on_commit(lambda: caps.resume_all(agent_id=happening.id))


def close_sockets(happening: Happening) -> None:
    """The pages of a person whose sign-in ended lose their sockets at once."""
    from agents.people import SIGNED_OUT
    from sessions import nudges

    if happening.type == SIGNED_OUT:
        nudges.publish_person(happening.id)
