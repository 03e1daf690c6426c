"""Which tests stay together in one process of a run, and in which order: those that share servers, the longest first.

A file's tests go to one process, so that what they share is made once; so do the files of a `LONG` unit, which share
an installation or hosts of sandboxes. xdist has a mode for this that goes by marks, but by the marks of a test's id,
which newer versions of pytest make anew without them; and it starts with the most numerous tests, not the longest.
Another mode that is named (`--dist=worksteal`) is xdist's own.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

# Longer than anything else: begun first, they leave no process alone at the end. Those in the browser keep a processor
# busy; the others mostly wait, which is why a run has more processes than processors, and why these take turns.
BROWSER = ("browser", "journeys", "lists_live", "people", "bad_input", "requests", "rows_live", "watching")
LONG = (
    ("tests/chaos/",),
    ("tests/sdk/",),
    ("tests/web/test_keys_and_axe.py",),
    tuple(f"tests/web/test_{name}.py" for name in BROWSER),
    ("tests/agents/sandboxes/",),
    ("tests/network/",),
    ("tests/config/test_up.py",),
)
# Each test by itself: nothing is shared, and `make fuzz` is nothing else.
APART = ("tests/fuzz/",)


def unit_of(nodeid: str) -> str:
    """The name of the unit that a test belongs to: its file, the first of its long unit, or its own."""
    if nodeid.startswith(APART):
        return nodeid
    return next((unit[0] for unit in LONG if nodeid.startswith(unit)), nodeid.split("::")[0])


class Units(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands the units to the processes in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Units | None:
    if config.getvalue("dist") != "load":  # what `-n` alone means
        return None
    config.option.loadscopereorder = False
    return Units(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long units first, in their order, then files by how many tests they have."""
    units = {item: unit_of(item.nodeid) for item in items}
    sizes = collections.Counter(units.values())
    long = {unit[0]: place for place, unit in enumerate(LONG)}
    items.sort(key=lambda item: (long.get(units[item], len(LONG)), -sizes[units[item]], units[item]))
