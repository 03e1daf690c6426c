"""Bringing every sealed value under the ring's first key, while the installation runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models.fields.json import KeyTextTransform

from credentials import at_rest, crypto
from credentials.at_rest import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = 200
STORES: dict[str, Callable[[], Iterator[Tally]]] = {}
"""What else is sealed, by name: packages above this one add what they keep."""


@dataclass(slots=True)
class Tally:
    """What became of one column's values. ``lost`` are sentences: values that no key of the ring opens.

    ``resealed`` also counts those that were sealed, or opened for good, because the settings say so now.
    """

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
    for repeated in sealable_columns():
        yield _reseal_json(repeated)
    for store in STORES.values():
        yield from store()


def sealable_columns() -> list[at_rest.SealableJSON]:
    """Every column that repeats what the log says and may lie sealed."""
    return [
        column
        for model in apps.get_models()
        for column in model._meta.local_concrete_fields
        if isinstance(column, at_rest.SealableJSON)
    ]


def wanted(key: str) -> bool:
    """Whether JSON that ``key`` sealed ("" for none) lies as the settings ask, so that it can stay as it is."""
    return key == (crypto.current_key() if settings.HOLDFAST_SEAL_EVENTS else "")


def _reseal_json(column: at_rest.SealableJSON) -> Tally:
    tally = Tally(column.owner)
    rows = column.model._default_manager.all()
    marks = rows.exclude(**{f"{column.name}__isnull": True}).values_list("pk", KeyTextTransform(MARK, column.name))
    for pk, sealed in marks.iterator(BATCH):
        key = at_rest.key_of({MARK: sealed}) if sealed else ""
        try:
            with transaction.atomic():
                changed = not wanted(key) and _rewrite(rows.filter(pk=pk), column, key)
        except crypto.CannotOpen as error:
            tally.lost.append(f"{tally.name} of {pk}: {error}")
            continue
        tally.resealed += changed
        tally.current += not changed
    return tally


def _rewrite(rows: models.QuerySet[Any], column: at_rest.SealableJSON, key: str) -> bool:
    """Store a value anew, in the transaction under way; False if it is gone, or too empty to be sealed."""
    for value in rows.select_for_update().values_list(column.name, flat=True):
        if at_rest.key_of(column.stored(value)) != key:
            return bool(rows.update(**{column.name: value}))
    return False


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
