"""Bringing the secrets of second factors under the ring's first key: part of ``reseal``."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from allauth.mfa.models import Authenticator
from django.db import transaction

from config.signin.adapters import SEALED_FOR
from credentials import crypto
from credentials.resealing import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRETS = ("secret", "seed")  # of an authenticator app, of recovery codes


def stores() -> Iterator[Tally]:
    """Sealed texts inside the JSON that django-allauth keeps of each factor."""
    tally = Tally("mfa.Authenticator.data")
    for number in list(Authenticator.objects.exclude(type="webauthn").values_list("pk", flat=True)):
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=number).first()
            for name in SECRETS:
                if row is not None and name in row.data:
                    _reseal(row, name, tally)
    yield tally


def _reseal(row: Any, name: str, tally: Tally) -> None:
    sealed = base64.b64decode(row.data[name])
    try:
        if crypto.key_name(sealed) == crypto.current_key():
            tally.current += 1
            return
        anew = crypto.seal(crypto.unseal(sealed, SEALED_FOR), SEALED_FOR)
    except crypto.CannotOpen as error:
        tally.lost.append(f"{tally.name} of {row.pk}: {error}")
        return
    row.data[name] = base64.b64encode(anew).decode()
    row.save(update_fields=["data"])
    tally.resealed += 1
