"""Search: words of titles and logs, in one's own workspace, with a piece of the text around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.models import Workspace
from contract.acting import Acting
from contract.errors import InvalidRequest
from contract.roles import Role
from sessions import events as ev
from sessions import search
from sessions.events import Draft
from sessions.models import Event, Session
from sessions.projections import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessions.projections.said import Piece
    from tests.web.conftest import World


def words(pieces: Sequence[Piece]) -> str:
    return "".join(f"[{piece.text}]" if piece.found else piece.text for piece in pieces)


def test_words_are_parted_alike_in_text_and_question() -> None:
    assert said.plain("Wrote /mnt/session/outputs/Hello_World.txt") == "wrote mnt session outputs hello world txt"
    assert said.question("hello.txt") == "('hello':* & 'txt':*)"
    assert said.question('"release notes" -draft') == "('release' <-> 'notes') & !('draft':*)"


@pytest.mark.parametrize("asked", ["", "  ", "'); --", "!!", "-only", "\x00"])
def test_a_question_without_a_word_asks_nothing(asked: str) -> None:
    assert said.question(asked) == ""


def test_only_what_people_read_is_text() -> None:
    call = {"name": "bash", "input": {"command": "make all", "deep": {"er": ["x1"]}}, "evaluated_permission": "allow"}
    assert said.said(ev.TOOL_USE, call) == "bash\nmake all\nx1"
    image = {"type": "image", "source": {"type": "base64", "data": "QUJD"}}
    message = {"content": [{"type": "text", "text": "See"}, image]}
    assert said.said(ev.USER_MESSAGE, message) == "See"
    assert said.said(ev.MODEL_START, {"text": "no"}) == ""
    assert len(said.said(ev.AGENT_MESSAGE, {"content": "w " * 9000})) == said.LONGEST


def test_a_snippet_shows_where_the_words_stand() -> None:
    text = "x " * 200 + "then the Deployment failed " + "y " * 300
    shown = words(said.snippet(text, "deploy fail"))
    assert "then the [Deployment] [failed] y" in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert words(said.snippet("nothing here", "word")) == "nothing here"


def test_a_log_is_found_by_its_words_and_leads_to_the_entry(world: World) -> None:
    content = [{"type": "text", "text": "The Turbine überhitzt near the outlet"}]
    (said_so,) = world.append(Draft(ev.AGENT_MESSAGE, {"content": content}))
    answer = search.search("ÜBER turb", 10, world.acting)
    assert [hit.event_id for hit in answer.hits] == [said_so.pk]
    assert "[Turbine] [überhitzt]" in words(answer.hits[0].pieces)
    assert not answer.truncated
    assert search.in_logs("turbine", world.workspace.pk).events == {world.session.pk: said_so.pk}


def test_a_title_is_found_in_parts(world: World) -> None:
    Session.objects.filter(pk=world.session.pk).update(title="Fix src/Größe_test.py")
    for asked in ("größe", "test.py", "src fix", '"src größe"'):
        assert [one.pk for one in search.search(asked, 10, world.acting).sessions] == [world.session.pk], asked
    assert search.search("typo", 10, world.acting).sessions == []


def test_another_workspace_is_never_found(world: World) -> None:
    world.append(Draft(ev.USER_MESSAGE, {"content": [{"type": "text", "text": "marmalade"}]}))
    elsewhere = Workspace.objects.get(name="Theirs")
    assert search.search("marmalade", 10, Acting(elsewhere.pk, Role.ADMIN, "charlie")).hits == []
    assert search.in_logs("marmalade", elsewhere.pk).events == {}


def test_an_entry_without_text_has_no_words_and_no_reader_loads_any(world: World) -> None:
    world.append(Draft(ev.MODEL_START, {"model": "demo"}), Draft(ev.AGENT_MESSAGE, {"content": []}))
    assert Event.objects.filter(session=world.session, words__isnull=False).count() == 0
    assert all("words" in event.get_deferred_fields() for event in Event.objects.filter(session=world.session))


def test_what_fits_too_much_is_cut_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST", 3)
    world.append(*[Draft(ev.AGENT_MESSAGE, {"content": [{"type": "text", "text": "common"}]}) for _ in range(5)])
    assert search.in_logs("common", world.workspace.pk).cut
    assert search.search("common", 10, world.acting).truncated


def test_a_question_must_hold_a_word(world: World) -> None:
    with pytest.raises(InvalidRequest, match=r"^q: "):
        search.search("…", 10, world.acting)
