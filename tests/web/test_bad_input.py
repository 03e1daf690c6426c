"""A session that attacks the page, watched in Chromium: every reading stays whole and says what happened."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.live import ROOT
from tests.web import hostile
from tests.web.chromium import IN_CHROMIUM, PATIENCE, numbers, settled, start

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.live import Installation

pytestmark = IN_CHROMIUM
FILLING_SECONDS = 120
FORGED = "#main :is(script, iframe, [onerror], [onload]), #forged, form[action^='https:'], img[src^='https:']"
LINKS = "[...document.links].filter((a) => !['http:', 'https:'].includes(a.protocol)).map((a) => a.href)"
SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def fill(installation: Installation, session_id: str) -> None:
    command = f"from tests.web import hostile; hostile.fill({session_id!r})"
    shell = [sys.executable, str(ROOT / "manage.py"), "shell", "-c", command]
    subprocess.run(shell, env=installation.environment, check=True, capture_output=True, timeout=FILLING_SECONDS)


def whole(page: Page) -> None:
    """Nothing that the agent said became part of the page, and nothing sticks out of it."""
    assert page.evaluate("window.hurt") is None
    assert page.query_selector_all(FORGED) == []
    assert page.evaluate(LINKS) == []
    assert "forged" not in page.title()
    assert page.locator("header").first.is_visible()
    for width in (390, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        assert not page.evaluate(SIDEWAYS), (page.url, width)


def test_a_page_stays_whole_whatever_its_session_throws_at_it(
    page: Page, installation: Installation, complaints: list[str]
) -> None:
    start(page, "Run `echo first`.")
    settled(page)
    session = page.url
    fill(installation, session.rstrip("/").rpartition("/")[2])
    page.wait_for_selector(f"#log >> text=doesn't know: {hostile.UNKNOWN}", timeout=4 * PATIENCE)
    assert page.evaluate("window.neverReloaded") is True
    assert numbers(page) == sorted(set(numbers(page)))
    assert page.locator("#log > .row.call").count() == 1 + hostile.CALLS + len(hostile.ATTACKS)
    assert "left out here" in page.locator("#log > .row.call").nth(1).inner_text()
    whole(page)
    last = numbers(page)[-1]
    page.reload()
    assert numbers(page)[-1] == last
    assert hostile.TITLE.strip()[:40] in page.locator("h1").first.inner_text()
    for reading in ("", "trace/", "events/", f"events/{last - 1}/", "inspect/tools/", "inspect/progress/", "?event=2"):
        page.goto(session + reading)
        whole(page)
    assert complaints == []
