"""The pages in Chromium on the whole product: start, watch, lose the server, catch up, approve, interrupt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.web.chromium import IN_CHROMIUM, numbers, same_after_reload, say, settled, start

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.live import Installation

pytestmark = IN_CHROMIUM


def test_a_session_is_watched_live_without_a_reload(page: Page, complaints: list[str]) -> None:
    start(page, "Write notes.txt with `from the page`, run `cat notes.txt; echo o-u-t`.")
    page.wait_for_selector("#log >> text=step 1 of 2")
    page.wait_for_selector("#log .result >> text=o-u-t")
    settled(page)
    page.wait_for_selector("#side-touched >> text=notes.txt")
    assert page.evaluate("window.neverReloaded") is True
    say(page, "Run `echo hello > /mnt/session/outputs/hello.txt`.")
    page.wait_for_selector("#side-outputs >> text=hello.txt")
    settled(page)
    with page.expect_download() as download:
        page.click("#side-outputs a")
    assert download.value.path().read_text() == "hello\n"
    assert page.evaluate("window.neverReloaded") is True
    same_after_reload(page)
    assert complaints == []


def test_text_streams_and_an_interrupt_takes_it_back(page: Page, complaints: list[str]) -> None:
    start(page, "Run `echo ready`.")
    settled(page)
    say(page, "[[demo: slow]] Tell me something long.")
    page.wait_for_selector("#log .prose.streaming:not(:empty)")
    page.get_by_role("button", name="Interrupt").click()
    page.wait_for_selector("#log >> text=Interrupted")
    settled(page)
    assert page.query_selector(".streaming") is None
    assert page.evaluate("window.neverReloaded") is True
    same_after_reload(page)
    assert complaints == []


def test_a_page_that_lost_its_server_catches_up_by_itself(page: Page, installation: Installation) -> None:
    start(page, "Run `echo first`, run `sleep 4; echo second`, run `echo third`.")
    page.wait_for_selector("#log .result >> text=first")
    seen = numbers(page)
    installation.kill("web")
    banner = page.wait_for_selector("#connection:visible")
    assert banner is not None
    assert re.search(r"Reconnecting, showing up to event \d+", banner.inner_text())
    page.wait_for_selector("#log .result >> text=third")
    settled(page)
    page.wait_for_selector("#connection", state="hidden")
    assert page.evaluate("window.neverReloaded") is True
    assert numbers(page)[: len(seen)] == seen
    same_after_reload(page)


def test_a_person_approves_one_call_and_denies_the_next(page: Page, complaints: list[str]) -> None:
    page.goto("/agents/new/")
    page.get_by_label("Name", exact=True).fill("Careful")
    page.locator("#id_tool_bash").select_option(label="Ask a person")
    page.get_by_role("button", name="Create agent").click()
    page.wait_for_url(re.compile(r"/agents/agent_\w+/$"))
    start(page, "Run `echo allowed-output`.", agent="Careful")
    page.wait_for_selector("#state-now >> text=Needs you")
    assert page.title().startswith("(!)")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_selector("#log .result >> text=allowed-output")
    page.wait_for_selector("#log .decision >> text=Approved")
    settled(page)
    say(page, "Run `echo never`.")
    page.get_by_label("Reason, told to the agent if you deny").fill("Not today")
    page.get_by_role("button", name="Deny").click()
    page.wait_for_selector("#log .decision >> text=Not today")
    settled(page)
    assert page.query_selector("#log .ask") is None
    assert page.evaluate("window.neverReloaded") is True
    same_after_reload(page)
    assert complaints == []


def test_the_overview_shows_what_waits_without_a_reload(
    page: Page, browser: Browser, installation: Installation
) -> None:
    start(page, "Run `echo once`.")
    settled(page)
    page.goto("/")
    page.wait_for_selector("#finished >> text=Run `echo once`.")
    page.evaluate("window.neverReloaded = true")
    other = page.context.new_page()
    start(other, "Run `sleep 2; echo watched from afar`.")
    page.wait_for_selector("#running >> text=watched from afar")
    page.wait_for_selector("#finished >> text=watched from afar")
    assert page.evaluate("window.neverReloaded") is True


def test_the_pages_work_without_scripts(browser: Browser, page: Page, installation: Installation) -> None:
    context = browser.new_context(
        base_url=installation.url, java_script_enabled=False, storage_state=page.context.storage_state()
    )
    plain = context.new_page()
    plain.goto("/sessions/new/")
    plain.get_by_label("Agent", exact=True).select_option(label="Demo")
    plain.get_by_label("Environment", exact=True).select_option(label="Default")
    plain.get_by_label("Task").fill("Run `echo plain-page`.")
    plain.get_by_role("button", name="Start session").click()
    plain.wait_for_url(re.compile(r"/sessions/sesn_\w+/$"))
    start_url = plain.url
    page.goto(start_url)
    settled(page)
    plain.reload()
    assert "plain-page" in plain.inner_text("#log")
    plain.get_by_label("Message", exact=True).fill("Run `echo second-message`.")
    plain.get_by_role("button", name="Send").click()
    plain.wait_for_url(start_url)
    assert "second-message" in plain.inner_text("#log")
    context.close()


@pytest.mark.parametrize("width", [1400, 390])
def test_no_page_scrolls_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    start(page, "Run `echo " + "a-long-line-without-end-" * 12 + "`.")
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    for path in (
        "/",
        "/sessions/",
        "/usage/",
        "/system/",
        "/system/errors/",
        "/sessions/new/",
        "/agents/",
        "/agents/new/",
        "/environments/",
        "/keys/",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path


def test_a_chosen_theme_is_kept(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/")
    page.get_by_role("button", name="View").click()
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.goto("/agents/")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
