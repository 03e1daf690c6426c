"""Journeys through a session in Chromium: by keyboard, through its readings, forked, compared, exported, replayed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.web.chromium import IN_CHROMIUM, loud, same_after_reload, settled, start

if TYPE_CHECKING:
    import pytest
    from playwright.sync_api import Page

pytestmark = IN_CHROMIUM
MOVED_WHILE_IT_PLAYS = """() => {
  const at = document.getElementById("at");
  const move = (to) => { at.value = to; at.oninput(); };
  move(0);
  document.getElementById("play").onclick();
  move(3);
}"""


READ_ALOUD = """
- main:
  - heading /by-keys/ [level=1]
  - button "Pause"
  - navigation "Readings of this session"
  - list "Transcript":
    - listitem:
      - button "Approve"
      - textbox "Reason, told to the agent if you deny"
      - button "Deny"
  - textbox "Message"
  - button "Send"
  - complementary "About this session":
    - navigation "Inspector"
    - region "Outputs":
      - heading "Outputs" [level=2]
    - region "Money":
      - heading "Money" [level=2]
"""


def careful_agent(page: Page, name: str) -> None:
    page.goto("/agents/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.locator("#id_tool_bash").select_option(label="Ask a person")
    page.get_by_role("button", name="Create agent").click()
    page.wait_for_url(re.compile(r"/agents/agent_\w+/$"))


def test_a_session_is_answered_and_read_by_keyboard_alone(page: Page, complaints: list[str]) -> None:
    careful_agent(page, "Keyboard")
    start(page, "Run `echo by-keys`.", agent="Keyboard")
    page.wait_for_selector("#log .ask")
    page.wait_for_function("document.title.startsWith('(!)')")
    assert loud(page) == [], "the header tells politely that the agent waits, once"
    expect(page.locator("main")).to_match_aria_snapshot(READ_ALOUD)
    page.keyboard.press("a")
    page.wait_for_selector("#log .result >> text=by-keys")
    settled(page)
    page.keyboard.press("m")
    page.keyboard.type("Run `echo never`.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#log .ask")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("x")
    page.keyboard.type("Not now")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#log .decision >> text=Not now")
    settled(page)
    same_after_reload(page)
    page.keyboard.press("w")
    page.wait_for_url("**/trace/")
    page.keyboard.press("r")
    page.wait_for_url("**/events/")
    page.keyboard.press("t")
    page.wait_for_selector("#log")
    assert complaints == []


def test_one_event_stays_selected_in_every_reading(page: Page, complaints: list[str]) -> None:
    start(page, "Write notes.txt with `one`, run `cat notes.txt`.")
    settled(page)
    row = page.locator("#log > .row.call").first
    seq = row.get_attribute("data-seq")
    row.locator("a.seq").click()
    page.wait_for_url(f"**/?event={seq}")
    page.get_by_role("link", name="Trace").click()
    page.wait_for_selector(f"#trace tr[aria-current][data-seq='{seq}']")
    page.get_by_label("Readings of this session").get_by_role("link", name="Events").click()
    page.wait_for_selector(".events li[aria-current] details[open]")
    page.get_by_role("link", name="Transcript").click()
    page.wait_for_selector(f"#log > .row[aria-current][data-seq='{seq}']")
    page.focus("#minimap svg")
    page.keyboard.press("Home")
    page.wait_for_url("**/?event=1")
    page.get_by_label("Inspector").get_by_role("link", name="Tools").click()
    page.wait_for_selector("#inspected >> text=Longest")
    page.get_by_label("Inspector").get_by_role("link", name="Resources").click()
    page.wait_for_selector("#inspected >> text=notes.txt")
    assert complaints == []


HOSTILE = (
    '<p onclick="x()" style="color:red">Is <strong class="a">bold</strong><script>alert(1)</script>'
    '<img src="/x" onerror="alert(1)"> <a href="javascript:x()">here</a> <a href="https://a.example/">there</a></p>'
)


def test_a_session_is_forked_compared_exported_and_replayed(
    page: Page, complaints: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    start(page, "Run `echo origin > kept.txt; cat kept.txt`.")
    settled(page)
    page.locator("#log > .row").last.locator("a.seq").click()
    page.get_by_role("link", name="Fork", exact=True).click()
    page.get_by_label("Prompt").fill("Run `cat kept.txt; echo from-the-fork`.")
    page.get_by_role("button", name="Fork").click()
    page.wait_for_url(re.compile(r"/sessions/sesn_\w+/$"))
    page.wait_for_selector("#log .result >> text=from-the-fork")
    settled(page)
    assert "origin" in page.locator("#log .result").last.inner_text()
    page.get_by_role("link", name="Compare with its origin").click()
    page.wait_for_selector(".compare >> text=from-the-fork")
    page.go_back()
    page.get_by_role("link", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    file = download.value.path()
    assert json.loads(file.read_text().splitlines()[-1])["type"] == "end"
    page.goto("/replay/")
    page.set_input_files("#file", file)
    page.wait_for_selector("#player:visible")
    page.select_option("#speed", "64")
    page.wait_for_selector("#played >> text=from-the-fork")
    page.wait_for_selector("#play >> text=Play")
    page.evaluate(MOVED_WHILE_IT_PLAYS)
    page.wait_for_selector("#played > :nth-child(4)")
    shown = [int(number) for number in page.locator("#played .seq").all_inner_texts()]
    assert shown == sorted(set(shown)), "it goes on from where one has moved it"
    hostile = tmp_path_factory.mktemp("replay") / "hostile.jsonl"
    said = {"seq": 2, "created_at": "2026-01-01T00:00:00Z", "event": {"type": "agent.message"}, "shown": HOSTILE}
    hostile.write_text(file.read_text().splitlines()[0] + "\n" + json.dumps(said) + "\n")
    page.set_input_files("#file", hostile)
    page.wait_for_selector("#played strong >> text=bold")
    assert (
        page.inner_html("#played .prose") == "<p>Is <strong>bold</strong> <a>here</a> " + '<a href="https://a.example/"'
        ' rel="noopener noreferrer nofollow">there</a></p>'
    )
    assert [one for one in complaints if "Content Security Policy" not in one] == []
    complaints.clear()  # the parser tells of what it ran none of
    wrong = tmp_path_factory.mktemp("replay") / "wrong.jsonl"
    wrong.write_text("<script>alert(1)</script>")
    page.set_input_files("#file", wrong)
    page.wait_for_selector("#wrong:visible")
    assert complaints == []


def test_a_narrow_page_keeps_the_inspector_in_a_drawer(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    start(page, "Run `echo small`.")
    settled(page)
    assert not page.is_visible("#inspector")
    page.get_by_role("button", name="Inspector").click()
    page.wait_for_selector("#inspector:visible >> text=Money")
    assert page.evaluate("document.querySelector('#inspector').getBoundingClientRect().top") == 0, "over the page"
    page.keyboard.press("Escape")
    page.wait_for_selector("#inspector", state="hidden")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
