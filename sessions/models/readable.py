"""Columns that can always be read: what nobody could read in one of them becomes a value that says so.

The database refuses such values (``shapes``), but a dump that was restored without its constraints may hold them, and
one row must not keep a list, an export or a page from being shown. What comes in their place is marked: a row knows
its ``unreadable`` columns, is shown as damaged, and no turn runs with it. Stored values are never changed by reading.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import connection, models
from django.db.models.fields.json import KeyTransform

from credentials import at_rest

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[Any], bool]
    CharField = models.CharField[Any, Any]
    FloatField = models.FloatField[Any, Any]
    DecimalField = models.DecimalField[Any, Any]
else:
    CharField, FloatField, DecimalField = models.CharField, models.FloatField, models.DecimalField


class Unreadable:
    """Marks what stands in the place of a value that nobody could read."""


class NoObject(dict[str, Any], Unreadable):
    pass


class NoList(list[Any], Unreadable):
    pass


class NoText(str, Unreadable):
    __slots__ = ()


class NoNumber(float, Unreadable):
    __slots__ = ()


class NoSum(Decimal, Unreadable):
    __slots__ = ()


def agent(value: Any) -> bool:
    """The wire's agent, as far as everything that shows or runs one reaches into it."""
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return False
    model = value.get("model")
    listed = (value.get(name, []) for name in ("tools", "skills", "mcp_servers"))
    return isinstance(model, dict) and isinstance(model.get("id"), str) and all(objects(one) for one in listed)


def agent_of_thread(value: Any) -> bool:
    """The same; or an advisor, of which only the model's name is kept."""
    advisor = isinstance(value, dict) and value.get("type") == "advisor" and isinstance(value.get("model"), str)
    return advisor or agent(value)


def objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def calls(value: Any) -> bool:
    """Calls that wait: ``[{"id", "kind"}]``."""
    return objects(value) and all(isinstance(one.get("id"), str) and isinstance(one.get("kind"), str) for one in value)


def texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def labels(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(type(one) in (int, float) and math.isfinite(one) for one in value.values())


def limits(value: Any) -> bool:
    """Caps by name: numbers, and an amount of money."""
    if not isinstance(value, dict):
        return False
    others = {name: one for name, one in value.items() if name != "list_cost"}
    return numbers(others) and ("list_cost" not in value or _amount(value["list_cost"]))


def budget(value: Any) -> bool:
    return isinstance(value, dict) and _amount(value.get("max_list_cost"))


def typed(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def _amount(value: Any) -> bool:
    amount = value.get("amount") if isinstance(value, dict) else None
    return isinstance(amount, str) and amount.isascii() and amount.isdigit()


def no_agent() -> NoObject:
    """An agent of the wire's whole shape, which no turn is run with."""
    parts = {"type": "agent", "id": "", "version": 1, "name": "(unreadable)", "description": None, "system": None}
    model = {"id": "(unreadable)", "effort": None, "speed": "standard", "inference_geo": None}
    lists: dict[str, Any] = {"tools": [], "skills": [], "mcp_servers": []}
    identity = {"type": "service_account"}
    return NoObject({**parts, "model": model, **lists, "multiagent": None, "execution_identity": identity})


def no_budget() -> NoObject:
    """A limit of nothing: what nobody can read allows nothing."""
    return NoObject(type="limit", max_list_cost={"amount": "0", "currency": "USD"})


class ReadableJSON(models.JSONField):
    """JSON of which ``readable`` is true, or else what ``instead`` makes. To migrations a plain ``JSONField``."""

    def __init__(self, readable: Check = objects, instead: Callable[[], Unreadable] = NoObject, **given: Any) -> None:
        self.readable, self.instead = readable, instead
        super().__init__(**given)

    def deconstruct(self) -> Any:
        name, _, args, given = super().deconstruct()
        return name, "django.db.models.JSONField", args, given

    def from_db_value(self, value: Any, expression: Any, link: Any) -> Any:
        found = super().from_db_value(value, expression, link)
        if found is None or isinstance(expression, KeyTransform) or self.readable(found):
            return found
        return self.instead()


class ReadableSealableJSON(at_rest.SealableJSON):
    """A list of objects that may be sealed."""

    def deconstruct(self) -> Any:
        name, _, args, given = super().deconstruct()
        return name, "credentials.at_rest.SealableJSON", args, given

    def from_db_value(self, value: Any, expression: Any, link: Any) -> Any:
        found = super().from_db_value(value, expression, link)
        return found if found is None or isinstance(expression, KeyTransform) or objects(found) else NoList()


class ReadableChoice(CharField):
    """One of the choices; what is none reads as the first."""

    def deconstruct(self) -> Any:
        name, _, args, given = super().deconstruct()
        return name, "django.db.models.CharField", args, given

    def from_db_value(self, value: Any, expression: Any, link: Any) -> Any:
        known = [key for key, _ in self.choices or ()]
        return value if value is None or value in known else NoText(known[0])


class ReadableFloat(FloatField):
    """A finite number."""

    def deconstruct(self) -> Any:
        name, _, args, given = super().deconstruct()
        return name, "django.db.models.FloatField", args, given

    def from_db_value(self, value: Any, expression: Any, link: Any) -> Any:
        return value if value is None or math.isfinite(value) else NoNumber(0)


class ReadableDecimal(DecimalField):
    """A finite sum."""

    def deconstruct(self) -> Any:
        name, _, args, given = super().deconstruct()
        return name, "django.db.models.DecimalField", args, given

    def from_db_value(self, value: Any, expression: Any, link: Any) -> Any:
        return value if value is None or Decimal(value).is_finite() else NoSum(0)


def as_read(row: type[models.Model], name: str, value: Any) -> Any:
    """A column's value from a statement of our own, as the model reads it. Raises ``ValueError`` if nobody can."""
    field: Any = row._meta.get_field(name)
    found = field.from_db_value(value, None, connection)
    if isinstance(found, Unreadable):
        raise ValueError(f"{row._meta.model_name}.{name} holds what nobody can read")
    return found


def unreadable(row: models.Model) -> tuple[str, ...]:
    """The loaded columns of a row that nobody could read, by name."""
    loaded = (field.attname for field in row._meta.concrete_fields if field.attname in row.__dict__)
    return tuple(name for name in loaded if isinstance(row.__dict__[name], Unreadable))
