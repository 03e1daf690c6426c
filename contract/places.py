"""The places of the control room: one table, read by the navigation, the palette and the jumps of the keyboard. Pure.

A place whose page isn't wired up (its URL name is unknown) is left out, so that nothing leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from contract.phrases import marked as _
from contract.roles import Permission


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the navigation. ``url`` is its URL name; ``key`` is pressed after ``g`` to go there.

    ``also`` is how the paths of its pages begin that do not begin with its own.
    """

    url: str
    label: str
    icon: str
    key: str
    permission: Permission = Permission.READ
    also: str = ""


GROUPS: dict[str, tuple[Place, ...]] = {
    _("Work"): (
        Place("sessions:overview", _("Overview"), "home", "o"),
        Place("sessions:approvals", _("Approvals"), "hand-raised", "p"),
        Place("sessions:list", _("Sessions"), "queue-list", "s", also="/replay/"),
    ),
    _("Set up"): (
        Place("agents:list", _("Agents"), "cpu-chip", "a"),
        Place("agents:environments", _("Environments"), "cube", "e"),
        Place("credentials:list", _("Credentials"), "lock-closed", "c", Permission.BUILD, also="/credentials/"),
        Place("agents:memory", _("Memory"), "circle-stack", "m"),
        Place("sessions:dreams", _("Dreams"), "moon", "r"),
        Place("agents:skills", _("Skills"), "academic-cap", "k"),
        Place("sessions:all_files", _("Files"), "folder", "f"),
        Place("sessions:schedules", _("Schedules"), "calendar-days", "d"),
        Place("sessions:webhooks", _("Webhooks"), "signal", "w", Permission.ADMINISTER),
    ),
    _("Installation"): (
        Place("sessions:usage", _("Usage"), "chart-bar", "u"),
        Place("sessions:limits", _("Limits"), "adjustments-horizontal", "x"),
        Place("sessions:system", _("System"), "server-stack", "y"),
        Place("credentials:audit", _("Audit"), "shield-check", "l"),
        Place("sessions:archives", _("Archives"), "archive-box", "z", Permission.ADMINISTER),
        Place("sessions:members", _("Members"), "users", "b", Permission.ADMINISTER),
        Place("credentials:keys", _("API keys"), "key", "i", Permission.ADMINISTER),
    ),
}

PLACES: tuple[Place, ...] = tuple(place for group in GROUPS.values() for place in group)
