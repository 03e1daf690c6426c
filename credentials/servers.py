"""The credential with which a session reaches a server (spec advanced 1.5, 1.6): found, kept fresh, recorded."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.utils import timezone

from credentials import matching, renewal, vaults
from credentials.models import AccessRecord, Credential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.secret import Secret
    from credentials.auths import Auth

EARLY = timedelta(seconds=30)  # a token that ends so soon is renewed before it is used
PAUSE_SECONDS = 30.0  # between attempts to renew a token that could not be renewed
MOST_REMEMBERED = 1000


class Refused(Exception):
    """The credential's token can't be renewed. The text says why and what to do, and names no secret."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The session that uses a credential; ``vault_ids`` in the order in which they are searched."""

    workspace_id: str
    session_id: str
    vault_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Key:
    """A credential and its token as it is now."""

    credential: Credential
    token: Secret
    was_renewed: bool = False  # just now, so that a server's refusal can't be mended by it


def key_for(holder: Holder, url: str, purpose: str) -> Key | None:
    """The first vault's credential for the server at ``url``, renewed if its token is over; None if there is none.

    ``purpose`` goes onto the access record. Raises ``Refused``.
    """
    credential = _credential_for(holder, url)
    if credential is None:
        return None
    auth = vaults.auth_of(credential)
    key = Key(credential, auth.secrets["token" if auth.shown["type"] == "static_bearer" else "access_token"])
    if _is_over(auth):
        key = renewed(holder, key)
    _record(holder, credential, purpose, url)
    return key


def renewed(holder: Holder, key: Key) -> Key:
    """The same credential with a newer token, after the server refused this one. Raises ``Refused``."""
    if key.credential.auth["type"] != "mcp_oauth":
        raise Refused("The server refused the credential's token; replace it in its vault.")
    if _failures.recent(key):
        raise Refused("The credential's token could not be renewed a moment ago; it is tried again later.")

    def note(auth: Auth) -> None:
        _record(holder, key.credential, "refresh", auth.shown["refresh"]["token_endpoint"])

    outcome = renewal.renew(key.credential, key.token, note)
    if outcome.auth is None:
        _failures.add(key)
        raise Refused(REASONS[outcome.status])
    return Key(key.credential, outcome.auth.secrets["access_token"], was_renewed=True)


REASONS = {
    "no_refresh_token": "The server refused the credential's token, which can't be renewed; sign in again.",
    "connect_error": "The credential's token could not be renewed: its token endpoint could not be reached.",
    "failed": "The credential's token could not be renewed: its token endpoint refused. Sign in again if it goes on.",
}


def _credential_for(holder: Holder, url: str) -> Credential | None:
    try:
        slot = matching.server_slot(url)
    except matching.BadUrl:
        return None
    rows = Credential.objects.filter(
        vault__workspace_id=holder.workspace_id, vault_id__in=list(holder.vault_ids), slot=slot, archived_at=None
    )
    by_vault = {row.vault_id: row for row in rows}
    return next((by_vault[vault_id] for vault_id in holder.vault_ids if vault_id in by_vault), None)


def _is_over(auth: Auth) -> bool:
    until = auth.shown.get("expires_at")
    return until is not None and datetime.fromisoformat(until) - EARLY <= timezone.now()


def _record(holder: Holder, credential: Credential, purpose: str, url: str) -> None:
    AccessRecord.objects.create(
        workspace_id=holder.workspace_id,
        vault_id=credential.vault_id,
        credential_id=credential.pk,
        by="session",
        session_id=holder.session_id,
        purpose=purpose[:64],
        host=urlsplit(url).hostname or "",
    )


class _Failures:
    """Which tokens could not be renewed of late, so that a crowd of sessions doesn't ask for each of them in turn."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, key: Key) -> None:
        with self._lock:
            if len(self._until) >= MOST_REMEMBERED:
                self._until.clear()
            self._until[self._digest(key)] = time.monotonic() + PAUSE_SECONDS

    def recent(self, key: Key) -> bool:
        with self._lock:
            return self._until.get(self._digest(key), 0.0) > time.monotonic()

    @staticmethod
    def _digest(key: Key) -> str:
        return hashlib.sha256(f"{key.credential.pk} {key.token.reveal()}".encode()).hexdigest()


_failures = _Failures()
