"""What was said, sealed in the database: nobody reads it there, everybody reads it through the log."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection

from agents.models import Membership
from contract import blobs
from contract.acting import Acting
from contract.roles import Role
from contract.secret import Secret
from credentials import at_rest, crypto, resealing
from sessions import events as ev
from sessions import inspection, log, search, snapshots, window
from sessions.events import Draft
from sessions.models import Approval, Event
from sessions.models.core import CLEAR_PAYLOAD, CLEAR_PRIVATE
from sessions.verify import verify
from tests.sessions.rows import make_session
from tests.test_architecture import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from django.test import Client

    from sessions.models import Session, Thread

pytestmark = pytest.mark.django_db

OLD = ("old", Secret(base64.b64encode(b"o" * 32).decode()))
NEW = ("new", Secret(base64.b64encode(b"n" * 32).decode()))
SAID = "the harvest is in barn seven"


@pytest.fixture(autouse=True)
def ring(settings: Any) -> None:
    settings.HOLDFAST_KEYS = (OLD,)
    settings.HOLDFAST_SEAL_EVENTS = True


def said(text: str = SAID) -> Draft:
    return Draft(ev.USER_MESSAGE, {"content": [{"type": "text", "text": text}]}, private={"note": text, "usage": {}})


def written(path: str) -> list[Draft]:
    """A call that writes a file, waits for a person, is changed and answered."""
    call = {"name": "write", "input": {"file_path": path, "content": SAID * 40}, "evaluated_permission": "ask"}
    use = Draft(ev.TOOL_USE, call, id="sevt_sealedcall")
    edited = {"tool_use_id": "sevt_sealedcall", "name": "write", "before": call["input"], "input": {"content": SAID}}
    allowed = {"tool_use_id": "sevt_sealedcall", "result": "allow"}
    return [
        use,
        Draft(ev.OPS_CALL_EDITED, {**edited, "by": "A"}),
        Draft(ev.USER_TOOL_CONFIRMATION, allowed, private={"by": "A", "shown": {"input": SAID}}),
        ev.result_draft(ev.TOOL_USE, "sevt_sealedcall", [{"type": "text", "text": SAID}], is_error=False),
    ]


def on_disk() -> str:
    """The rows of every table that an entry touches, as the database would hand them to a thief."""
    found = []
    with connection.cursor() as cursor:
        for table in ("event", "approval", "session", "thread"):
            cursor.execute(f"SELECT to_jsonb(t)::text FROM agent_sessions_{table} t")
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


def begun() -> tuple[Session, Thread]:
    session, thread = make_session()
    log.append(session.id, thread.id, [said(), *written("/workspace/barn.txt")])
    return session, thread


def wire(session: Session) -> list[dict[str, Any]]:
    return [ev.wire(event) for event in log.read(session.id)]


def test_the_database_holds_no_word_and_the_log_reads_as_ever() -> None:
    session, _ = begun()
    stored = on_disk()
    assert "harvest" not in stored
    assert "barn" not in stored
    assert at_rest.MARK in stored
    assert wire(session)[0]["content"] == [{"type": "text", "text": SAID}]
    assert log.read(session.id)[0].private == {"note": SAID, "usage": {}}
    approval = Approval.objects.get(pk="sevt_sealedcall")
    assert approval.edited_input == {"content": SAID}
    assert approval.shown == {"input": SAID}
    session.refresh_from_db()
    assert verify(session) == []


def test_what_the_pages_count_is_the_same_sealed_and_plain(settings: Any) -> None:
    def seen(session: Session) -> tuple[Any, ...]:
        session.refresh_from_db()
        (tool,) = inspection.tools(session)
        return tool.name, tool.calls, tool.failures, tool.size > 0, window.touched_files(session)

    sealed, _ = begun()
    found = seen(sealed)
    sealed.delete()
    settings.HOLDFAST_SEAL_EVENTS = False
    assert found == seen(begun()[0])
    assert found[-1] == ["/workspace/barn.txt"]
    assert SAID in on_disk()


def test_a_sealed_entry_that_was_moved_to_another_is_refused() -> None:
    session, thread = begun()
    other = log.append(session.id, thread.id, [said("something else")])[0]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agent_sessions_event SET payload = (SELECT payload FROM agent_sessions_event WHERE seq = 1) "
            "WHERE id = %s",
            [other.id],
        )
    with pytest.raises(crypto.CannotOpen, match="changed or moved"):
        Event.objects.get(pk=other.id)


def test_what_looks_sealed_and_is_not_comes_back_as_it_was(settings: Any) -> None:
    settings.HOLDFAST_SEAL_EVENTS = False
    odd = {at_rest.MARK: "not at all", "input": 1}
    assert at_rest.opened(at_rest.shut(odd, "row"), "row") == odd


def test_reseal_follows_key_and_setting_both_ways(settings: Any) -> None:
    session, _ = begun()
    before = wire(session)
    settings.HOLDFAST_KEYS = (NEW, OLD)
    out = io.StringIO()
    call_command("reseal", stdout=out)
    settings.HOLDFAST_KEYS = (NEW,)
    assert wire(session) == before
    assert sum(tally.resealed for tally in resealing.reseal()) == 0
    settings.HOLDFAST_SEAL_EVENTS = False
    call_command("reseal", stdout=out)
    assert at_rest.MARK not in on_disk()
    assert set(search.in_logs("harvest", session.workspace_id).events) == {session.id}
    assert not search.in_logs("harvest", session.workspace_id).sealed
    settings.HOLDFAST_SEAL_EVENTS = True
    call_command("reseal", stdout=out)
    assert "harvest" not in on_disk()
    assert search.in_logs("harvest", session.workspace_id).events == {}
    assert search.in_logs("-harvest", session.workspace_id).events == {}, "nothing is known of it, so it is no answer"
    assert search.in_logs("harvest", session.workspace_id).sealed
    assert wire(session) == before
    assert SAID not in out.getvalue()


def test_a_search_says_that_it_could_not_look_at_what_is_sealed(settings: Any, client: Client) -> None:
    session, _ = begun()
    settings.HOLDFAST_SEAL_EVENTS = False  # no matter what holds for what comes now
    other, thread = make_session()
    log.append(other.id, thread.id, [said("the harvest is open")])
    for row, partial in ((session, True), (other, False)):
        user = get_user_model().objects.create_user(row.id)
        Membership.objects.create(workspace_id=row.workspace_id, user=user, role=Role.VIEWER.value)
        client.force_login(user)
        shown = client.get("/sessions/?q=harvest").content.decode()
        assert ("lies sealed and was not searched" in shown) == partial
        acting = Acting(row.workspace_id, Role.VIEWER, "viewer")
        found = search.search("harvest", 10, acting)
        assert (found.sealed, [hit.session.pk for hit in found.hits]) == (partial, [] if partial else [other.id])
    client.force_login(get_user_model().objects.get(username=session.id))
    assert "not searched" not in client.get("/sessions/").content.decode()


def test_a_lost_key_is_said_in_one_sentence(settings: Any) -> None:
    session, _ = begun()
    settings.HOLDFAST_KEYS = (NEW,)
    with pytest.raises(crypto.KeyMissing, match="The key 'old' is not in HOLDFAST_KEYS; add it back"):
        log.read(session.id)
    with pytest.raises(CommandError, match="The key 'old' is not in HOLDFAST_KEYS"):
        call_command("reseal", stdout=io.StringIO())


def test_a_workspace_that_did_not_change_is_kept_once_though_sealed(settings: Any, tmp_path: Path) -> None:
    settings.HOLDFAST_BLOB_DIR = tmp_path
    settings.HOLDFAST_SEAL_SNAPSHOTS = True
    pieces = [b"tar of a workspace " * 1000, SAID.encode()]
    name, _ = snapshots.put(pieces)
    again, _ = snapshots.put([b"".join(pieces)])
    assert again == name
    assert len(list(blobs.untouched_since(2**40))) == 1
    assert SAID.encode() not in blobs.path(name).read_bytes()
    with snapshots.open_plain(name) as stream:
        assert stream.read() == b"".join(pieces)
    assert snapshots.put([b"another"])[0] != name


def test_a_kept_workspace_is_sealed_anew_under_its_name_and_damage_is_told_from_a_lost_key(
    settings: Any, tmp_path: Path
) -> None:
    settings.HOLDFAST_BLOB_DIR = tmp_path
    settings.HOLDFAST_SEAL_SNAPSHOTS = True
    session, thread = make_session()
    name, size = snapshots.put([SAID.encode()])
    log.append(session.id, thread.id, [Draft(ev.OPS_SNAPSHOT, {"digest": name, "size": size})])
    settings.HOLDFAST_KEYS = (NEW, OLD)
    call_command("reseal", stdout=io.StringIO())
    settings.HOLDFAST_KEYS = (NEW,)
    assert snapshots.is_sound(name)
    settings.HOLDFAST_KEYS = (OLD,)
    with pytest.raises(crypto.KeyMissing):
        snapshots.is_sound(name)
    settings.HOLDFAST_KEYS = (NEW,)
    data = bytearray(blobs.path(name).read_bytes())
    data[-1] ^= 1
    blobs.path(name).write_bytes(data)
    assert not snapshots.is_sound(name)
    assert not snapshots.is_sound("zz"), "what can't be a name is a snapshot that is missing"


def test_every_column_that_the_database_asks_about_is_in_the_clear() -> None:
    """A query that names a sealed field would silently find nothing."""
    wrong = []
    for file in (ROOT / "sessions").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for column, clear in (("payload", CLEAR_PAYLOAD), ("private", CLEAR_PRIVATE)):
            named = re.findall(rf"{column}__(\w+?)(?:__\w+)?\b|{column}->>'([a-z_]+)'", text)
            named += [(one, "") for one in re.findall(rf'KeyTextTransform\("(\w+)", "{column}"\)', text)]
            asked = {first or second for first, second in named} - {"has_key", "input", "content"}
            wrong += [f"{file.name}: {column}.{field}" for field in sorted(asked - set(clear))]
            whole = re.findall(rf'values_list\((?:"\w+", )*"{column}"', text)
            wrong += [f"{file.name}: {one}" for one in whole]
    assert wrong == []


def test_a_sealed_entry_is_json_that_names_its_key() -> None:
    """So that whoever looks after the database can tell which keys it needs."""
    form = at_rest.shut({"content": [SAID], "name": "x"}, "row", ("name",))
    assert json.loads(json.dumps(form)) == form
    assert (form["name"], at_rest.key_of(form)) == ("x", "old")
