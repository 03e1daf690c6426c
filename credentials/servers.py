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

from credentials import lending, matching, renewal, scopes, vaults
from credentials.crypto import CannotOpen
from credentials.lending import Use

if TYPE_CHECKING:
    from contract.secret import Secret
    from credentials.auths import Auth
    from credentials.lending import Borrower
    from credentials.models import Credential

EARLY = timedelta(seconds=30)  # a token that ends so soon is renewed before it is used
PAUSE_SECONDS = 30.0  # between attempts to renew a token that could not be renewed
MOST_REMEMBERED = 1000


class Refused(Exception):
    """The credential's token can't be renewed. The text says why and what to do, and names no secret."""


@dataclass(frozen=True, slots=True)
class Key:
    """A credential and its token as it is now."""

    credential: Credential
    token: Secret
    was_renewed: bool = False  # just now, so that a server's refusal can't be mended by it


def key_for(borrower: Borrower, url: str, tool: str | None = None) -> Key | None:
    """The session's credential for the server at ``url``, renewed if its token is over; None if there is none.

    ``tool`` None: only its tools are listed. The use goes on record. Raises ``Refused``.
    """
    try:
        credential = lending.for_server(borrower, url, tool)
    except matching.BadUrl:
        return None
    if credential is None:
        return None
    try:
        auth = vaults.auth_of(credential)
    except CannotOpen as error:
        raise _unreadable(credential, error) from None
    key = Key(credential, auth.secrets["token" if auth.shown["type"] == "static_bearer" else "access_token"])
    if _is_over(auth):
        key = renewed(borrower, key)
    _note(borrower, credential, "mcp", url, tool or "")
    return key


def renewed(borrower: Borrower, key: Key) -> Key:
    """The same credential with a newer token, after the server refused this one. Raises ``Refused``."""
    if key.credential.auth["type"] != "mcp_oauth":
        raise Refused("The server refused the credential's token; replace it in its vault.")
    if _failures.recent(key):
        raise Refused("The credential's token could not be renewed a moment ago; it is tried again later.")

    def note(auth: Auth) -> None:
        _note(borrower, key.credential, "refresh", auth.shown["refresh"]["token_endpoint"])

    try:
        outcome = renewal.renew(key.credential, key.token, note)
    except CannotOpen as error:
        raise _unreadable(key.credential, error) from None
    if outcome.auth is None:
        _failures.add(key)
        raise Refused(REASONS[outcome.status])
    return Key(key.credential, outcome.auth.secrets["access_token"], was_renewed=True)


REASONS = {
    "no_refresh_token": "The server refused the credential's token, which can't be renewed; sign in again.",
    "connect_error": "The credential's token could not be renewed: its token endpoint could not be reached.",
    "failed": "The credential's token could not be renewed: its token endpoint refused. Sign in again if it goes on.",
}


def _unreadable(credential: Credential, error: CannotOpen) -> Refused:
    return Refused(f"The credential {credential.pk} can't be used: {error}")


def _is_over(auth: Auth) -> bool:
    until = auth.shown.get("expires_at")
    return until is not None and datetime.fromisoformat(until) - EARLY <= timezone.now()


def _note(borrower: Borrower, credential: Credential, purpose: str, url: str, tool: str = "") -> None:
    host = urlsplit(url).hostname or ""
    rule = scopes.described(credential.scope)
    use = Use(credential.vault_id, credential.pk, purpose, host, tool=tool[:128], method="POST", rule=rule)
    lending.note_uses(borrower, "session", [use])


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
