"""A workspace as one signed archive: out, everything gone, in again; and archives that are refused."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from agents.models import Workspace
from contract import blobs
from contract.errors import Conflict, InvalidRequest
from contract.secret import Secret
from credentials.actions import issue_api_key
from credentials.models import AuditRecord
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.exchange import archive, rows
from sessions.models import Deployment, Session, Thread
from sessions.verify import verify
from tests.api.conftest import Caller, caller
from tests.api.multipart import Piece, multipart
from tests.streamed import whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PASSPHRASE = Secret("correct horse battery")
HELLO = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}


@pytest.fixture
def full(alice: Caller, session: dict[str, Any], vault: str) -> dict[str, Any]:
    """A workspace with a bit of everything, and what the API says of it."""
    auth = {"type": "static_bearer", "token": "very-secret-token", "mcp_server_url": "https://mcp.example"}
    alice.post(f"/vaults/{vault}/credentials", {"display_name": "C", "auth": auth})
    store = alice.post("/memory_stores", {"name": "Notes"})["id"]
    alice.post(f"/memory_stores/{store}/memories", {"path": "/a.md", "content": "remember"})
    body, kind = multipart([Piece("file", b"all is well", "report.txt")])
    Client().generic("POST", "/v1/files", body, content_type=kind, headers={"authorization": f"Bearer {alice.key}"})
    events = [HELLO]
    made = {"name": "Nightly", "agent": session["agent"]["id"], "environment_id": session["environment_id"]}
    schedule = {"type": "cron", "expression": "0 3 * * *", "timezone": "UTC"}
    alice.post("/deployments", {**made, "initial_events": events, "schedule": schedule})
    alice.post(f"/sessions/{session['id']}/events", {"events": events})
    thread = Thread.objects.get(session_id=session["id"])
    about = {"session_thread_id": thread.pk, "agent_name": thread.agent_name, "stop_details": None}
    said = {"content": [{"type": "text", "text": "done"}]}
    idle = Draft(ev.THREAD_IDLE, {**about, "stop_reason": ev.END_TURN})
    log.append(session["id"], thread.pk, [Draft(ev.AGENT_MESSAGE, said), idle])
    return {path: shown(alice, path) for path in paths(session["id"], store, vault)}


def shown(caller: Caller, path: str) -> dict[str, Any]:
    """What the API says, without clocks that go on by themselves."""
    answer = caller.get(path)
    for one in (answer, *answer.get("data", [])):
        one.pop("stats", None)
    return answer


def paths(session: str, store: str, vault: str) -> list[str]:
    return [
        "/agents", "/environments", "/files", "/memory_stores", f"/memory_stores/{store}/memories?view=full", "/vaults",
        f"/sessions/{session}", f"/sessions/{session}/events", f"/sessions/{session}/threads", "/deployment_runs",
    ]  # fmt: skip


def exported(acting: Caller) -> bytes:
    target = io.BytesIO()
    archive.export(Workspace.objects.get(pk=acting.acting.workspace_id), target, PASSPHRASE)
    return target.getvalue()


def wipe() -> None:
    connection.check_constraints()  # or the tables have triggers that wait
    with connection.cursor() as cursor:
        tables = ", ".join(f'"{part.model._meta.db_table}"' for part in rows.PARTS)
        cursor.execute(f"TRUNCATE {tables} CASCADE")


def elsewhere(name: str = "restored") -> Caller:
    return caller(name)


def test_a_workspace_is_the_same_after_everything_was_wiped_and_goes_on(
    alice: Caller, session: dict[str, Any], full: dict[str, Any], blob_dir: Path, settings: Any, tmp_path: Path
) -> None:
    content = exported(alice)
    assert b"very-secret-token" not in content
    wipe()
    settings.HOLDFAST_BLOB_DIR = tmp_path / "new-blobs"
    there = elsewhere()
    counts = archive.restore(io.BytesIO(content), PASSPHRASE, there.acting)
    assert (counts["Session"], counts["Agent"]) == (1, 1)
    for path, before in full.items():
        assert shown(there, path) == before, path
    for file in there.get("/files")["data"]:
        raw = there.send("GET", f"/files/{file['id']}/content")
        assert raw.status_code in (200, 400)
    restored = Session.objects.get(pk=session["id"])
    assert verify(restored) == []
    there.post(f"/sessions/{session['id']}/events", {"events": [HELLO]})
    assert there.get(f"/sessions/{session['id']}")["status"] == "running"


def test_a_copy_starts_nothing_by_itself_and_knows_no_secret(alice: Caller, full: dict[str, Any], vault: str) -> None:
    content = exported(alice)
    wipe()
    there = elsewhere()
    archive.restore(io.BytesIO(content), PASSPHRASE, there.acting)
    assert Deployment.objects.get().paused_reason == {"type": "manual"}
    shown = there.get(f"/vaults/{vault}/credentials?include_archived=true")["data"]
    assert [one["archived_at"] is None for one in shown] == [False]


def test_names_that_a_fresh_installation_has_already_give_way(alice: Caller, full: dict[str, Any]) -> None:
    for name in ("Default", "Default (imported 2)"):
        alice.post("/environments", {"name": name})
    content = exported(alice)
    before = {one["id"]: one["name"] for one in alice.get("/environments")["data"]}
    wipe()
    there = elsewhere()
    mine = [there.post("/environments", {"name": name})["id"] for name in ("Default", "Default (imported)")]
    archive.restore(io.BytesIO(content), PASSPHRASE, there.acting)
    after = {one["id"]: one["name"] for one in there.get("/environments")["data"] if one["id"] not in mine}
    assert after == {pk: "Default (imported 3)" if name == "Default" else name for pk, name in before.items()}
    assert there.get(f"/environments/{mine[0]}")["name"] == "Default"


def test_what_is_here_already_is_not_imported_twice(alice: Caller, full: dict[str, Any]) -> None:
    with pytest.raises(Conflict, match="here already"):
        archive.restore(io.BytesIO(exported(alice)), PASSPHRASE, elsewhere().acting)
    assert Session.objects.count() == 1


def repacked(content: bytes, change: Callable[[dict[str, bytes]], None]) -> io.BytesIO:
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    change(entries)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as new:
        for name, data in entries.items():
            new.writestr(name, data)
    target.seek(0)
    return target


def renamed(entries: dict[str, bytes]) -> None:
    entries["rows/Agent.jsonl"] = entries["rows/Agent.jsonl"].replace(b"Coder", b"Other")


def added(entries: dict[str, bytes]) -> None:
    entries["rows/User.jsonl"] = b"{}\n"


def resigned(entries: dict[str, bytes]) -> None:
    manifest = json.loads(entries["manifest.json"])
    manifest["workspace"] = "Forged"
    entries["manifest.json"] = json.dumps(manifest).encode()


def rewritten(entries: dict[str, bytes], kind: str, column: str, value: Any) -> None:
    """As somebody does who knows the passphrase."""
    lines = [json.loads(line) for line in entries[f"rows/{kind}.jsonl"].splitlines()]
    entries[f"rows/{kind}.jsonl"] = b"".join(json.dumps({**line, column: value}).encode() + b"\n" for line in lines)
    manifest = json.loads(entries["manifest.json"])
    for name, about in manifest["entries"].items():
        about["sha256"] = hashlib.sha256(entries[name]).hexdigest()
    raw = entries["manifest.json"] = json.dumps(manifest).encode()
    key = archive._key(PASSPHRASE, bytes.fromhex(manifest["salt"]))
    entries["signature"] = hmac.new(key, raw, hashlib.sha256).hexdigest().encode()


THEIRS: list[tuple[str, str, Callable[[Caller], Any]]] = [
    ("AgentVersion", "agent_id", lambda them: them.post("/agents", {"name": "Theirs", "model": "demo"})["id"]),
    ("Memory", "store_id", lambda them: them.post("/memory_stores", {"name": "Theirs"})["id"]),
    ("Session", "vault_ids", lambda them: [them.post("/vaults", {"display_name": "Theirs"})["id"]]),
    ("Deployment", "environment_id", lambda them: them.post("/environments", {"name": "Theirs"})["id"]),
]


@pytest.mark.parametrize(("kind", "column", "make"), THEIRS)
def test_a_signed_archive_reaches_nothing_of_another_workspace(
    alice: Caller, full: dict[str, Any], kind: str, column: str, make: Callable[[Caller], Any]
) -> None:
    content = exported(alice)
    wipe()
    value = make(elsewhere("victim"))
    forged = repacked(content, lambda entries: rewritten(entries, kind, column, value))
    with pytest.raises(InvalidRequest, match=f"a {kind} whose .* belongs to another workspace"):
        archive.restore(forged, PASSPHRASE, elsewhere().acting)
    assert Session.objects.count() == 0


def test_a_digest_opens_no_file_that_others_have_here(alice: Caller, full: dict[str, Any]) -> None:
    content = exported(alice)
    wipe()
    digest, _ = blobs.put(io.BytesIO(b"somebody else's"), 100)
    forged = repacked(content, lambda entries: rewritten(entries, "File", "digest", digest))
    with pytest.raises(InvalidRequest, match="a File whose file isn't in it"):
        archive.restore(forged, PASSPHRASE, elsewhere().acting)


def unsigned(entries: dict[str, bytes]) -> None:
    del entries["signature"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed, "isn't what was signed"),
        (added, "its manifest doesn't name"),
        (resigned, "signature is wrong"),
        (unsigned, "signature is missing"),
    ],
)
def test_a_changed_archive_is_refused_and_leaves_nothing(
    alice: Caller, full: dict[str, Any], change: Callable[[dict[str, bytes]], None], said: str
) -> None:
    content = exported(alice)
    wipe()
    with pytest.raises(InvalidRequest, match=said):
        archive.restore(repacked(content, change), PASSPHRASE, elsewhere().acting)
    assert Session.objects.count() == 0


def test_a_broken_a_foreign_and_a_huge_archive_are_refused(
    alice: Caller, full: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = exported(alice)
    there = elsewhere().acting
    for bad in (b"", b"no zip at all", content[: len(content) // 2]):
        with pytest.raises(InvalidRequest, match="broken or no archive"):
            archive.restore(io.BytesIO(bad), PASSPHRASE, there)
    with pytest.raises(InvalidRequest, match="the passphrase is another one"):
        archive.restore(io.BytesIO(content), Secret("another passphrase"), there)
    monkeypatch.setattr(archive, "MAX_TOTAL", 100)
    with pytest.raises(InvalidRequest, match="larger than"):
        archive.restore(io.BytesIO(content), PASSPHRASE, there)


def test_the_commands_and_the_api_do_the_same(
    alice: Caller, full: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ARCHIVE_PASSPHRASE", PASSPHRASE.reveal())
    path = tmp_path / "ours.zip"
    call_command("export_workspace", "alice", str(path))
    with pytest.raises(CommandError, match="can't be written"):
        call_command("export_workspace", "alice", str(path))
    sent = alice.send("POST", "/x/workspace/export", {"passphrase": PASSPHRASE.reveal()})
    assert sent.status_code == 200
    content = whole(sent)
    assert AuditRecord.objects.filter(action="workspace.exported", user_id=alice.acting.user_id).exists()
    assert alice.refused("POST", "/x/workspace/export", {"passphrase": "short"}).status == 400
    wipe()
    call_command("import_workspace", str(path), "Again")
    key, plain = issue_api_key(workspace=Workspace.objects.get(name="Again"), name="k", role="admin", created_by=None)
    again = Caller(plain, alice.acting)
    assert shown(again, "/agents") == full["/agents"]
    wipe()
    body, kind = multipart([Piece("passphrase", PASSPHRASE.reveal()), Piece("archive_file", content, "a.zip")])
    headers = {"authorization": f"Bearer {elsewhere().key}"}
    answer = Client().generic("POST", "/v1/x/workspace/import", body, content_type=kind, headers=headers)
    assert answer.status_code == 200, answer.content
    assert answer.json()["imported"]["Session"] == 1
    assert key.pk
