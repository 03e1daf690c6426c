"""Marking English for translators in modules that may not import Django. Pure.

``from contract.phrases import marked as _``: ``make messages`` finds what ``_`` is called with. The phrase stays
English where it is kept; a page shows it by the filter ``translated``. A phrase with parameters is a ``Told``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def marked(phrase: str) -> str:
    """``phrase`` itself."""
    return phrase


class Told(str):
    """An English sentence that remembers how it was made, so that a page can say it in another language.

    ``Told(_("%(by)s paused the session"), by="ann")``. A parameter may be one itself.
    """

    phrase: str
    given: dict[str, Any]

    def __new__(cls, phrase: str, **given: Any) -> Told:
        made = super().__new__(cls, phrase % given if given else phrase)
        made.phrase, made.given = phrase, given
        return made

    def mapped(self, change: Callable[[str], str]) -> Told:
        """The same with every text among its parameters changed."""
        given = {name: mapped(value, change) if isinstance(value, str) else value for name, value in self.given.items()}
        return Told(self.phrase, **given)

    def said(self, translate: Callable[[str], str]) -> str:
        """The sentence with its phrase, and those of its parameters, put through ``translate``."""
        phrase = translate(self.phrase)
        given = {name: one.said(translate) if isinstance(one, Told) else one for name, one in self.given.items()}
        return phrase % given if given else phrase


def mapped(text: str, change: Callable[[str], str]) -> str:
    """``change`` of a text; of what we say ourselves only the parameters are changed."""
    return text.mapped(change) if isinstance(text, Told) else change(text)
