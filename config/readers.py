"""Read one setting from the environment, or refuse it in one sentence that names it and says what to write instead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from contract.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

TRUE = frozenset({"1", "true", "yes", "on"})
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FALSE = frozenset({"0", "false", "no", "off"})


class SettingError(Exception):
    """A setting that cannot work. The message is one sentence for the operator: what is wrong and the way out."""


class Reader:
    """Typed look-ups in a mapping of environment variables. An empty variable counts as not set.

    Every name may instead be given as `NAME_FILE`, the path of a file with the value (Docker and systemd secrets).
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ = os.environ if environ is None else environ

    def text(self, name: str, default: str = "") -> str:
        value = self.environ.get(name, "").strip()
        file = self.environ.get(f"{name}_FILE", "").strip()
        if value and file:
            raise SettingError(f"{name} and {name}_FILE are both set; keep one of them.")
        if file:
            value = self._file(name, Path(file))
        return value or default

    def _file(self, name: str, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(
                f"{name}_FILE is {path}, which cannot be read ({error}); give the path of a text file."
            ) from None

    def secret(self, name: str, default: str = "") -> Secret:
        return Secret(self.text(name, default))

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.text(name).lower()
        if value in TRUE:
            return True
        if value in FALSE:
            return False
        if value:
            raise SettingError(f"{name} is {value!r}; write true or false.")
        return default

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
            raise SettingError(f"{name} is {value!r}; write a whole number from {low} to {high}.")
        return int(value)

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        value = self.text(name)
        if not value:
            return default
        try:
            parsed = float(value)
        except ValueError:
            parsed = float("nan")
        if not low <= parsed <= high:
            raise SettingError(f"{name} is {value!r}; write a number from {low:g} to {high:g}.")
        return parsed

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise SettingError(f"{name} is {value!r}; write one of {', '.join(allowed)}.")
        return value

    def zone(self, name: str, default: str) -> str:
        value = self.text(name, default)
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise SettingError(f"{name} is {value!r}, which is no time zone; write one like Europe/Berlin.") from None
        return value

    def level(self, name: str, default: str) -> str:
        value = self.text(name, default).upper()
        if value not in LEVELS:
            raise SettingError(f"{name} is {value!r}; write one of {', '.join(LEVELS)}.")
        return value

    def names(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Comma- or space-separated words."""
        return tuple(self.text(name).replace(",", " ").split()) or default

    def url(self, name: str, default: str, schemes: tuple[str, ...]) -> str:
        """A URL with one of `schemes`. The refusal never repeats the value: it may hold a password."""
        value = self.text(name, default)
        if not value:
            return value
        example = f"it must start with {' or '.join(f'{scheme}://' for scheme in schemes)}"
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError as error:
            raise SettingError(f"{name} is not a URL ({error}); {example}.") from None
        if parts.scheme not in schemes:
            raise SettingError(f"{name} is not a URL of a kind that works here; {example}.")
        if not parts.netloc and not parts.path:
            raise SettingError(f"{name} names no host; write it like {schemes[0]}://host:port.")
        return value
