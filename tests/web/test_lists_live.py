"""The list, the search and the overview in Chromium: found, watched, chosen, stopped; and a server that went away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web.chromium import IN_CHROMIUM, settled, start

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.live import Installation

pytestmark = IN_CHROMIUM


def watched(page: Page, path: str) -> None:
    page.goto(path)
    page.wait_for_selector("#live[data-connected]")
    page.evaluate("window.neverReloaded = true")


def test_a_word_from_a_log_leads_to_its_entry_and_the_search_is_kept_as_a_view(
    page: Page, complaints: list[str]
) -> None:
    start(page, "Run `echo the quixotic-turbine ran hot`.")
    settled(page)
    page.goto("/sessions/")
    page.keyboard.press("f")
    page.keyboard.type("quixotic")
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows mark >> text=quixotic")
    page.get_by_text("Save view").click()
    page.get_by_label("Name of the view").fill("Turbines")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_selector(".views [aria-current] >> text=Turbines")
    page.locator("#rows .hit").first.click()
    page.wait_for_selector("#log [aria-current=true] >> text=quixotic")
    assert complaints == []


def test_rows_change_in_place_and_the_chosen_are_stopped_together(page: Page, complaints: list[str]) -> None:
    start(page, "Run `echo one`, run `sleep 60; echo two`.")
    session = page.url.rstrip("/").rsplit("/", 1)[-1]
    watched(page, "/sessions/")
    first = page.locator("#rows tr").first
    assert first.get_attribute("id") == f"s-{session}"
    first.get_by_role("checkbox").check()
    other = page.context.new_page()
    start(other, "Run `echo three`.")
    page.wait_for_selector("#newer >> text=+1 new")
    assert first.get_attribute("id") == f"s-{session}"
    page.wait_for_selector(f"#s-{session} .laststep >> text=sleep 60")
    assert first.get_by_role("checkbox").is_checked()
    assert page.evaluate("window.neverReloaded") is True
    page.get_by_role("button", name="Stop…").click()
    page.get_by_label("Reason").fill("Not today")
    page.get_by_role("button", name="Stop them").click()
    page.wait_for_selector("text=1 session is stopped.")
    page.wait_for_selector(f"#s-{session} .pill:not(.working)")
    assert complaints == []


def test_a_list_that_lost_its_server_says_so_and_goes_on_by_itself(page: Page, installation: Installation) -> None:
    start(page, "Run `echo before`.")
    settled(page)
    session = page.url
    watched(page, "/sessions/")
    installation.kill("web")
    page.wait_for_selector("#connection >> text=Reconnecting")
    page.wait_for_selector("#connection", state="hidden")
    other = page.context.new_page()
    other.goto(session)
    other.wait_for_selector("#live[data-connected]")
    other.get_by_label("Message", exact=True).fill("Run `echo after-the-loss`.")
    other.keyboard.press("Control+Enter")
    settled(other)
    name = session.rstrip("/").rsplit("/", 1)[-1]
    page.wait_for_selector(f"#s-{name} .pill.done")
    assert page.evaluate("window.neverReloaded") is True
