"""What is written out of the database leaves piece by piece: nothing is read that nobody is there for yet."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler
from django.http import StreamingHttpResponse
from django.utils import timezone

from contract.pieces import CHUNK, Written
from contract.roles import Role
from credentials import audit_views
from credentials.actions import create_api_key
from credentials.models import AuditRecord
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.models import Session
from tests.streamed import whole
from tests.web.conftest import World, first_day, own_blobs, text, world

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["first_day", "own_blobs", "world"]  # fixtures
LINES = 200_000
LINE = "x" * 99 + "\n"


async def _first(response: Any) -> bytes:
    async for piece in response:
        return bytes(piece)
    return b""


def first(response: Any) -> bytes:
    return async_to_sync(_first)(response)


def test_a_server_sends_two_hundred_thousand_lines_without_ever_holding_more_than_a_piece() -> None:
    pulled = sent = most = 0

    def lines() -> Iterator[str]:
        nonlocal pulled
        for _ in range(LINES):
            pulled += 1
            yield LINE

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal sent, most
        if message.get("body"):
            most = max(most, pulled * len(LINE) - sent)
            sent += len(message["body"])
            await asyncio.sleep(0)

    response = StreamingHttpResponse(Written(lines()))
    assert response.is_async
    async_to_sync(ASGIHandler().send_response)(response, send)
    assert sent == LINES * len(LINE)
    assert most <= CHUNK + len(LINE)


@pytest.mark.parametrize("path", ["/audit/export/", "/audit/export/?format=json", "/v1/x/audit/export"])
def test_an_export_of_the_audit_log_has_read_one_batch_when_its_first_piece_leaves(
    world: World, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = {"name": "y" * 1_000}
    workspace = world.workspace.pk
    AuditRecord.objects.bulk_create(
        AuditRecord(workspace_id=workspace, at=timezone.now(), actor="a", action="b.c", kind="k", after=filler)
        for _ in range(4 * audit_views.CHUNK)
    )
    read = 0
    latest = audit_views._latest

    def counted(rows: Any) -> Iterator[AuditRecord]:
        nonlocal read
        for row in latest(rows):
            read += 1
            yield row

    monkeypatch.setattr(audit_views, "_latest", counted)
    key = {"x-api-key": create_api_key(world.acting, name="robot", role=Role.ADMIN)[1]} if "v1" in path else {}
    response = world.alice.get(path, headers=key)
    assert read == 0
    assert CHUNK <= len(first(response)) < CHUNK + 4_000
    assert 0 < read <= audit_views.CHUNK
    assert len(whole(world.alice.get(path, headers=key)).splitlines()) > 4 * audit_views.CHUNK


def test_an_export_of_a_session_has_read_one_batch_when_its_first_piece_leaves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        world.append(*(Draft(ev.USER_MESSAGE, {"content": text("z" * 1_000)}) for _ in range(500)))
    reads: list[int] = []
    real = log.read

    def counted(session_id: str, **which: Any) -> list[Any]:
        found = real(session_id, **which)
        reads.append(len(found))
        return found

    monkeypatch.setattr(log, "read", counted)
    response = world.alice.get(f"/sessions/{world.session.pk}/export/")
    assert reads == []
    assert first(response).startswith(b'{"type":"holdfast.session"')
    assert reads == [500]
    lines = whole(world.alice.get(f"/sessions/{world.session.pk}/export/")).splitlines()
    assert json.loads(lines[-1])["events"] == len(lines) - 2


def test_an_export_that_can_not_be_masked_is_refused_before_anything_is_sent(
    world: World,
) -> None:
    Session.objects.filter(pk=world.session.pk).update(vault_ids=[world.vault.pk])
    world.vault.credentials.update(sealed=b"\x00")
    response = world.alice.get(f"/sessions/{world.session.pk}/export/")
    assert response.status_code == 400
    assert "could not be masked" in response.content.decode()
