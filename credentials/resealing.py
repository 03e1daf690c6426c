"""Bringing every sealed value under the ring's first key, while the installation runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import models, transaction

from credentials import crypto

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 200


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
