"""What the tests in Chromium share: how it is started, and what a person does on the pages."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 30_000  # milliseconds; a deadline, never a pause
IN_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: the browser tests did not run"),
]


def start(page: Page, task: str, agent: str = "Demo") -> None:
    """Start a session from the page."""
    page.goto("/sessions/new/")
    page.get_by_label("Agent", exact=True).select_option(label=agent)
    page.get_by_label("Environment", exact=True).select_option(label="Default")
    page.get_by_label("Task").fill(task)
    page.get_by_role("button", name="Start session").click()
    page.wait_for_url(re.compile(r"/sessions/sesn_\w+/$"))
    page.wait_for_selector("#live[data-connected]")
    page.evaluate("window.neverReloaded = true")


def say(page: Page, words: str) -> None:
    page.get_by_label("Message", exact=True).fill(words)
    page.keyboard.press("Control+Enter")


def settled(page: Page) -> None:
    page.wait_for_selector("#state-now .pill.done")


def numbers(page: Page) -> list[int]:
    """The event numbers of the rows, in the order of the page."""
    return [int(row.get_attribute("data-seq") or 0) for row in page.query_selector_all("#log > .row:not(.streaming)")]


def transcript(page: Page) -> str:
    return re.sub(r' new"', '"', page.inner_html("#log"))


def same_after_reload(page: Page) -> None:
    """What was pushed is what a reload shows: the last push may still be on its way when the state says done."""
    page.wait_for_selector("#log > .row.mark:last-child >> text=Turn finished")
    pushed = transcript(page)
    assert numbers(page) == sorted(set(numbers(page)))
    page.reload()
    page.wait_for_selector("#live[data-connected]")
    assert re.sub(r"\s+", " ", transcript(page)) == re.sub(r"\s+", " ", pushed)


def loud(page: Page) -> list[str]:
    """What interrupts a reader of the page though nothing is wrong, and clocks that tell of every second."""
    return [
        f"{page.url}: {found.inner_text()}"
        for loud in ("[role=alert]:not(:empty)", "[aria-live=assertive]", "[aria-live] [data-since]:not([role=timer])")
        for found in page.locator(loud).all()
    ]
