"""Secrets taken out of text that came from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credentials.encodings import forms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from contract.secret import Secret

MASK = "[secret]"


def scrubbed(text: str, secrets: Iterable[Secret]) -> str:
    """``text`` without the secrets, however they may be written (``credentials.encodings``)."""
    return counted(text, secrets)[0]


def masker(secrets: Iterable[Secret]) -> Callable[[str], str]:
    """What scrubs many texts of the same secrets."""
    known = _longest_first(secrets)

    def mask(text: str) -> str:
        for form in known:
            text = text.replace(form, MASK)
        return text

    return mask


def counted(text: str, secrets: Iterable[Secret]) -> tuple[str, int]:
    """``text`` scrubbed, and how many values were taken out."""
    count = 0
    for form in _longest_first(secrets):
        count += text.count(form)
        text = text.replace(form, MASK)
    return text, count


def excerpt(text: str, secrets: Iterable[Secret], limit: int, *, cut: bool) -> tuple[str, bool]:
    """The first ``limit`` characters of the scrubbed text, and whether something is missing at the end.

    ``cut`` says that ``text`` itself ends in the middle: then an end that could begin a secret is left out too.
    """
    known = list(secrets)
    clean = scrubbed(text, known)
    if cut:
        beginnings = (_beginning(clean, form) for secret in known for form in _forms(secret.reveal()))
        clean = clean[: len(clean) - max(beginnings, default=0)]
    return clean[:limit], cut or len(clean) > limit


def _beginning(text: str, form: str) -> int:
    """How many characters at the end of ``text`` are the beginning of ``form``."""
    sizes = range(min(len(form) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(form[:size])), 0)


def _longest_first(secrets: Iterable[Secret]) -> list[str]:
    return sorted({form for secret in secrets for form in _forms(secret.reveal())}, key=len, reverse=True)


def _forms(secret: str) -> set[str]:
    if not secret:
        return set()
    return {form.decode("utf-8", "surrogateescape") for form in forms(secret.encode("utf-8", "surrogateescape"))}
