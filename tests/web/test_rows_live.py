"""Rows of forms in Chromium: swapped alone, told of at their fields while one types, the focus where one goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.web.chromium import IN_CHROMIUM
from tests.web.test_keys_and_axe import violations

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = IN_CHROMIUM


def add(page: Page, button: str, field: str) -> None:
    """Press the button that adds a row; the row's first field has the focus then."""
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_selector(f"#{field}:focus")


def test_rows_are_added_checked_moved_and_saved(page: Page, complaints: list[str]) -> None:
    page.goto("/agents/new/")
    page.get_by_label("Name", exact=True).fill("Ruled")
    page.evaluate("window.neverReloaded = true")
    add(page, "Add a rule", "id_rules-0-effect")
    page.select_option("#id_rules-0-effect", "deny")
    page.fill("#id_rules-0-host", "no host")
    page.wait_for_selector("#id_rules-0-host_error >> text=api.example.com")
    page.wait_for_selector("#whole >> text=1 field needs a change")
    page.fill("#id_rules-0-host", "*.example.com")
    page.wait_for_selector("#python >> text=*.example.com")
    assert page.inner_text("#id_rules-0-host_error") == ""
    add(page, "Add a rule", "id_rules-1-effect")
    page.select_option("#id_rules-1-effect", "ask")
    page.locator("#rows-rules > ol > li").nth(1).get_by_role("button", name="Up").click()
    page.wait_for_selector("#id_rules-0-effect option[value=ask]:checked", state="attached")
    add(page, "Add a server", "id_servers-0-name")
    page.fill("#id_servers-0-name", "tickets")
    page.fill("#id_servers-0-url", "https://mcp.example.com/mcp")
    add(page, "Add a tool", "id_servers-0-tools-0-name")
    page.fill("#id_servers-0-tools-0-name", "delete")
    page.select_option("#id_servers-0-tools-0-permission", "off")
    add(page, "Add a custom tool", "id_customs-0-name")
    page.locator("#rows-customs > ol > li").get_by_role("button", name="Remove").click()
    page.wait_for_selector("#rows-customs:not(:has(li))")
    page.wait_for_selector(".permissions >> text=tickets: delete")
    assert violations(page) == []
    assert page.evaluate("window.neverReloaded") is True
    page.locator("#id_name").press("Enter")
    page.wait_for_url(re.compile(r"/agents/agent_\w+/$"))
    page.wait_for_selector(".rules li:nth-child(1) >> text=Ask about every call")
    page.wait_for_selector(".rules li:nth-child(2) >> text=*.example.com")
    assert complaints == []


def test_a_session_is_started_with_rows_and_files(page: Page, complaints: list[str]) -> None:
    page.goto("/sessions/new/")
    page.get_by_label("Agent", exact=True).select_option(label="Demo")
    page.get_by_label("Environment", exact=True).select_option(label="Default")
    page.get_by_label("Task").fill("Run `cat /mnt/session/uploads/a.txt`.")
    page.set_input_files("#id_attachments", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"by hand\n"})
    add(page, "Add a pair", "id_metadata-0-key")
    page.fill("#id_metadata-0-key", "team")
    page.fill("#id_metadata-0-text", "billing")
    for fold in page.locator("details.more > summary").all():
        fold.click()
    assert violations(page) == []
    page.get_by_role("button", name="Start session").click()
    page.wait_for_selector("#log .result >> text=by hand")
    assert complaints == []
