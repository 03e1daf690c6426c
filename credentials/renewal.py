"""Renewing an OAuth credential, one at a time: a refresh token may be good for a single use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from contract import happenings
from credentials import oauth, vaults
from credentials.models import Credential

if TYPE_CHECKING:
    from collections.abc import Callable

    from contract.secret import Secret
    from credentials.auths import Auth


def renew(credential: Credential, used: Secret, note: Callable[[Auth], None]) -> oauth.Outcome:
    """A newer access token than ``used``: somebody else's if there is one, else a fresh one, which is kept.

    Works under the row's lock, so that whoever comes meanwhile waits and takes what this one got. ``note`` records
    the use of the refresh token, before it happens. The outcome is ``no_refresh_token`` where there is none any more.
    """
    with transaction.atomic():
        row = (
            Credential.objects.select_for_update(of=("self",))
            .select_related("vault")
            .filter(pk=credential.pk, archived_at=None)
            .first()
        )
        if row is None:
            return oauth.Outcome("no_refresh_token", for_good=True)
        auth = vaults.auth_of(row)
        if auth.secrets["access_token"] != used:
            return oauth.Outcome("succeeded", auth=auth)
        if auth.shown["refresh"]:
            note(auth)
        outcome = oauth.renewed(auth)
        if outcome.auth is not None:
            vaults.put_auth(row, outcome.auth)
            row.updated_at = timezone.now()
            row.save(update_fields=["auth", "sealed", "refused_at", "updated_at"])
        elif outcome.status == "failed" and outcome.for_good and row.refused_at is None:
            _refused(row)
        return outcome


def _refused(row: Credential) -> None:
    """Tell once that a grant is spent (spec advanced 15.2); another auth begins anew."""
    row.refused_at = timezone.now()
    row.save(update_fields=["refused_at"])
    workspace_id = row.vault.workspace_id
    happenings.tell("vault_credential.refresh_failed", row.pk, workspace_id=workspace_id, vault_id=row.vault_id)
