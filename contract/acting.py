"""Who does a thing: the one value that every action takes, whichever door the request came by."""

from __future__ import annotations

from dataclasses import dataclass

from contract.errors import PermissionDenied
from contract.roles import Permission, Role, may


@dataclass(frozen=True, slots=True)
class Acting:
    """A person or a key acting in one workspace. ``label`` is what the log and pages show."""

    workspace_id: str
    role: Role
    label: str
    user_id: int | None = None
    api_key_id: str | None = None
    scopes: tuple[str, ...] = ()  # of an API key: credentials.key_scopes; none limit nothing
    # Outside workers only (spec advanced 16.2): their environment's key, or the work item whose token they hold.
    environment_key_id: str | None = None
    work_id: str | None = None
    session_id: str | None = None
    token_digest: str = ""

    @property
    def is_worker(self) -> bool:
        """Whether it is an outside worker, by its environment's key or an item's token."""
        return self.environment_key_id is not None or self.work_id is not None

    def require(self, permission: Permission) -> None:
        """Raise ``PermissionDenied`` unless the role includes ``permission``."""
        if not may(self.role, permission):
            raise PermissionDenied(
                f"This needs the permission to {permission.value}; the role {self.role.value} doesn't include it."
            )
