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

NOTHING: Mapping[str, Any] = {}

Refusal = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session would need: ``agent`` is its snapshot, ``environment`` the environment's config."""

    agent: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    vault_ids: Sequence[str] = ()
    resources: Sequence[Mapping[str, Any]] = ()


def skills(wanted: Wanted) -> Refusal:
    return ("agent.skills", "skills are") if wanted.agent["skills"] else None


def multiagent(wanted: Wanted) -> Refusal:
    return ("agent.multiagent", "agents with a multiagent are") if wanted.agent["multiagent"] else None


def execution_identity(wanted: Wanted) -> Refusal:
    other = wanted.agent["execution_identity"]["type"] != "service_account"
    return ("agent.execution_identity", "execution identities other than service_account are") if other else None


def memory_stores(wanted: Wanted) -> Refusal:
    return _resource(wanted, "memory_store")


def _resource(wanted: Wanted, kind: str) -> Refusal:
    for index, one in enumerate(wanted.resources):
        if one["type"] == kind:
            return f"resources.{index}", f"{kind} resources are"
    return None


ENTRIES = (
    skills,
    multiagent,
    execution_identity,
    memory_stores,
)
EVENTS = {"user.define_outcome": "outcomes are"}


def check(wanted: Wanted) -> None:
    """Refuse a session, or a change of one, that this version could not run."""
    for entry in ENTRIES:
        refused = entry(wanted)
        if refused is not None:
            raise refuse(*refused)


def check_event(where: str, event_type: str) -> None:
    """Refuse an event that nothing would act on."""
    if event_type in EVENTS:
        raise refuse(f"{where}.type", EVENTS[event_type])


def refuse(name: str, what: str) -> InvalidRequest:
    """The error that names one field; ``what`` reads on as "… not supported"."""
    return InvalidRequest(f"{name}: {what} not supported in sessions of this version of Holdfast")
