"""Bringing every sealed value under the ring's first key, while the installation runs."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.db import models, transaction

from credentials import crypto

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 200
FACTOR_SECRETS = ("secret", "seed")  # of an authenticator app, of recovery codes


@dataclass(slots=True)
class Tally:
    """What became of one column's values. ``lost`` are sentences: values that no key of the ring opens."""

    name: str
    resealed: int = 0
    current: int = 0
    lost: list[str] = field(default_factory=list)


def sealed_columns() -> list[tuple[type[models.Model], str]]:
    """Every column that holds sealed values: a binary one whose name begins with ``sealed``.

    A value is bound to its row's primary key, or to the row's ``seal_owner``.
    """
    return [
        (model, column.name)
        for model in apps.get_models()
        for column in model._meta.local_concrete_fields
        if isinstance(column, models.BinaryField) and column.name.startswith("sealed")
    ]


def reseal() -> Iterator[Tally]:
    """Seal anew what an older key sealed, a few rows at a time. Doing it twice, or side by side, does no harm."""
    for model, column in sealed_columns():
        tally = Tally(f"{model._meta.label}.{column}")
        manager = model._default_manager
        numbers = list(manager.exclude(**{column: b""}).values_list("pk", flat=True))
        for place in range(0, len(numbers), BATCH):
            with transaction.atomic():
                for row in manager.select_for_update(of=("self",)).filter(pk__in=numbers[place : place + BATCH]):
                    _reseal(row, column, tally)
        yield tally
    yield _reseal_factors()


def _reseal_factors() -> Tally:
    """Secrets of second factors: sealed texts inside the JSON that django-allauth keeps of each."""
    tally = Tally("mfa.Authenticator.data")
    for number in list(Authenticator.objects.exclude(type="webauthn").values_list("pk", flat=True)):
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=number).first()
            for name in FACTOR_SECRETS:
                if row is not None and name in row.data:
                    _reseal_factor(row, name, tally)
    return tally


def _reseal_factor(row: Any, name: str, tally: Tally) -> None:
    sealed = base64.b64decode(row.data[name])
    try:
        if crypto.key_name(sealed) == crypto.current_key():
            tally.current += 1
            return
        anew = crypto.seal(crypto.unseal(sealed, crypto.FACTOR_OWNER), crypto.FACTOR_OWNER)
    except crypto.CannotOpen as error:
        tally.lost.append(f"{tally.name} of {row.pk}: {error}")
        return
    row.data[name] = base64.b64encode(anew).decode()
    row.save(update_fields=["data"])
    tally.resealed += 1


def _reseal(row: Any, column: str, tally: Tally) -> None:
    sealed = bytes(getattr(row, column))
    owner = str(getattr(row, "seal_owner", row.pk))
    if not sealed:
        return
    try:
        if crypto.key_name(sealed) == crypto.current_key():
            tally.current += 1
            return
        setattr(row, column, crypto.seal(crypto.unseal(sealed, owner), owner))
    except crypto.CannotOpen as error:
        tally.lost.append(f"{tally.name} of {row.pk}: {error}")
        return
    row.save(update_fields=[column])
    tally.resealed += 1
