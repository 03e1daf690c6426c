"""``/v1/files`` and the file resources of sessions (spec core 9)."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from anthropic.types import FileExpiredError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from contract import blobs
from sessions import files, mounts
from sessions.models import File, Resource, Session
from tests.api.conftest import Caller, fits, refusal
from tests.api.multipart import Piece, multipart
from tests.streamed import whole

if TYPE_CHECKING:
    from pathlib import Path

METADATA = "beta_file_metadata.BetaFileMetadata"
RESOURCE = "sessions.beta_managed_agents_file_resource.BetaManagedAgentsFileResource"


def upload(who: Caller, name: str = "data.csv", data: bytes = b"a,b\n1,2\n", **fields: Any) -> Any:
    kind = fields.pop("content_type", "text/csv")
    body = {"file": SimpleUploadedFile(name, data, kind), **fields}
    return Client().post("/v1/files", body, headers={"x-api-key": who.key})


@pytest.fixture
def uploaded(alice: Caller) -> dict[str, Any]:
    answer: dict[str, Any] = upload(alice).json()
    return answer


def output(session_id: str, path: str = "out/report.txt", data: bytes = b"done") -> File:
    digest, size = blobs.put(io.BytesIO(data), 100)
    return files.capture(Session.objects.get(pk=session_id), path=path, digest=digest, size=size, mtime_ns=1)


def test_an_upload_is_described_and_cannot_be_downloaded(alice: Caller, uploaded: dict[str, Any]) -> None:
    fits(METADATA, uploaded)
    assert uploaded["id"].startswith("file_")
    shown = {field: uploaded[field] for field in ("filename", "mime_type", "size_bytes", "downloadable", "expires_at")}
    assert shown == {
        "filename": "data.csv",
        "mime_type": "text/csv",
        "size_bytes": 8,
        "downloadable": False,
        "expires_at": None,
    }
    assert uploaded["scope"] is None
    assert alice.get(f"/files/{uploaded['id']}") == uploaded
    refused = alice.refused("GET", f"/files/{uploaded['id']}/content")
    assert (refused.status, refused.details) == (400, {"error_code": "file_not_downloadable"})


@pytest.mark.parametrize(
    ("name", "kind", "kept", "stored_kind"),
    [
        ("../../etc/passwd", "text/plain", "passwd", "text/plain"),
        ("C:\\docs\\a.pdf", "application/pdf", "a.pdf", "application/pdf"),
        ("photo.png", "application/octet-stream", "photo.png", "image/png"),
        ("notes", "not a type", "notes", "application/octet-stream"),
    ],
)
def test_names_lose_their_folders_and_types_are_guessed(
    alice: Caller, name: str, kind: str, kept: str, stored_kind: str
) -> None:
    stored = upload(alice, name, content_type=kind).json()
    assert (stored["filename"], stored["mime_type"]) == (kept, stored_kind)


@pytest.mark.parametrize("name", ["a" * 256, "what?.txt", "a:b", 'say "x"', "<a>", "a|b", "*"])
def test_names_that_no_file_may_have_are_refused(alice: Caller, name: str) -> None:
    body, kind = multipart([Piece("file", "a", name.replace('"', '\\"'))])
    refused = refusal(Client().generic("POST", "/v1/files", body, content_type=kind, headers={"x-api-key": alice.key}))
    assert (refused.status, refused.message.partition(":")[0]) == (400, "file")
    assert not File.objects.exists()


@pytest.mark.parametrize(
    ("pieces", "named"),
    [
        ([Piece("file", "a", "a"), Piece("surprise", "1")], "surprise"),
        ([Piece("file", "a", "a"), Piece("other", "b", "b")], "other"),
        ([Piece("file", "a", "a"), Piece("file", "b", "b")], "file"),
        ([Piece("file", "a", "a"), Piece("file", "b")], "file"),
        ([Piece("file", "a", "a"), *[Piece("expires_in_seconds", "3600")] * 2], "expires_in_seconds"),
    ],
)
def test_parts_that_nobody_reads_are_refused(alice: Caller, pieces: list[Piece], named: str) -> None:
    body, kind = multipart(pieces)
    refused = refusal(Client().generic("POST", "/v1/files", body, content_type=kind, headers={"x-api-key": alice.key}))
    assert (refused.status, refused.message.partition(":")[0]) == (400, named)
    assert not File.objects.exists()


@pytest.mark.parametrize("disposition", ['form-data; name="file"', 'form-data; name="file"; filename=""'])
def test_bytes_without_a_name_are_kept_as_they_are(alice: Caller, disposition: str) -> None:
    data = bytes(range(256)) * 3
    body = b"--b\r\ncontent-disposition: " + disposition.encode() + b"\r\n\r\n" + data + b"\r\n--b--\r\n"
    response = Client().generic(
        "POST", "/v1/files", body, content_type="multipart/form-data; boundary=b", headers={"x-api-key": alice.key}
    )
    stored = response.json()
    assert (stored["filename"], stored["size_bytes"]) == ("unnamed.bin", 768)
    with files.open_blob(File.objects.get(pk=stored["id"])) as stream:
        assert stream.read() == data


def test_an_upload_without_a_file_is_refused(alice: Caller) -> None:
    response = Client().post("/v1/files", {"expires_in_seconds": "3600"}, headers={"x-api-key": alice.key})
    assert refusal(response).message.startswith("file")
    assert alice.refused("POST", "/files", {"file": "x"}).status == 400


@pytest.mark.parametrize("seconds", ["3599", "7776001", "soon", "-1"])
def test_an_expiry_out_of_range_is_refused_and_nothing_is_stored(alice: Caller, seconds: str) -> None:
    assert refusal(upload(alice, expires_in_seconds=seconds)).message.endswith("from 3600 to 7776000")
    assert not File.objects.exists()


def test_a_file_larger_than_the_limit_is_refused_and_leaves_nothing(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, blob_dir: Path
) -> None:
    monkeypatch.setattr(files, "MAX_UPLOAD", 10)
    refused = refusal(upload(alice, data=b"x" * 11))
    assert (refused.status, refused.type) == (413, "request_too_large")
    assert [path for path in blob_dir.rglob("*") if path.is_file()] == []


def sdk_over(alice: Caller) -> anthropic.Anthropic:
    """The SDK, whose requests go to the application without a server between."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        given = alice.send(request.method, request.url.path.removeprefix("/v1"))
        return httpx2.Response(given.status_code, content=given.content, headers=dict(given.items()))

    return anthropic.Anthropic(api_key="any", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))


def test_an_expired_file_is_gone_with_its_own_code(alice: Caller) -> None:
    stored = upload(alice, expires_in_seconds="3600").json()
    assert stored["expires_at"] is not None
    File.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    refused = alice.refused("GET", f"/files/{stored['id']}")
    assert (refused.status, refused.details) == (404, {"error_code": "file_expired"})
    with pytest.raises(FileExpiredError):
        sdk_over(alice).files.retrieve_metadata(stored["id"])
    assert alice.get("/files")["data"] == []


def test_outputs_can_be_downloaded_byte_for_byte(alice: Caller, session: dict[str, Any]) -> None:
    made = output(session["id"], data=bytes(range(100)))
    (listed,) = alice.get(f"/files?scope_id={session['id']}")["data"]
    fits(METADATA, listed)
    assert (listed["downloadable"], listed["scope"]) == (True, {"type": "session", "id": session["id"]})
    response = alice.send("GET", f"/files/{made.pk}/content")
    assert whole(response) == bytes(range(100))
    response.close()
    assert response["content-length"] == "100"
    assert response["request-id"].startswith("req_")


def test_writing_an_output_again_keeps_its_id(session: dict[str, Any]) -> None:
    first, second = output(session["id"]), output(session["id"], data=b"more")
    assert first.pk == second.pk
    assert File.objects.get().size_bytes == 4


def test_lists_carry_the_cursors_of_new_and_old_clients(alice: Caller) -> None:
    made = [upload(alice, f"{n}.csv").json()["id"] for n in range(5)][::-1]
    first = alice.get("/files?limit=2")
    assert set(first) == {"data", "next_page", "has_more", "first_id", "last_id"}
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (made[:2], True)
    assert (first["first_id"], first["last_id"]) == (made[0], made[1])
    second = alice.get(f"/files?limit=2&page={first['next_page']}")
    assert [one["id"] for one in second["data"]] == made[2:4]
    old = alice.get(f"/files?limit=3&after_id={first['last_id']}")
    assert ([one["id"] for one in old["data"]], old["has_more"]) == (made[2:], False)
    back = alice.get(f"/files?limit=2&before_id={made[3]}")
    assert ([one["id"] for one in back["data"]], back["has_more"]) == (made[1:3], True)


def test_files_can_be_listed_by_id(alice: Caller, charlie: Caller) -> None:
    mine, theirs = upload(alice).json()["id"], upload(charlie).json()["id"]
    answer = alice.get(f"/files?ids[]={mine}&ids[]={theirs}&ids[]=file_none")
    assert [one["id"] for one in answer["data"]] == [mine]
    assert answer["next_page"] is None
    assert alice.refused("GET", f"/files?ids[]={mine}&limit=5").message.startswith("ids")
    many = "&".join(f"ids[]=file_{n}" for n in range(101))
    assert alice.refused("GET", f"/files?{many}").message.startswith("ids")
    assert alice.refused("GET", "/files?scope_id=agent_1").message.startswith("scope_id")


def test_a_mounted_file_is_a_copy_of_the_sessions_own(
    alice: Caller, agent: str, environment: str, uploaded: dict[str, Any]
) -> None:
    wanted = [
        {"type": "file", "file_id": uploaded["id"]},
        {"type": "file", "file_id": uploaded["id"], "mount_path": "/d.csv"},
    ]
    made = alice.post("/sessions", {"agent": agent, "environment_id": environment, "resources": wanted})
    default, named = made["resources"]
    for resource in (default, named):
        fits(RESOURCE, resource)
        assert resource["file_id"] != uploaded["id"]
    assert default["mount_path"] == f"/mnt/session/uploads/{uploaded['id']}"
    assert named["mount_path"] == "/d.csv"
    alice.ok("DELETE", f"/files/{uploaded['id']}")
    assert alice.get(f"/files/{named['file_id']}")["size_bytes"] == 8
    alice.ok("DELETE", f"/sessions/{made['id']}")
    assert not File.objects.exists()


def test_resources_are_added_listed_and_removed(
    alice: Caller, session: dict[str, Any], uploaded: dict[str, Any]
) -> None:
    path = f"/sessions/{session['id']}/resources"
    body = {"type": "file", "file_id": uploaded["id"], "mount_path": "/in/data.csv"}
    added = alice.post(path, body)
    fits(RESOURCE, added)
    assert alice.get(f"{path}/{added['id']}") == added
    assert alice.get(path) == {"data": [added], "next_page": None}
    assert alice.get(f"/sessions/{session['id']}")["resources"] == [added]
    assert alice.refused("POST", f"{path}/{added['id']}", {"authorization_token": "t"}).status == 400
    gone = alice.ok("DELETE", f"{path}/{added['id']}")
    assert gone == {"id": added["id"], "type": "session_resource_deleted"}
    assert File.objects.filter(session_id=session["id"]).count() == 0
    assert alice.refused("GET", f"{path}/{added['id']}").status == 404


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"file_id": "file_none"}, 404, "There is no file"),
        ({"mount_path": "data.csv"}, 400, "mount_path"),
        ({"mount_path": "/a/../../etc/passwd"}, 400, "mount_path"),
        ({"mount_path": "/dir/"}, 400, "mount_path"),
        ({"mount_path": "/mnt/session/uploads"}, 400, "mount_path"),
        ({"mount_path": "/taken.csv"}, 400, "mount_path"),
        ({"mount_path": "/mnt/session/uploads/taken.csv"}, 400, "mount_path"),
        ({"mount_path": "/taken.csv/inside"}, 400, "mount_path"),
        ({"type": "github_repository"}, 400, "type"),
        ({"bogus": 1}, 400, "bogus"),
    ],
)
def test_bad_mounts_are_refused_and_nothing_is_written(
    alice: Caller, session: dict[str, Any], uploaded: dict[str, Any], change: dict[str, Any], status: int, named: str
) -> None:
    path = f"/sessions/{session['id']}/resources"
    alice.post(path, {"type": "file", "file_id": uploaded["id"], "mount_path": "/taken.csv"})
    refused = alice.refused("POST", path, {"type": "file", "file_id": uploaded["id"], **change})
    assert refused.status == status
    assert refused.message.startswith(named), refused.message
    assert Resource.objects.count() == 1


def test_a_file_that_is_mounted_cannot_be_deleted_by_itself(
    alice: Caller, session: dict[str, Any], uploaded: dict[str, Any]
) -> None:
    added = alice.post(f"/sessions/{session['id']}/resources", {"type": "file", "file_id": uploaded["id"]})
    assert alice.refused("DELETE", f"/files/{added['file_id']}").status == 400
    assert alice.ok("DELETE", f"/files/{uploaded['id']}") == {"id": uploaded["id"], "type": "file_deleted"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("/data.csv", "/mnt/session/uploads/data.csv"),
        ("/workspace/a/b", "/mnt/session/uploads/workspace/a/b"),
        ("/mnt/session/uploads/x", "/mnt/session/uploads/x"),
        ("//x", "/mnt/session/uploads/x"),
    ],
)
def test_mounts_are_rooted_in_the_uploads_directory(asked: str, expected: str) -> None:
    assert mounts.in_sandbox(asked) == expected


def test_equal_bytes_are_stored_once_and_collected_when_nobody_names_them(alice: Caller) -> None:
    one, two = upload(alice).json()["id"], upload(alice, "copy.csv").json()["id"]
    digest = File.objects.values_list("digest", flat=True).distinct().get()
    assert blobs.exists(digest)
    alice.ok("DELETE", f"/files/{one}")
    assert files.collect_garbage(timedelta(0)) == 0
    alice.ok("DELETE", f"/files/{two}")
    assert files.collect_garbage() == 0, "a young blob stays: its row may be about to come"
    assert files.collect_garbage(timedelta(0)) == 1
    assert not blobs.exists(digest)


def test_the_bytes_of_an_expired_file_go_but_it_is_still_known_as_expired(alice: Caller) -> None:
    stored = upload(alice, expires_in_seconds="3600").json()
    File.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert files.collect_garbage(timedelta(0)) == 1
    assert alice.refused("GET", f"/files/{stored['id']}").details == {"error_code": "file_expired"}
    File.objects.update(expires_at=timezone.now() - timedelta(days=91))
    files.collect_garbage(timedelta(0))
    assert not File.objects.exists()


def test_a_snapshot_keeps_its_blob(session: dict[str, Any]) -> None:
    digest, _ = blobs.put(io.BytesIO(b"workspace"), 100)
    Session.objects.filter(pk=session["id"]).update(snapshot=digest)
    assert files.collect_garbage(timedelta(0)) == 0
    assert blobs.exists(digest)


def test_a_name_in_any_script_is_kept(alice: Caller) -> None:
    assert upload(alice, "naïve 日本.txt").json()["filename"] == "naïve 日本.txt"


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=zz", "multipart/form-data"])
def test_a_body_of_parts_that_cannot_be_read_is_refused_in_the_envelope(alice: Caller, kind: str) -> None:
    response = Client().post("/v1/files", b"x", content_type=kind, headers={"x-api-key": alice.key})
    refused = refusal(response)
    assert (refused.status, refused.type) == (400, "invalid_request_error")
