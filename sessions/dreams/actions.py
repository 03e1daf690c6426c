"""What makes, cancels and archives dreams (spec advanced 14). ``body`` is checked by ``contract.schema``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from agents import resolve
from agents.memory.stores import lock_store
from contract import audit
from contract.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from contract.roles import Permission
from credentials import key_scopes
from sessions.dreams import engine
from sessions.models import Dream, Session
from sessions.models.dreams import OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contract.acting import Acting

MAX_SESSIONS = 100
MAX_INSTRUCTIONS = 4_096


def find(dream_id: str, acting: Acting) -> Dream:
    rows = Dream.objects.select_related("session").filter(workspace_id=acting.workspace_id)
    return _found(rows.filter(pk=dream_id).first(), dream_id)


def lock(dream_id: str, acting: Acting) -> Dream:
    """A dream of the caller's workspace, held still until the transaction ends."""
    rows = Dream.objects.select_for_update(of=("self",)).select_related("session")
    return _found(rows.filter(pk=dream_id, workspace_id=acting.workspace_id).first(), dream_id)


def _found(dream: Dream | None, dream_id: str) -> Dream:
    if dream is None:
        raise NotFound(f"There is no dream {dream_id} in this workspace.")
    return dream


@audit.logged("dream.created", "agent_sessions.Dream")
def create(body: Mapping[str, Any], acting: Acting) -> Dream:
    """A pending dream, whose session has been tried without a trace, so that what can't run is refused now.

    Raises ``Conflict`` while another dream writes into the store that this one is to update.
    """
    acting.require(Permission.OPERATE)
    store_id, session_ids = _inputs(body["inputs"])
    dream = Dream(
        workspace_id=acting.workspace_id,
        store_id=store_id,
        session_ids=session_ids,
        model=_model(body["model"]),
        instructions=_instructions(body.get("instructions")),
        output_behavior=_behavior(body.get("output_behavior"), store_id, acting),
        created_by_id=acting.user_id,
        created_by_key=acting.api_key_id or "",
        created_at=timezone.now(),
    )
    with transaction.atomic():
        store = lock_store(store_id, acting, writing=False)
        if store.archived_at is not None:
            raise InvalidRequest(f"inputs: memory store {store_id} is archived and can't be dreamt of")
        _check_sessions(session_ids, acting)
        if dream.updates_existing:
            _check_free(store_id, acting)
        engine.rehearse(dream, acting)
        dream.save(force_insert=True)
        engine.drive_on_commit(dream.pk)
    return dream


@audit.logged("dream.canceled", "agent_sessions.Dream", "dream_id", always=True)
def cancel(dream_id: str, acting: Acting) -> Dream:
    """Stop a dream; what it has written stays. A second time changes nothing."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        dream = lock(dream_id, acting)
        if dream.status in OPEN:
            engine.finish(dream, "canceled")
        elif dream.status != "canceled":
            raise InvalidRequest(f"Dream {dream_id} is {dream.status} and can't be canceled.")
    return dream


@audit.logged("dream.archived", "agent_sessions.Dream", "dream_id")
def archive(dream_id: str, acting: Acting) -> Dream:
    """Take a dream that has ended out of the list; its store stays. A second time changes nothing."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        dream = lock(dream_id, acting)
        if dream.status in OPEN:
            raise InvalidRequest(f"Dream {dream_id} is {dream.status} and can't be archived; cancel it first.")
        if dream.archived_at is None:
            dream.archived_at = timezone.now()
            dream.save(update_fields=["archived_at"])
    return dream


def _inputs(sent: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """The store and the sorted sessions."""
    stores = [one["memory_store_id"] for one in sent if one["type"] == "memory_store"]
    sessions = [one["session_ids"] for one in sent if one["type"] == "sessions"]
    if len(stores) != 1 or len(sessions) != 1:
        raise InvalidRequest("inputs: must be exactly one memory_store and exactly one sessions entry")
    place = next(index for index, one in enumerate(sent) if one["type"] == "sessions")
    session_ids = list(sessions[0])
    if not 1 <= len(session_ids) <= MAX_SESSIONS:
        raise InvalidRequest(f"inputs.{place}.session_ids: must name 1 to {MAX_SESSIONS} sessions")
    if len(set(session_ids)) < len(session_ids):
        raise InvalidRequest(f"inputs.{place}.session_ids: must name each session once")
    return stores[0], sorted(session_ids)


def _model(sent: str | Mapping[str, Any]) -> dict[str, Any]:
    model = resolve.model(sent)
    if model["speed"] != "standard":
        raise InvalidRequest("model.speed: dreams run at standard speed only")
    return {"id": model["id"], "speed": "standard"}


def _instructions(sent: str | None) -> str | None:
    if sent is not None and not 1 <= len(sent) <= MAX_INSTRUCTIONS:
        raise InvalidRequest(f"instructions: must be 1 to {MAX_INSTRUCTIONS:,} characters long")
    return sent


def _behavior(sent: Mapping[str, Any] | None, store_id: str, acting: Acting) -> dict[str, Any]:
    if sent is None or sent["type"] == "create_new":
        return {"type": "create_new"}
    if sent["memory_store_id"] != store_id:
        raise InvalidRequest("output_behavior.memory_store_id: must be the memory store of inputs")
    if not key_scopes.permits(acting.scopes, "POST", "/v1/memory_stores"):
        raise PermissionDenied("output_behavior: this API key may not write memory stores")
    return {"type": "update_existing", "memory_store_id": store_id}


def _check_sessions(session_ids: Sequence[str], acting: Acting) -> None:
    rows = Session.objects.filter(pk__in=session_ids, workspace_id=acting.workspace_id)
    missing = set(session_ids) - set(rows.values_list("pk", flat=True))
    if missing:
        raise NotFound(f"There is no session {min(missing)} in this workspace.")


def _check_free(store_id: str, acting: Acting) -> None:
    others = Dream.objects.filter(workspace_id=acting.workspace_id, store_id=store_id, stopped=False)
    holder = others.filter(output_behavior__type="update_existing").first()
    if holder is not None:
        raise Conflict(
            f"Dream {holder.pk} is writing into memory store {store_id}; wait until it has stopped, or cancel it."
        )
