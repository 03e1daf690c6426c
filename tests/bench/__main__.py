"""`make bench`: figures of a whole installation beside their bars and beside references of the same run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import crowds, measures, model, sealed, teams
from tests.live import Installation
from tests.sdk.talk import client_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.figures import Figure
    from tests.bench.measures import Bench


def main() -> int:
    options = _options()
    chosen = _measures(options)
    with model.served() as server, Installation.started(
        WORKERS="2", WORKER_THREADS="250", MODEL_BASE_URL=server.url, MODEL_API_KEY="bench"
    ) as installation:  # fmt: skip
        client = client_of(installation)
        environment = client.beta.environments.create(name="Bench", config={"type": "cloud"})
        bench = measures.Bench(installation, server, client, environment.id)
        figures = [figure for name in options.only for figure in _run(name, chosen[name], bench)]
    print(measures.as_json(figures) if options.json else _table(figures))
    return 0


def _measures(options: argparse.Namespace) -> dict[str, Callable[[Bench], list[Figure]]]:
    steps, sessions, events, crowd = (120, 500, 5_000, 50) if options.quick else (500, 10_000, 50_000, 500)
    return {
        "creates": measures.creates,
        "fanout": measures.fan_out,
        "crowd": measures.crowd,
        "many": partial(crowds.many, sessions=crowd),
        "team": teams.team,
        "steps": partial(measures.steps, count=steps),
        "sealed": partial(sealed.sealed, count=steps // 3),
        "pages": partial(measures.pages, sessions=sessions, events=events),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = ["creates", "fanout", "crowd", "many", "team", "steps", "sealed", "pages"]
    parser.add_argument("only", nargs="*", help=f"measures out of {', '.join(names)}; all by default")
    parser.add_argument("--quick", action="store_true", help="120 steps, 50 sessions at once and a smaller database")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    unknown = set(options.only) - set(names)
    if unknown:
        parser.error(f"unknown measure {', '.join(sorted(unknown))}")
    options.only = options.only or names
    return options


def _run(name: str, measure: Callable[[Bench], list[Figure]], bench: Bench) -> list[Figure]:
    print(f"measuring {name} …", file=sys.stderr, flush=True)
    return measure(bench)


def _table(figures: list[Figure]) -> str:
    width = max(len(figure.name) for figure in figures)
    lines = [f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; medians", ""]
    for figure in figures:
        verdict = {None: "", True: "met", False: "MISSED"}[figure.met]
        value = f"{figure.value:8.1f} {figure.unit:<8}"
        lines.append(f"{figure.name:<{width}} {value} {figure.bar:<9} {verdict:<7} {figure.note}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
