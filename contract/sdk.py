"""The SDK, imported by one thread at a time.

Its modules import each other in circles. Two threads that enter such a circle at different places each
find the other's half-made module, and one of them fails; so every late import goes through here.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

_lock = threading.RLock()
_loaded = False


def load() -> None:
    """Import the whole SDK; takes one to two seconds the first time, nothing after that."""
    global _loaded
    if _loaded:
        return
    with _lock:
        import_module("anthropic")
        import_module("anthropic.types.beta")
        _loaded = True


def part(name: str) -> ModuleType:
    """One of the SDK's modules by its full name, such as ``anthropic.types.beta.sessions``."""
    load()
    with _lock:
        return import_module(name)
