"""First answers, kept for a day under the client's ``Idempotency-Key``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.utils import timezone

from contract.secret import Secret
from credentials import crypto
from credentials.models import KeptAnswer

if TYPE_CHECKING:
    from datetime import datetime

LIFE = timedelta(hours=24)
MAX_ANSWER = 8 * 1024 * 1024
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client was told. ``body`` is None where it was too large to keep."""

    status: int
    body: bytes | None
    request_id: str
    fingerprint: str


def claim(api_key_id: str, key: str) -> bool:
    """True if no other request with this key is under way. The claim ends with the transaction, or the process."""
    digest = hashlib.sha256(f"idempotency {api_key_id} {key}".encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], signed=True)])
        return bool(cursor.fetchone()[0])


def find(api_key_id: str, key: str) -> Answer | None:
    """The answer given under this key in the last day. One whose seal can't be opened any more has no body."""
    row = KeptAnswer.objects.filter(api_key_id=api_key_id, key=key, created_at__gt=_oldest()).first()
    if row is None:
        return None
    try:
        body = crypto.unseal(bytes(row.sealed), _owner(api_key_id, key)).reveal().encode() if row.kept else None
    except crypto.CannotOpen:
        body = None
    return Answer(row.status, body, row.request_id, row.fingerprint)


def keep(api_key_id: str, key: str, answer: Answer) -> None:
    """Keep an answer in place of an expired one. Call it in the transaction of what the request did."""
    body = answer.body if answer.body is not None and len(answer.body) <= MAX_ANSWER else None
    values = {
        "fingerprint": answer.fingerprint,
        "request_id": answer.request_id,
        "status": answer.status,
        "kept": body is not None,
        "sealed": b"" if body is None else crypto.seal(Secret(body.decode()), _owner(api_key_id, key)),
        "created_at": timezone.now(),
    }
    KeptAnswer.objects.update_or_create(api_key_id=api_key_id, key=key, defaults=values)


def sweep() -> int:
    """Delete the answers of more than a day ago; returns how many they were."""
    deleted, _ = KeptAnswer.objects.filter(created_at__lte=_oldest()).delete()
    return deleted


def _oldest() -> datetime:
    return timezone.now() - LIFE


def _owner(api_key_id: str, key: str) -> str:
    return f"{api_key_id} {key}"
