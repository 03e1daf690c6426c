"""``python -m tests.screens``: an installation with something to see, and the pictures of it in ``docs/screens``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anthropic
from playwright.sync_api import sync_playwright

from tests.live import Installation, wait_for
from tests.web.chromium import CHROMIUM, FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENS = Path(__file__).resolve().parent.parent / "docs" / "screens"
SIZE = {"width": 1280, "height": 800}
TOOLS: dict[str, Any] = {"type": "agent_toolset_20260401"}
ASKING: dict[str, Any] = {**TOOLS, "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}]}
REPORT = (
    "Write report.md with `# Turbine 3\\n\\nThe bearing ran hot near the outlet; see the log of Tuesday.`. "
    "Run `wc -w report.md`. Run `for part in rotor stator outlet; do echo checking $part; sleep 1; done`. "
    "Write /mnt/session/outputs/summary.txt with `One bearing to be replaced.`."
)
AGAIN = REPORT.replace("Run `wc -w report.md`. ", "").replace("ran hot near the outlet", "is worn at the outlet")
DONE = (
    ("Tidy up the log folder", "Run `ls -la`. Write notes.txt with `nothing left to tidy`."),
    ("Check the links of the handbook", "Run `echo 214 links, all of them good`."),
    ("Überprüfung der Messwerte", "Run `echo alles in Ordnung`."),
    ("Translate the release notes", "Write notes.de.md with `Neu in dieser Version`. Run `cat notes.de.md`."),
)
WATCHED = "Write plan.md with `three steps`. Run `for n in $(seq 90); do echo working on part $n; sleep 1; done`."


class Filler:
    """Starts sessions as an integrator would."""

    def __init__(self, installation: Installation) -> None:
        self.client = anthropic.Anthropic(base_url=installation.url, api_key=installation.api_key)
        self.environment = next(iter(self.client.beta.environments.list())).id
        self.coder = self._agent("Coder", TOOLS)
        self.careful = self._agent("Release manager", ASKING)

    def _agent(self, name: str, tools: dict[str, Any]) -> str:
        words = "Works on the shop's code. Asks before it runs anything." if tools is ASKING else "Works on reports."
        found: Any = self.client.beta.agents.create(name=name, model="demo", tools=[tools], description=words)  # type: ignore[list-item]
        return str(found.id)

    def start(self, agent: str, title: str, task: str, environment: str = "") -> str:
        session = self.client.beta.sessions.create(
            agent=agent, environment_id=environment or self.environment, title=title
        )
        content: Any = [{"type": "text", "text": task}]
        self.client.beta.sessions.events.send(session.id, events=[{"type": "user.message", "content": content}])
        return session.id

    def fill(self) -> tuple[str, str]:
        """A finished session to look at, and one that waits for an answer."""
        own: Any = self.client.beta.environments.create(name="Build machines", config={"type": "self_hosted"})
        for title, task in DONE:
            self.start(self.coder, title, task)
        shown = self.start(self.coder, "Report on turbine 3", REPORT)
        self.start(self.coder, "Nightly build", "Run `make nightly`.", own.id)
        self.start(self.coder, "Refused by the model", "[[demo: fail=400]] Anything.")
        self.start(self.coder, "Watch the deployment", WATCHED)
        asked = self.start(self.careful, "Publish release 2.4", "Run `git tag v2.4 && git push origin v2.4`.")
        wait_for(lambda: self._state(shown) == "end_turn", 120, "the report was not finished")
        wait_for(lambda: self._state(asked) == "requires_action", 120, "nobody was asked")
        return shown, asked

    def fork(self, session_id: str, at: int, prompt: str) -> str:
        """A session that goes another way from event ``at``, once it is done."""
        body = {"at": at, "title": "Report on turbine 3, once more", "prompt": prompt}
        made: Any = self.client.post(f"/v1/x/sessions/{session_id}/fork", body=body, cast_to=object)
        wait_for(lambda: self._state(made["id"]) == "end_turn", 120, "the fork was not finished")
        return str(made["id"])

    def _state(self, session_id: str) -> str:
        found: Any = self.client.beta.sessions.events.list(session_id, order="desc", limit=20)
        idle = next((event for event in found.data if event.type == "session.status_idle"), None)
        return str(idle.stop_reason.type) if idle is not None else ""


def signed_in(browser: Browser, installation: Installation, scheme: Literal["light", "dark"]) -> Page:
    context = browser.new_context(base_url=installation.url, viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Username").fill(installation.username)
    page.get_by_label("Password").fill(installation.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/")
    return page


def shoot(page: Page, name: str, path: str, wait: str = "main") -> None:
    page.goto(path)
    page.wait_for_selector(wait)
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(500)  # what is drawn after the first paint: the chart, the clocks
    page.screenshot(path=SCREENS / f"{name}.png")
    print(SCREENS / f"{name}.png")


def main() -> None:
    with Installation.started(WORKERS="2") as installation, sync_playwright() as playwright:
        filler = Filler(installation)
        shown, asked = filler.fill()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = signed_in(browser, installation, "light")
        shoot(page, "overview", "/", "#needs li")
        shoot(page, "sessions", "/sessions/", "#rows tr")
        shoot(page, "session", f"/sessions/{shown}/", "#log .result")
        fork = filler.fork(shown, 1, AGAIN)
        shoot(page, "compare", f"/sessions/{shown}/compare/{fork}/")
        shoot(page, "approval", "/approvals/", ".approval")
        shoot(page, "agent", f"/agents/{filler.careful}/")
        shoot(page, "usage", "/usage/?since=7d", ".u-over")
        shoot(page, "trace", f"/sessions/{shown}/trace/")
        shoot(signed_in(browser, installation, "dark"), "session-dark", f"/sessions/{asked}/", "#log .ask, #log li")
        browser.close()


if __name__ == "__main__":
    main()
