"""What becomes of a page's own requests in Chromium: sent once, and a failure is said where one stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web.chromium import IN_CHROMIUM, settled, start

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from tests.live import Installation

pytestmark = IN_CHROMIUM
ENDED = "text=Your sign-in has ended"


def signed_out(page: Page) -> None:
    """The sign-in is gone and nothing has told the page."""
    kept = [cookie for cookie in page.context.cookies() if "csrf" in cookie["name"]]
    page.context.clear_cookies()
    page.context.add_cookies(
        [{"name": one["name"], "value": one["value"], "domain": one["domain"], "path": one["path"]} for one in kept]
    )


def test_a_double_click_sends_a_message_once(page: Page) -> None:
    start(page, "Say `hello`.")
    settled(page)

    def late(route: Route) -> None:
        page.wait_for_timeout(300)
        route.continue_()

    page.route("**/send/", late)
    page.get_by_label("Message", exact=True).fill("Say `only once`.")
    page.get_by_role("button", name="Send").dblclick()
    page.locator("#log .row", has_text="Turn finished").nth(1).wait_for()
    assert page.locator("#log .row", has_text="Say `only once`.").count() == 1


def test_a_sign_in_that_ended_unnoticed_is_said_instead_of_swapped_in(page: Page) -> None:
    start(page, "Say `hello`.")
    settled(page)
    signed_out(page)
    page.get_by_label("Message", exact=True).fill("Do not lose me.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(ENDED)
    assert page.locator("input[name=password]").count() == 0, "the sign-in form is not in the page"
    assert page.get_by_label("Message", exact=True).input_value() == "Do not lose me."
    assert page.get_by_role("link", name="Sign in and come back here").count() == 1


def test_the_editor_of_an_agent_says_that_the_sign_in_ended(page: Page) -> None:
    page.goto("/agents/new/")
    signed_out(page)
    page.get_by_label("Name", exact=True).first.press_sequentially("Reviewer")
    page.wait_for_selector(ENDED)
    assert page.locator("input[name=password]").count() == 0


def test_a_server_that_cannot_be_reached_is_said_and_the_words_stay(page: Page) -> None:
    start(page, "Say `hello`.")
    settled(page)
    page.route("**/send/", lambda route: route.abort())
    page.get_by_label("Message", exact=True).fill("Still here.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".toasts >> text=The server could not be reached")
    assert page.get_by_label("Message", exact=True).input_value() == "Still here."


def test_a_refusal_that_is_a_page_of_its_own_becomes_a_sentence(page: Page) -> None:
    start(page, "Say `hello`.")
    settled(page)
    page.evaluate("document.querySelector('#composer [name=csrfmiddlewaretoken]').value = 'forged'")
    page.get_by_label("Message", exact=True).fill("Refused.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".toasts .notice.failed")
    assert page.get_by_label("Message", exact=True).input_value() == "Refused."


def test_the_inbox_says_that_the_rights_have_changed(page: Page, installation: Installation) -> None:
    page.goto("/approvals/")
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('htmx:ws:close', {detail: {code: 4401}, bubbles: true}))",
    )
    page.wait_for_selector(ENDED)
    assert page.get_by_role("link", name="Sign in and come back here").count() == 1
