"""Agents that are defined by another agent and not saved (spec advanced 7.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessions import teams
from sessions.harness.hands import skills
from sessions.threads import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping


def inline_definition(snapshot: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """An agent that is not saved, as its maker described it. Raises ``Refused``."""
    shown = {skill.name: version for version, skill in skills.mounted(snapshot).items()}
    wanted = given.get("skills")
    unknown = [one for one in wanted or () if one not in shown]
    if unknown:
        raise Refused(f"You have no skill named {unknown[0]!r}.")
    versions = None if wanted is None else {shown[one] for one in wanted}
    try:
        return teams.inline_agent(snapshot, name, given["system"], given.get("tools"), versions)
    except ValueError as error:
        raise Refused(str(error)) from None
