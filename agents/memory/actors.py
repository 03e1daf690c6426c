"""Who wrote or redacted a memory version (spec advanced 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from contract.acting import Acting

ID_FIELDS = {
    "api": "api_key_id",
    "session": "session_id",
    "user": "user_id",
    "service_account": "service_account_id",
}


class Actor(NamedTuple):
    """``kind`` is a key of ``ID_FIELDS``; "" when nobody is known."""

    kind: str
    id: str


NOBODY = Actor("", "")


def of(acting: Acting) -> Actor:
    """The key of a request, or the person at a page."""
    if acting.session_id:
        return of_session(acting.session_id)
    if acting.api_key_id:
        return Actor("api", acting.api_key_id)
    return Actor("user", f"user_{acting.user_id}") if acting.user_id is not None else NOBODY


def of_session(session_id: str) -> Actor:
    """An agent that writes through its session's file system."""
    return Actor("session", session_id)


def shape(kind: str, actor_id: str) -> dict[str, str] | None:
    """The wire actor: ``{"type": "api_actor", "api_key_id": …}``, or None when nobody was recorded."""
    return {"type": f"{kind}_actor", ID_FIELDS[kind]: actor_id} if kind else None
