"""Every pair of colours that meets on a page has the contrast WCAG asks for, in the light and in the dark theme."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

TOKENS = (Path(__file__).resolve().parents[2] / "static/css/tokens.css").read_text(encoding="utf-8")
DECLARATION = re.compile(r"--([\w-]+):\s*([^;]+);")
PAIRS = re.compile(r"contrast ([\d.]+):([^*]+)")
VALUES = dict(DECLARATION.findall(TOKENS))


def wanted() -> list[tuple[str, str, float]]:
    """The pairs that the file's own comments name: text colour, ground, ratio."""
    found = []
    for ratio, names in PAIRS.findall(TOKENS):
        for pair in names.split():
            text, _, ground = pair.partition("/")
            found.append((text, ground, float(ratio)))
    return found


def luminance(value: str, theme: int) -> float:
    """Relative luminance of a token's value; ``theme`` 0 is light, 1 is dark."""
    if value.startswith("light-dark("):
        return luminance(split(value.removeprefix("light-dark(").removesuffix(")"))[theme], theme)
    if value.startswith("var("):
        return luminance(VALUES[value.removeprefix("var(--").removesuffix(")")], theme)
    lightness, chroma, hue = (float(part) for part in value.removeprefix("oklch(").removesuffix(")").split())
    red, green, blue = linear_srgb(lightness, chroma, math.radians(hue))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def split(values: str) -> list[str]:
    """The two arguments of light-dark, which hold brackets of their own."""
    depth = 0
    for index, letter in enumerate(values):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            return [values[:index].strip(), values[index + 1 :].strip()]
    raise AssertionError(values)


def linear_srgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """OKLCH to linear sRGB, clipped to what a screen can show."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return clip(red), clip(green), clip(blue)


def clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def test_the_conversion_agrees_with_known_colours() -> None:
    assert luminance("oklch(1 0 0)", 0) == pytest.approx(1, abs=1e-3)
    assert luminance("oklch(0.627955 0.257683 29.2339)", 0) == pytest.approx(0.2126, abs=1e-3)


def test_the_file_names_its_pairs() -> None:
    assert len(wanted()) > 35


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground", "ratio"), wanted(), ids=lambda value: str(value))
def test_a_pair_has_enough_contrast(text: str, ground: str, ratio: float, theme: int) -> None:
    first, second = luminance(VALUES[text], theme), luminance(VALUES[ground], theme)
    assert (max(first, second) + 0.05) / (min(first, second) + 0.05) >= ratio
