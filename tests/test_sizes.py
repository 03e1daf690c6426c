"""Files and functions stay small enough to read; `pytest -s tests/test_sizes.py` prints the table."""

from __future__ import annotations

import ast
import statistics
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("config", "contract", "agents", "credentials", "sessions", "tests", "scripts")
FILE_LIMIT = 400
FUNCTION_LIMIT = 60


class Size(NamedTuple):
    where: str
    lines: int


class Table(NamedTuple):
    package: str
    files: list[Size]
    functions: list[Size]


@cache
def _measure(package: str) -> Table:
    files, functions = [], []
    for path in sorted((ROOT / package).rglob("*.py")):
        if "migrations" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(ROOT))
        files.append(Size(name, len(text.splitlines())))
        functions += [
            Size(f"{name}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    return Table(package, files, functions)


HEADING = f"{'':<12} {'files':>5} {'lines':>7} median   p90   max   funcs median   p90   max"


def _figures(sizes: list[Size]) -> str:
    lines = sorted(size.lines for size in sizes) or [0]
    return f"{statistics.median(lines):>6.0f} {lines[int((len(lines) - 1) * 0.9)]:>5} {lines[-1]:>5}"


def _row(table: Table) -> str:
    total = sum(size.lines for size in table.files)
    files, functions = _figures(table.files), _figures(table.functions)
    return f"{table.package:<12} {len(table.files):>5} {total:>7} {files} {len(table.functions):>7} {functions}"


def test_the_table_of_sizes_is_printed() -> None:
    tables = [_measure(package) for package in PACKAGES]
    rows = [HEADING, *(_row(table) for table in tables if table.files)]
    print("\n" + "\n".join(rows))
    assert len(rows) > 1


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_is_too_long(package: str) -> None:
    sizes = _measure(package).files
    long = [f"{size.where}: {size.lines} lines" for size in sizes if size.lines > FILE_LIMIT]
    assert not long, f"files over {FILE_LIMIT} lines, split them:\n" + "\n".join(long)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_is_too_long(package: str) -> None:
    sizes = _measure(package).functions
    long = [f"{size.where}: {size.lines} lines" for size in sizes if size.lines > FUNCTION_LIMIT]
    assert not long, f"functions over {FUNCTION_LIMIT} lines, split them:\n" + "\n".join(long)
