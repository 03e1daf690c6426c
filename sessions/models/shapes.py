"""What the database itself refuses in a row, whoever writes it: values that no reader could make sense of."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.lookups import Exact


def of_kind(kind: str, *names: str, name: str) -> models.CheckConstraint:
    """These JSON columns hold one kind (`object`, `array`) or nothing."""
    conditions = Q()
    for column in names:
        found = Func(F(column), function="jsonb_typeof", output_field=models.CharField())
        conditions &= Q(Exact(found, Value(kind)))
    return models.CheckConstraint(condition=conditions, name=name)


AGENT = '$.name.type() == "string" && $.model.id.type() == "string" && $.tools.type() == "array"'
AMOUNT = '@.amount.type() == "string" && @.amount like_regex "^[0-9]+$"'
BUDGET = f"exists($.max_list_cost ? ({AMOUNT}))"
LIMITS = (
    '!exists($.keyvalue() ? (@.key != "list_cost" && @.value.type() != "number"))'
    f" && (!exists($.list_cost) || exists($.list_cost ? ({AMOUNT})))"
)
NUMBERS = '!exists($.keyvalue() ? (@.value.type() != "number"))'
TYPED = '$.type.type() == "string"'


def holding(name: str, **paths: str) -> models.CheckConstraint:
    """These JSON columns hold nothing, or what their jsonpath predicate is true of."""
    conditions = Q()
    for column, path in paths.items():
        found = f"coalesce(jsonb_path_match(%(expressions)s, '{path}'), %(expressions)s IS NULL)"
        conditions &= Q(Func(F(column), template=found, output_field=models.BooleanField()))
    return models.CheckConstraint(condition=conditions, name=name)


def sums(name: str) -> models.CheckConstraint:
    """Time and money are numbers: PostgreSQL sorts NaN above everything else, where nothing else may be."""
    most = Q(active_seconds__lt=float("inf")) & Q(cost__lt=Decimal(10) ** 10)
    return models.CheckConstraint(condition=most, name=name)
