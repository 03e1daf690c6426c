"""Watching a session in Chromium while the sign-in ends or the role is lowered: the page says so and leads back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.chromium import IN_CHROMIUM, PATIENCE, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.live import Installation

pytestmark = IN_CHROMIUM
PASSWORD = "a good one of 7 words"
LIVE = ("/", "/approvals/", "/agents/", "/system/")  # pages with no banner for their connection


@pytest.fixture
def other(browser: Browser, installation: Installation) -> Iterator[Page]:
    context = browser.new_context(base_url=installation.url)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_sign_in_that_ends_while_watching_leads_back_to_the_same_place(
    page: Page, other: Page, installation: Installation
) -> None:
    start(other_signed_in(other, installation), "Say hello.")
    place = other.url
    beside = [other.context.new_page() for _ in LIVE]
    for shown, path in zip(beside, LIVE, strict=True):
        shown.goto(f"{installation.url}{path}", wait_until="networkidle")
    page.goto("/account/")
    page.locator("tr", has_not_text="(this one)").get_by_role("button", name="End", exact=True).first.click()
    page.wait_for_selector("text=This sign-in has ended")
    for shown in (other, *beside):
        shown.get_by_role("link", name="Sign in and come back here").wait_for()
    assert other.get_by_role("button", name="Send").count() == 0, "what would be refused is gone"
    other.get_by_role("link", name="Sign in and come back here").click()
    sign_in(other, installation.username, installation.password)
    other.wait_for_url(place)
    other.get_by_role("button", name="Send").wait_for()


def other_signed_in(other: Page, installation: Installation) -> Page:
    other.goto("/login")
    sign_in(other, installation.username, installation.password)
    other.wait_for_url(f"{installation.url}/")
    return other


def test_a_role_that_is_lowered_while_watching_takes_the_controls_away(page: Page, other: Page) -> None:
    page.goto("/members/new/")
    page.get_by_label("Username").fill("emil")
    page.get_by_label("Role").select_option("operator")
    page.get_by_role("button", name="Add member").click()
    link = page.inner_text("#secret")
    other.goto(link[link.index("/join/") :])
    other.get_by_label("New password", exact=True).fill(PASSWORD)
    other.get_by_label("New password confirmation").fill(PASSWORD)
    other.get_by_role("button", name="Set password").click()
    sign_in(other, "emil", PASSWORD)
    start(other, "Say hello.")
    place = other.url
    page.goto("/members/")
    row = page.locator("tr", has_text="emil")
    row.get_by_role("combobox").select_option("viewer")
    row.get_by_role("button", name="Change").click()
    other.wait_for_selector("text=your rights here have changed")
    assert other.get_by_role("button", name="Send").count() == 0
    other.get_by_role("link", name="Sign in and come back here").click()
    sign_in(other, "emil", PASSWORD)
    other.wait_for_url(place)
    other.wait_for_selector("#log")
    assert other.get_by_role("button", name="Send").count() == 0, "a viewer has none"
