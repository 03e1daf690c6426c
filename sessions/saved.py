"""Filters of the list of sessions under a name: a person's own, or those of an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from agents.models import Workspace
from contract.errors import Conflict, InvalidRequest, NotFound
from contract.roles import Permission
from sessions import filters
from sessions.models import SavedView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet

    from contract.acting import Acting

MOST = 50
LONGEST_NAME = 80


def mine(acting: Acting) -> QuerySet[SavedView]:
    """The caller's views by name."""
    acting.require(Permission.READ)
    return SavedView.objects.filter(**_owner(acting))


def find(view_id: str, acting: Acting) -> SavedView:
    found = mine(acting).filter(pk=view_id).first()
    if found is None:
        raise NotFound(f"You have no saved view {view_id}.")
    return found


def save(name: str, given: Mapping[str, Any], acting: Acting) -> SavedView:
    """Keep filters. Raises ``InvalidRequest`` for none, or too many views, ``Conflict`` for a name that is taken."""
    acting.require(Permission.READ)
    kept = filters.chosen(given)
    if not kept:
        raise InvalidRequest("filters: choose at least one filter to save a view")
    with transaction.atomic():
        Workspace.hold(acting.workspace_id)
        if mine(acting).count() >= MOST:
            raise InvalidRequest(f"You have {MOST} saved views, which is as many as can be kept. Delete one first.")
        return _stored(SavedView(name=_name(name), filters=kept, **_owner(acting)))


def rename(view_id: str, name: str, acting: Acting) -> SavedView:
    """Raises ``Conflict`` for a name that is taken."""
    view = find(view_id, acting)
    view.name = _name(name)
    return _stored(view)


def delete(view_id: str, acting: Acting) -> None:
    find(view_id, acting).delete()


def _stored(view: SavedView) -> SavedView:
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError:
        raise Conflict(f"name: you have a view called {view.name} already") from None
    return view


def _name(given: str) -> str:
    name = " ".join(given.replace("\x00", " ").split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidRequest(f"name: must have 1 to {LONGEST_NAME} characters")
    return name


def _owner(acting: Acting) -> dict[str, Any]:
    key = "" if acting.user_id else acting.api_key_id or ""
    return {"workspace_id": acting.workspace_id, "user_id": acting.user_id, "api_key_id": key}
