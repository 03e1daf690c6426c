"""What is shipped to browsers: files of others as recorded, ours within their budget, and nothing inline."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import pytest

from sessions import events as ev
from sessions.events import Draft
from tests.web.conftest import World, text
from tests.web.test_query_counts import paths

ROOT = Path(__file__).resolve().parents[2]
STATIC, TEMPLATES = ROOT / "static", ROOT / "templates"
VENDORED = re.findall(
    r"^\| `([^`]+)` \|.*?\| `([0-9a-f]{64})` \| `[0-9a-f]{64}` \|$",
    (STATIC / "vendor/LICENSES.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
CSS_BUDGET, JS_BUDGET, PAGE_BUDGET = 30 * 1024, 20 * 1024, 60_000
CHART_BUDGET = 23_000  # the one page with a chart loads what draws it


@pytest.mark.parametrize(("name", "digest"), VENDORED, ids=[name for name, _ in VENDORED])
def test_a_file_others_wrote_is_the_one_that_was_recorded(name: str, digest: str) -> None:
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest


def test_every_file_others_wrote_is_recorded() -> None:
    ours = {"vendor/LICENSES.md", "favicon.svg", "favicon-needs.svg"}
    shipped = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file()}
    others = {name for name in shipped if not name.startswith(("css/", "js/"))} - ours
    assert others == {name for name, _ in VENDORED}


def test_buttons_that_copy_are_shown_where_scripts_run() -> None:
    buttons = [
        tag
        for path in TEMPLATES.rglob("*.html")
        for tag in re.findall(r"<button [^>]*data-copy[^>]*>", path.read_text(encoding="utf-8"))
    ]
    assert len(buttons) >= 7
    assert [tag for tag in buttons if 'class="button js"' not in tag or " hidden" in tag] == []


def stylesheets(page: str) -> set[str]:
    return set(re.findall(r'href="/static/(css/[\w./-]+)"', page))


def scripts(page: str) -> set[str]:
    """Our modules that a page loads, and those that they import."""
    found = set(re.findall(r'src="/static/(js/[\w./-]+)"', page))
    todo = list(found)
    while todo:
        text = (STATIC / todo.pop()).read_text(encoding="utf-8")
        new = {f"js/{name}" for name in re.findall(r'from "\./([\w.-]+)"', text)} - found
        found |= new
        todo += new
    return found


def weight(names: set[str]) -> int:
    return sum((STATIC / name).stat().st_size for name in names)


FRAGMENTS = {"approvals counted", "minimap", "pulse", "palette"}


def pages_of(world: World) -> list[str]:
    return [path for name, path in paths(world).items() if name not in FRAGMENTS]


def test_a_page_loads_our_styles_and_scripts_within_their_budget(world: World) -> None:
    for path in pages_of(world):
        page = world.alice.get(path).content.decode()
        styles, modules = weight(stylesheets(page)), weight(scripts(page))
        print(f"{path}: css {styles} of {CSS_BUDGET} bytes, js {modules} of {JS_BUDGET} bytes")
        assert 0 < styles <= CSS_BUDGET, path
        assert 0 < modules <= JS_BUDGET, path


def test_a_page_with_all_it_loads_besides_fonts_stays_below_60_kb_compressed(world: World) -> None:
    world.append(*[Draft(ev.AGENT_MESSAGE, {"content": text(f"Words of {n}, some **bold**.")}) for n in range(40)])
    for path in pages_of(world):
        page = world.alice.get(path).content.decode()
        loaded = [(STATIC / name).read_bytes() for name in stylesheets(page) | scripts(page)]
        vendored = set(re.findall(r'"/static/(vendor/[\w./-]+)"', page))
        loaded += [(STATIC / name).read_bytes() for name in {*vendored, "icons.svg", "favicon.svg"}]
        budget = PAGE_BUDGET + (CHART_BUDGET if path.startswith("/usage/") else 0)
        size = sum(len(gzip.compress(one)) for one in [page.encode(), *loaded])
        print(f"{path}: {size} of {budget} bytes")
        assert size < budget, path


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.name))
def test_a_template_holds_nothing_that_the_policy_would_block(template: Path) -> None:
    source = template.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", source)
    assert not re.search(r"<style\b", source)
    assert not re.search(r"\sstyle=", source)
    assert not re.search(r"\son\w+=", source)
    assert not re.search(r"hx-on|javascript:", source)
    assert not re.search(r"https?://", source.replace("http://www.w3.org", ""))


def test_every_icon_named_in_a_template_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text(encoding="utf-8")))
    named = {name for path in TEMPLATES.rglob("*.html") for name in re.findall(r'{% icon "([\w-]+)"', path.read_text())}
    assert named <= sprite
