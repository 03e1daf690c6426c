"""What every sandbox backend must do: named checks that run against a live one.

``CHECKS`` maps a sentence to a function of a ``Bench``; a check raises ``Failed`` with what it
saw. Backends run all of them in their tests: ``CHECKS[name](Bench(backend, limits))``.
"""

from __future__ import annotations

from agents.sandboxes.conformance import keeping, sharing, tools
from agents.sandboxes.conformance.bench import Bench, Failed, text, until

CHECKS = {**tools.CHECKS, **keeping.CHECKS, **sharing.CHECKS}

__all__ = ["CHECKS", "Bench", "Failed", "text", "until"]
