"""What the API lets people write down but this version can't carry out: refused here, never silently dropped.

One small entry for each. Whoever builds an engine deletes its entry, and nothing else changes. An entry of
``ENTRIES`` looks at what a session would need and returns the field and what is not supported, or None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


Refusal = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session would need: ``agent`` is its snapshot, ``environment`` the environment's config."""

    agent: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    vault_ids: Sequence[str] = ()
    resources: Sequence[Mapping[str, Any]] = ()


def execution_identity(wanted: Wanted) -> Refusal:
    other = wanted.agent["execution_identity"]["type"] != "service_account"
    return ("agent.execution_identity", "execution identities other than service_account are") if other else None


ENTRIES = (execution_identity,)


def check(wanted: Wanted) -> None:
    """Refuse a session, or a change of one, that this version could not run."""
    for entry in ENTRIES:
        refused = entry(wanted)
        if refused is not None:
            raise refuse(*refused)


def refuse(name: str, what: str) -> InvalidRequest:
    """The error that names one field; ``what`` reads on as "… not supported"."""
    return InvalidRequest(f"{name}: {what} not supported in sessions of this version of Holdfast")
