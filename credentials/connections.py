"""Where a workspace's models run: the installation's settings, or a connection of its own."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from contract.secret import Secret
from credentials import crypto
from credentials.models import ModelConnection


@dataclass(frozen=True, slots=True)
class Connection:
    """A Messages API server. Both empty means that the demo model answers."""

    base_url: str
    api_key: Secret

    def arguments(self) -> dict[str, str | None]:
        """What ``agents.providers.registry`` takes. Holds the key in plain text: pass it on at once."""
        return {"base_url": self.base_url or None, "api_key": self.api_key.reveal() or None}


def connection_for(workspace_id: str) -> Connection:
    """The workspace's own connection if it has one, else the installation's.

    Raises ``credentials.crypto.CannotOpen`` if its key was sealed with a key that is gone.
    """
    row = ModelConnection.objects.filter(workspace_id=workspace_id).first()
    if row is None:
        return Connection(settings.HOLDFAST_MODEL_BASE_URL, settings.HOLDFAST_MODEL_API_KEY)
    return Connection(row.base_url, crypto.unseal(bytes(row.sealed_key), row.pk) if row.sealed_key else Secret(""))


def keep_connection(row: ModelConnection, api_key: Secret | None) -> ModelConnection:
    """Save a connection; ``api_key`` None keeps the stored key, an empty one clears it."""
    if api_key is not None:
        row.sealed_key = crypto.seal(api_key, row.pk) if api_key else b""
        row.hint = api_key.reveal()[-4:] if api_key else ""
    row.save()
    return row
