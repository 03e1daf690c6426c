"""What happened to an object of a workspace, told to those who must hear of it.

Actions below ``sessions`` can't call it; they ``tell``, and what listens (``sessions.apps``) is called at once and in
the same transaction: what a listener writes is there if the change is, and an error of it undoes the change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Happening:
    """One change, named as webhooks name it (spec advanced 15.2), such as ``agent.archived``.

    ``beside`` holds further ids that a webhook's data has, such as ``vault_id``.
    """

    type: str
    id: str
    workspace_id: str
    beside: Mapping[str, str] = field(default_factory=dict)


WORKSPACE_LIMITS = "workspace.limits_changed"
"""No webhook's: what bounds a workspace's sessions was changed, by an action or in the admin."""

_listeners: dict[str, Callable[[Happening], None]] = {}


def listen(name: str, listener: Callable[[Happening], None]) -> None:
    """Call ``listener`` at every change. A second registration under a name replaces the first."""
    _listeners[name] = listener


def tell(event_type: str, object_id: str, *, workspace_id: str, **beside: str) -> None:
    """Say what happened, inside the transaction that does it."""
    happening = Happening(event_type, object_id, workspace_id, beside)
    for listener in _listeners.values():
        listener(happening)
