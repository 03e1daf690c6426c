"""Marking English for translators in modules that may not import Django. Pure.

``from contract.phrases import marked as _``: ``make messages`` finds what ``_`` is called with. The phrase stays
English where it is kept; a page shows it by the filter ``translated``.
"""

from __future__ import annotations


def marked(phrase: str) -> str:
    """``phrase`` itself."""
    return phrase
