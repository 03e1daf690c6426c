"""Nobody is shut out: axe finds nothing on the pages, and the keyboard alone reaches everything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import axe_playwright_python
import pytest

from tests.web.chromium import IN_CHROMIUM, loud, settled, start

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = IN_CHROMIUM
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOURS = ["color-contrast", "link-in-text-block"]  # the only ones that a colour scheme can matter to
PATHS = (
    *("/", "/sessions/", "/sessions/new/", "/agents/", "/agents/new/"),
    *("/usage/", "/usage/?by=user", "/system/", "/system/errors/", "/sessions/?q=words&since=7d"),
    *("/approvals/", "/limits/", "/audit/", "/members/", "/members/new/", "/account/", "/account/password/"),
    *("/environments/", "/keys/", "/help/shortcuts/", "/replay/", "/sessions/import/"),
    *("/memory/", "/memory/new/", "/skills/", "/skills/new/", "/files/"),
    *("/environments/new/", "/vaults/new/", "/schedules/new/", "/webhooks/new/"),
)

READINGS = ("events/", "files/", "trace/", "events/6/", "changes/", "inspect/session/", "inspect/tools/", "fork/")
MORE = ("limits/", "inspect/progress/", "inspect/resources/", "inspect/access/", "export/preview/")


OPENED = """() => {
  for (const fold of document.querySelectorAll("main details")) fold.open = true;
  for (const box of document.querySelectorAll(".check > [name^=own_]:not(:checked)")) box.click();
}"""


def violations(page: Page, rules: list[str] = RULES) -> list[str]:
    """What axe finds on the page as it is, in a line each."""
    page.evaluate(OPENED)
    page.evaluate(AXE)
    run = "rules => axe.run({runOnly: rules, resultTypes: ['violations']})"  # it need not look closer at what is right
    found: dict[str, Any] = page.evaluate(run, rules)
    return [
        f"{page.url} {one['id']}: {one['help']} ({node['html'][:160]})"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize(("scheme", "rules"), [("light", RULES), ("dark", OF_COLOURS)], ids=["light", "dark"])
def test_axe_finds_nothing_on_any_page(page: Page, scheme: Any, rules: list[str]) -> None:
    page.emulate_media(color_scheme=scheme)
    start(page, "Write notes.txt with `some words`, run `cat notes.txt`.")
    settled(page)
    session = page.url
    found = violations(page, rules) + loud(page)
    compared = f"{session}compare/{session.split('/')[-2]}/"
    for path in (*PATHS, *(session + name for name in (*READINGS, *MORE)), compared):
        page.goto(path)
        found += violations(page, rules) + loud(page)
    page.goto("/agents/")
    page.get_by_role("link", name="Demo", exact=True).click()
    agent = page.url
    for path in ("", "versions/1/", "edit/", "try/"):
        page.goto(agent + path)
        found += violations(page, rules)
    assert found == []


def test_the_keyboard_goes_everywhere(page: Page) -> None:
    start(page, "Run `echo by keyboard`.")
    settled(page)
    page.goto("/")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url("**/sessions/")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("#log >> text=by keyboard")
    page.keyboard.press("?")
    page.wait_for_selector("#sheet[open] >> text=Previous row")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette[open]")
    page.keyboard.type("environ")
    page.wait_for_selector("#palette [aria-selected=true] >> text=Environments")
    page.keyboard.press("Enter")
    page.wait_for_url("**/environments/")
    page.keyboard.press("Control+k")
    page.keyboard.type("by keyboard")
    page.wait_for_selector("#palette li >> text=by keyboard")
    page.keyboard.press("Enter")
    page.wait_for_selector("#log >> text=by keyboard")


def test_single_keys_rest_while_one_types_and_can_be_switched_off(page: Page) -> None:
    page.goto("/sessions/")
    page.keyboard.press("f")
    page.keyboard.type("gs?")
    assert page.input_value("[name=q]") == "gs?"
    page.get_by_role("button", name="View").click()
    page.get_by_role("group", name="Single keys").get_by_role("button", name="Off").click()
    page.reload()
    page.keyboard.press("?")
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette[open]")
    assert page.query_selector("#sheet[open]") is None
    assert page.url.endswith("/sessions/")
