"""A small table under the machine that it was measured on."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]], notes: Sequence[str] = ()) -> str:
    """``rows``: what a line is about, and its values, one a column."""
    width = max(len(name) for name in rows)
    widths = [max(len(column), *(len(row[at]) for row in rows.values())) for at, column in enumerate(columns)]
    lines = [title, machine(), "", _line("", columns, width, widths)]
    lines += [_line(name, row, width, widths) for name, row in rows.items()]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def machine() -> str:
    """The machine in a line."""
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    system = f"{platform.system()} {platform.release().partition('-')[0]}, {platform.machine()}"
    cores = f"{os.cpu_count()} cores, {memory:.0f} GB, {system}, Python {platform.python_version()}"
    return f"{cores}; load of the machine meanwhile {load:.1f}"


def _line(name: str, values: Sequence[str], width: int, widths: Sequence[int]) -> str:
    cells = "  ".join(value.rjust(widths[at]) for at, value in enumerate(values))
    return f"{name:<{width}}  {cells}".rstrip()
