"""Every sentence of the pages can be translated: none stands in a template unmarked, and pages show the translation."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.utils.translation import trans_real
from django.utils.translation.template import templatize

from agents.models import Agent, Environment
from sessions import events as ev
from sessions import render
from sessions.events import Draft
from sessions.models import Session, Thread
from tests.web.conftest import bash, result, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.conftest import World

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SHOWN_ATTRIBUTES = {"title", "aria-label", "placeholder", "alt", "data-label", "data-command", "data-confirm"}
AS_IT_IS = {"pre", "code", "kbd", "script", "style", "svg"}
# Names, and the value of a block that is a class.
NO_LANGUAGE = {"Holdfast", "Python", "curl", "CSV", "UTC", "Ctrl", "full"}


class Shown(HTMLParser):
    """The texts of a page that people read or hear, as ``texts``."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside += tag in AS_IT_IS
        self.texts += [value for name, value in attrs if name in SHOWN_ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag in AS_IT_IS

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.texts.append(data)


def words(page: str) -> set[str]:
    return {word for text in Shown(page).texts for word in re.findall(r"[A-Za-z]{2,}", text)} - NO_LANGUAGE


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_holds_no_english_that_is_not_marked(template: Path) -> None:
    source = template.read_text(encoding="utf-8")
    assert templatize(source, origin=str(template))  # as ``make messages`` reads it: raises for a mark it can't read
    assert not re.search(r'\{% icon [^ ]+ "', source), "the label of an icon is not marked"
    assert not re.search(r'\|default:"(?!plus"|true"|text")[A-Za-z]', source), "a default is not marked"
    assert not re.search(r"\|pluralize", source), "{% plural %} knows the rules of other languages"
    unmarked = re.sub(r"\{% blocktranslate.*?\{% endblocktranslate %\}", "", source, flags=re.DOTALL)
    assert words(re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", unmarked)) == set()


def test_phrases_of_modules_without_django_are_marked_by_the_name_that_is_looked_for() -> None:
    for path in ROOT.glob("[acs]*/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "contract.phrases":
                names = {name.name: name.asname for name in node.names}
                assert names.get("marked", "_") == "_", path
                assert names.keys() <= {"marked", "mapped", "Told"}, path


@pytest.fixture
def another_language(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A language in which every sentence is the English one between angle quotes."""
    monkeypatch.setattr(trans_real.DjangoTranslation, "gettext", lambda _, text: f"«{text}»")
    monkeypatch.setattr(
        trans_real.DjangoTranslation, "ngettext", lambda _, one, many, n: f"«{one if n == 1 else many}»"
    )
    yield


@pytest.mark.usefixtures("another_language")
@pytest.mark.parametrize("path", ["/help/shortcuts/", "/system/errors/", "/vaults/new/", "/members/new/", "/nowhere/"])
def test_a_page_without_data_is_translated_whole(world: World, path: str) -> None:
    page = world.alice.get(path).content.decode()
    texts = Shown(page).texts
    assert [text for text in texts if "«" in text]
    left = " ".join(re.sub(r"«[^«»]*»|\w+_\w+", "", text) for text in texts)  # types of the wire stay as they are
    told = {"alice", "admin", "Admin", "option", "name"}
    assert set(re.findall(r"[A-Za-z]{3,}", left)) - NO_LANGUAGE - told == set()


@pytest.mark.usefixtures("another_language")
def test_what_is_pushed_speaks_the_language_of_the_page(world: World) -> None:
    world.append(world.running(), world.idle(ev.requires_action([world.approval.pk])))
    page = world.alice.get(f"/sessions/{world.session.pk}/").content.decode()
    for phrase in ("Transcript", "Elapsed", "Approve", "Needs you", "The agent waits for an answer."):
        assert f"«{phrase}»" in page, phrase
    assert render.state_html(Session.objects.get(pk=world.session.pk)) in page


def foreign(world: World) -> None:
    """A session whose people and agents speak Greek, with an entry of every kind that our own words tell of."""
    calls = [
        bash("λς\n" * 20),
        bash("λς", ask=True),
        Draft(ev.TOOL_USE, {"name": "write", "input": {"file_path": "ά.py", "content": "1\n"}}),
        Draft(ev.TOOL_USE, {"name": "edit", "input": {"file_path": "ά.py", "old_string": "1", "new_string": "2"}}),
        Draft(ev.TOOL_USE, {"name": "read", "input": {"file_path": "ά.py", "view_range": [1, 2]}}),
        Draft(ev.TOOL_USE, {"name": "grep", "input": {"pattern": "λ", "path": "έ"}}),
        Draft(ev.TOOL_USE, {"name": "bash", "input": {"restart": True}}),
        Draft(ev.CUSTOM_TOOL_USE, {"name": "καιρός", "input": {"πόλη": "Αθήνα"}}),
    ]
    world.append(world.running(), Draft(ev.USER_MESSAGE, {"content": text("Πήγαινε")}), Draft(ev.MODEL_START))
    made = world.append(Draft(ev.AGENT_THINKING), Draft(ev.AGENT_MESSAGE, {"content": text("Ναι")}), *calls)
    done = [one for one in made if one.type == ev.TOOL_USE]
    world.append(*[result(one, "α\nβ", is_error=n == 0) for n, one in enumerate(done[2:])])
    told: list[tuple[str, dict[str, Any]]] = [
        (ev.OPS_SANDBOX_OPENED, {"origin": "fresh", "duration_ms": 900, "layers": ["α"]}),
        (ev.OPS_TAKEN_OVER, {"seconds": 3}),
        (ev.OPS_RETRY, {"attempt": 1, "of": 3, "seconds": 2}),
        (ev.OPS_PAUSED, {"by": "Άννα"}),
        (ev.OPS_RESUMED, {"by": "Άννα"}),
        (ev.OPS_ASSIGNED, {"by": "Άννα", "to": "", "tool_use_id": done[1].pk}),
        (ev.OPS_PERMISSIONS, {"by": "Άννα"}),
        (ev.OPS_CALL_EDITED, {"by": "Άννα", "name": "bash", "tool_use_id": done[1].pk, "input": {}}),
        (ev.OPS_SANDBOX_RESTORED, {"origin": "restored", "from": "α", "to": "β"}),
        (ev.OPS_SANDBOX_RESTORED, {"origin": "restored", "damaged_snapshot": "d", "earlier_snapshot": 2}),
        (ev.OPS_CLEARED, {}),
        (ev.OPS_ONLY_TALK, {"with": "β", "messages": 16}),
    ]
    world.append(*[Draft(kind, payload) for kind, payload in told])
    world.append(Draft(ev.MODEL_END, {"model_usage": {"output_tokens": 1200}}))
    world.append(world.idle(ev.requires_action([done[1].pk])))
    Agent.objects.update(name="Πράκτορας")
    Thread.objects.update(agent_name="Πράκτορας")
    Environment.objects.filter(name="Default").update(name="Τόπος")
    Session.objects.update(title="Τίτλος")


@pytest.mark.usefixtures("another_language")
@pytest.mark.parametrize(
    "reading",
    [
        *("", "trace/", "events/", "files/", "threads/{thread}/"),
        *[f"inspect/{tab}/" for tab in ("session", "progress", "tools", "resources", "threads", "team", "access")],
    ],
)
def test_a_session_s_page_is_translated_whole(world: World, reading: str) -> None:
    foreign(world)
    path = f"/sessions/{world.session.pk}/" + reading.replace("{thread}", world.thread.pk)
    page = world.alice.get(path).content.decode()
    texts = Shown(page[page.index("<main") : page.index("</main>")]).texts
    left = re.findall(r"[A-Za-z0-9_.]{2,}", said(" ".join(texts)))
    ours = {word for word in left if not re.search(r"[0-9_.]", word)} - NO_LANGUAGE  # no ids, no names of files
    assert ours - {"alice", "bash", "write", "edit", "read", "grep", "demo", "text", "html"} == set()


def said(text: str) -> str:
    """Without what is translated, from the inside out: a sentence may hold links, and parameters that are sentences."""
    while (inner := re.sub(r"«[^«»]*»", "", text)) != text:
        text = inner
    return text
