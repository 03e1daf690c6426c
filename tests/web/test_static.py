"""What is shipped to browsers: files of others as recorded, ours within their budget, and nothing inline."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC, TEMPLATES = ROOT / "static", ROOT / "templates"
VENDORED = re.findall(
    r"^\| `([^`]+)` \|.*?\| `([0-9a-f]{64})` \| `[0-9a-f]{64}` \|$",
    (STATIC / "vendor/LICENSES.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
CSS_BUDGET, JS_BUDGET = 30_000, 20_000


@pytest.mark.parametrize(("name", "digest"), VENDORED, ids=[name for name, _ in VENDORED])
def test_a_file_others_wrote_is_the_one_that_was_recorded(name: str, digest: str) -> None:
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest


def test_every_file_others_wrote_is_recorded() -> None:
    ours = {"vendor/LICENSES.md", "favicon.svg"}
    shipped = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file()}
    others = {name for name in shipped if not name.startswith(("css/", "js/"))} - ours
    assert others == {name for name, _ in VENDORED}


def test_our_styles_and_scripts_stay_within_their_budget() -> None:
    styles = sum(path.stat().st_size for path in (STATIC / "css").glob("*.css") if path.name != "admin.css")
    scripts = sum(path.stat().st_size for path in (STATIC / "js").glob("*.js"))
    print(f"css {styles} of {CSS_BUDGET} bytes, js {scripts} of {JS_BUDGET} bytes")
    assert styles <= CSS_BUDGET
    assert scripts <= JS_BUDGET


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.name))
def test_a_template_holds_nothing_that_the_policy_would_block(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style\b", text)
    assert not re.search(r"\sstyle=", text)
    assert not re.search(r"\son\w+=", text)
    assert not re.search(r"hx-on|javascript:", text)
    assert not re.search(r"https?://", text.replace("http://www.w3.org", ""))


def test_every_icon_named_in_a_template_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text(encoding="utf-8")))
    named = {name for path in TEMPLATES.rglob("*.html") for name in re.findall(r'{% icon "([\w-]+)"', path.read_text())}
    assert named <= sprite
