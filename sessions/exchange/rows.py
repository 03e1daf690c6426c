"""Which rows a workspace consists of, and a row as JSON and back.

Ids stay as they are, so that every reference, also those inside of logs, still means the same. What is secret stays
behind: sealed values are left empty, people, keys, leases and endpoints of this installation aren't part of it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.postgres.search import SearchVectorField
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from agents.models import (
    Agent,
    AgentVersion,
    Environment,
    Memory,
    MemoryStore,
    MemoryVersion,
    Skill,
    SkillVersion,
    UserProfile,
    Workspace,
)
from contract.errors import InvalidRequest
from credentials.models import Credential, Vault
from sessions.models import (
    Approval,
    Deployment,
    DeploymentRun,
    Dream,
    DreamKit,
    Event,
    File,
    Resource,
    Session,
    Thread,
    WorkflowRun,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SEALED = ("sealed", "sealed_tokens", "sealed_key", "sealed_secret")


@dataclass(frozen=True, slots=True)
class Part:
    """One table. ``of`` leads from a row to its workspace; ``blobs`` name columns with digests.

    ``reset`` gives columns the values they start with elsewhere.
    """

    model: type[models.Model]
    of: str
    blobs: tuple[str, ...] = ()
    reset: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.model.__name__


PARTS = (
    Part(Agent, "workspace"),
    Part(AgentVersion, "agent__workspace"),
    Part(Environment, "workspace"),
    Part(Skill, "workspace"),
    Part(SkillVersion, "skill__workspace", ("digest",)),
    Part(MemoryStore, "workspace"),
    Part(MemoryVersion, "store__workspace"),
    Part(Memory, "store__workspace"),
    Part(UserProfile, "workspace"),
    Part(Vault, "workspace"),
    Part(Credential, "vault__workspace"),
    Part(Deployment, "workspace", reset={"fire_at": None, "next_run_at": None}),
    Part(DeploymentRun, "deployment__workspace"),
    Part(Session, "workspace", ("snapshot",)),
    Part(Thread, "session__workspace", reset={"lease_owner": "", "lease_expires": None}),
    Part(WorkflowRun, "session__workspace"),
    Part(Event, "session__workspace"),
    Part(File, "workspace", ("digest",)),
    Part(Resource, "session__workspace"),
    Part(Approval, "session__workspace"),
    Part(DreamKit, "workspace"),
    Part(Dream, "workspace"),
)
BY_NAME = {part.name: part for part in PARTS}
OF = {part.model: part.of for part in PARTS}
# Columns that name rows without a foreign key.
NAMED: dict[str, type[models.Model]] = {
    "environment_id": Environment,
    "output_store_id": MemoryStore,
    "store_id": MemoryStore,
    "vault_ids": Vault,
}


def columns(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """The columns that travel: all but generated numbers, and words that are made anew."""
    return [one for one in model._meta.concrete_fields if not isinstance(one, models.AutoField | SearchVectorField)]


def read(part: Part, workspace: Workspace) -> Iterator[models.Model]:
    """A workspace's rows of one table, in an order that stays."""
    rows = part.model._base_manager.filter(**{part.of: workspace}).only(*(one.name for one in columns(part.model)))
    yield from rows.order_by(part.model._meta.pk.name).iterator(chunk_size=500)


def dump(part: Part, row: models.Model) -> dict[str, Any]:
    """A row as JSON."""
    return {one.attname: _out(one, getattr(row, one.attname)) for one in columns(part.model)}


def _out(column: models.Field[Any, Any], value: Any) -> Any:
    if column.name in SEALED:
        return None
    if _to(column) is get_user_model():
        return None
    if isinstance(column, models.BinaryField):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(column, models.JSONField) or value is None or isinstance(value, bool | int | float):
        return value
    return _text(value)


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _to(column: models.Field[Any, Any]) -> type[models.Model] | None:
    return column.related_model if isinstance(column, models.ForeignKey) else None


def load(part: Part, found: Any, workspace: Workspace) -> models.Model:
    """A row from JSON, in ``workspace``. Raises ``InvalidRequest`` for one that this version doesn't know."""
    known = {one.attname: one for one in columns(part.model)}
    if not isinstance(found, dict) or found.keys() != known.keys():
        raise InvalidRequest(f"The archive has a {part.name} whose fields this version doesn't know.")
    row = part.model()
    for name, column in known.items():
        setattr(row, name, _in(part, column, found[name]))
    if "workspace_id" in known:
        row.workspace_id = workspace.pk  # type: ignore[attr-defined]
    for name, value in part.reset.items():
        setattr(row, name, value)
    if isinstance(row, Credential) and row.archived_at is None:
        row.archived_at = timezone.now()  # its secret stayed behind; the slot is free for it
    if isinstance(row, Deployment) and row.expression and not row.paused_reason and row.archived_at is None:
        row.paused_reason = {"type": "manual"}  # a copy must not begin to start sessions by itself
    if isinstance(row, Dream) and not row.stopped:
        row.status, row.stopped = (row.status if row.ended_at else "canceled"), True  # nothing of it runs here
        row.ended_at = row.ended_at or timezone.now()
    return row


def check_own(part: Part, made: Sequence[models.Model], workspace: Workspace) -> None:
    """Raise ``InvalidRequest`` if one of these rows hangs on something that belongs to another workspace here.

    Whoever knows the passphrase can sign whatever they like; ids of others must give them nothing.
    """
    for column in columns(part.model):
        target = _to(column) or NAMED.get(column.name)
        if target not in OF:
            continue
        values = [getattr(row, column.attname) for row in made]
        named = {
            one for value in values for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)
        }
        if target._base_manager.filter(pk__in=named).exclude(**{OF[target]: workspace}).exists():
            raise InvalidRequest(f"The archive has a {part.name} whose {column.name} belongs to another workspace.")


def _in(part: Part, column: models.Field[Any, Any], value: Any) -> Any:
    if column.name in SEALED:
        return b""
    if value is None:
        if not column.null:
            raise InvalidRequest(f"The archive has a {part.name} without {column.name}.")
        return None
    if isinstance(column, models.JSONField):
        return value
    try:
        if isinstance(column, models.BinaryField):
            return base64.b64decode(value, validate=True)
        made = column.to_python(value)
        column.run_validators(made)
    except (ValidationError, ValueError, TypeError):
        raise InvalidRequest(f"The archive has a {part.name} whose {column.name} can't be read.") from None
    return made
