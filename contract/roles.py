"""Roles inside a workspace and what each may do. One table, read by API, pages, sockets, admin."""

from __future__ import annotations

from enum import StrEnum

from contract.phrases import marked as _


class Permission(StrEnum):
    """A thing one may do to the objects of a workspace."""

    READ = "read"
    OPERATE = "operate"  # start, message, approve, interrupt, archive sessions; upload files
    BUILD = "build"  # create and change agents and environments
    ADMINISTER = "administer"  # keys, members, credentials, workspace settings


class Role(StrEnum):
    """A member's or a key's role; each includes the ones before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    DEVELOPER = "developer"
    ADMIN = "admin"


LABELS: dict[Role, str] = {
    Role.VIEWER: _("Viewer"),
    Role.OPERATOR: _("Operator"),
    Role.DEVELOPER: _("Developer"),
    Role.ADMIN: _("Admin"),
}

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.OPERATE}),
    Role.DEVELOPER: frozenset({Permission.READ, Permission.OPERATE, Permission.BUILD}),
    Role.ADMIN: frozenset(Permission),
}


def may(role: Role | str, permission: Permission) -> bool:
    """True if ``role`` includes ``permission``. An unknown role may do nothing."""
    try:
        return permission in GRANTS[Role(role)]
    except ValueError:
        return False
