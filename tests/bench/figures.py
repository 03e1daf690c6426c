"""A row of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row: what, how much, the bar of the design and whether more is better."""

    name: str
    value: float
    unit: str
    bar: str = ""
    met: bool | None = None
    note: str = ""
