"""The places of the control room: one table, read by the navigation, the palette and the jumps of the keyboard. Pure.

A place whose page isn't wired up (its URL name is unknown) is left out, so that nothing leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from contract.roles import Permission


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the navigation. ``url`` is its URL name; ``key`` is pressed after ``g`` to go there."""

    url: str
    label: str
    icon: str
    key: str
    permission: Permission = Permission.READ


GROUPS: dict[str, tuple[Place, ...]] = {
    "Work": (
        Place("sessions:overview", "Overview", "home", "o"),
        Place("sessions:approvals", "Approvals", "hand-raised", "p"),
        Place("sessions:list", "Sessions", "queue-list", "s"),
    ),
    "Set up": (
        Place("agents:list", "Agents", "cpu-chip", "a"),
        Place("agents:environments", "Environments", "cube", "e"),
        Place("credentials:list", "Credentials", "lock-closed", "c", Permission.BUILD),
        Place("agents:memory", "Memory", "circle-stack", "m"),
        Place("sessions:dreams", "Dreams", "moon", "r"),
        Place("agents:skills", "Skills", "academic-cap", "k"),
        Place("sessions:all_files", "Files", "folder", "f"),
        Place("sessions:schedules", "Schedules", "calendar-days", "d"),
        Place("sessions:webhooks", "Webhooks", "signal", "w", Permission.ADMINISTER),
    ),
    "Installation": (
        Place("sessions:usage", "Usage", "chart-bar", "u"),
        Place("sessions:system", "System", "server-stack", "y"),
        Place("credentials:audit", "Audit", "shield-check", "l"),
        Place("sessions:archives", "Archives", "archive-box", "z", Permission.ADMINISTER),
        Place("sessions:members", "Members", "users", "b", Permission.ADMINISTER),
        Place("credentials:keys", "API keys", "key", "i", Permission.ADMINISTER),
    ),
}

PLACES: tuple[Place, ...] = tuple(place for group in GROUPS.values() for place in group)
