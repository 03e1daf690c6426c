"""A member's first day in Chromium: joined by a link, a passkey made and used, removed while the page is open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.web.chromium import IN_CHROMIUM, PATIENCE
from tests.web.test_keys_and_axe import violations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.live import Installation

pytestmark = IN_CHROMIUM
PASSWORD = "a good one of 7 words"


@pytest.fixture
def other(browser: Browser, installation: Installation, complaints: list[str]) -> Iterator[Page]:
    """Another person's browser, with a passkey in it; on a host name, for browsers make passkeys for names only."""
    context = browser.new_context(base_url=installation.url.replace("127.0.0.1", "localhost"))
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    able = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options = {**able, "isUserVerified": True, "automaticPresenceSimulation": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield page
    context.close()


def test_a_member_joins_signs_in_by_passkey_and_is_out_once_removed(
    page: Page, other: Page, complaints: list[str]
) -> None:
    page.goto("/members/new/")
    page.get_by_label("Username").fill("dora")
    page.get_by_role("button", name="Add member").click()
    link = page.inner_text("#secret")
    found = violations(page)
    other.goto(link[link.index("/join/") :])
    other.get_by_label("New password", exact=True).fill(PASSWORD)
    other.get_by_label("New password confirmation").fill(PASSWORD)
    found += violations(other)
    other.get_by_role("button", name="Set password").click()
    other.get_by_label("Username").fill("dora")
    other.get_by_label("Password").fill(PASSWORD)
    found += violations(other)
    other.get_by_role("button", name="Sign in", exact=True).click()
    other.wait_for_url("**/")
    other.goto("/account/passkeys/new/")
    other.get_by_label("Name").fill("This laptop")
    found += violations(other)
    other.get_by_role("button", name="Add passkey").click()
    other.wait_for_selector("#codes")
    found += violations(other)
    other.goto("/account/")
    assert "This laptop" in other.inner_text("main")
    found += violations(other)
    other.get_by_role("button", name="Sign out", exact=True).click()
    other.get_by_role("button", name="Sign in with a passkey").click()
    other.wait_for_url(re.compile(r"localhost:\d+/$"))
    other.get_by_role("button", name="Sign out", exact=True).click()
    other.get_by_label("Username").fill("dora")
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in", exact=True).click()
    other.wait_for_url("**/login/code")
    found += violations(other)
    other.get_by_role("button", name="Use a passkey").click()
    other.wait_for_url(re.compile(r"localhost:\d+/$"))
    page.goto("/members/")
    found += violations(page)
    row = page.locator("tr", has_text="dora")
    assert "yes" in row.inner_text(), "the second factor shows"
    row.get_by_role("link", name="Remove").click()
    found += violations(page)
    page.get_by_role("button", name="Remove dora").click()
    page.wait_for_selector("text=is no longer a member")
    other.reload()
    other.wait_for_url("**/login**")
    assert (found, complaints) == ([], [])


def test_the_admin_fits_a_phone_and_nothing_in_it_overlaps(page: Page, complaints: list[str]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/admin/", "/admin/agents/membership/", "/admin/credentials/apikey/", "/admin/auth/user/add/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        header, title = page.locator("#header").bounding_box(), page.locator("#content h1").bounding_box()
        tools = page.locator("#user-tools").bounding_box()
        assert header and title and tools
        assert tools["y"] + tools["height"] <= header["y"] + header["height"] + 1, path
        assert header["y"] + header["height"] <= title["y"], path
    assert complaints == []
