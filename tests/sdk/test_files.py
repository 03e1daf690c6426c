"""Files in and out of a session (spec core 9): uploads mounted read-only, outputs downloaded through Files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.live import wait_for
from tests.sdk.talk import only, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live import Installation
    from tests.sdk.talk import Talk

OUTPUTS = "/mnt/session/outputs"
UPLOADS = "/mnt/session/uploads"


def outputs(client: anthropic.Anthropic, talk: Talk) -> dict[str, Any]:
    return {file.filename: file for file in client.beta.files.list(scope_id=talk.id) if file.downloadable}


def outputs_named(client: anthropic.Anthropic, talk: Talk, *names: str) -> dict[str, Any]:
    wait_for(lambda: set(names) <= set(outputs(client, talk)), 20, f"no {names} among the session's files")
    return outputs(client, talk)


@pytest.mark.proves("beta.files.list", "beta.files.download", "beta.files.retrieve_metadata")
def test_outputs_are_listed_and_downloaded_through_files(
    begin: Callable[..., Talk], client: anthropic.Anthropic
) -> None:
    talk = begin()
    talk.says(f"run `printf 'a,b\\n1,2\\n' > {OUTPUTS}/table.csv; head -c 300000 /dev/urandom > {OUTPUTS}/raw.bin`")
    found = outputs_named(client, talk, "table.csv", "raw.bin")
    table = found["table.csv"]
    assert table.size_bytes == len("a,b\n1,2\n")
    assert client.beta.files.download(table.id).read() == b"a,b\n1,2\n"
    assert len(client.beta.files.download(found["raw.bin"].id).read()) == 300000
    assert client.beta.files.retrieve_metadata(table.id).filename == "table.csv"


def test_an_output_that_is_written_again_is_captured_again(
    begin: Callable[..., Talk], client: anthropic.Anthropic
) -> None:
    talk = begin()
    talk.says(f"run `echo one > {OUTPUTS}/note.txt`")
    outputs_named(client, talk, "note.txt")
    talk.says(f"run `echo two > {OUTPUTS}/note.txt`")

    def newest() -> bytes:
        return bytes(client.beta.files.download(outputs(client, talk)["note.txt"].id).read())

    wait_for(lambda: newest() == b"two\n", 20, "the second version was not captured")


@pytest.mark.proves("beta.files.upload")
def test_an_upload_is_mounted_and_can_be_read_but_not_changed(
    begin: Callable[..., Talk], client: anthropic.Anthropic
) -> None:
    upload = client.beta.files.upload(file=("secret-plan.txt", b"tea at four\n", "text/plain"))
    talk = begin(resources=[{"type": "file", "file_id": upload.id, "mount_path": "/plans/today.txt"}])
    (resource,) = talk.retrieve().resources
    path = f"{UPLOADS}/plans/today.txt"
    assert resource.file_id != upload.id
    read = talk.says(f"run `cat {path}`")
    assert "tea at four" in said(only(read, "agent.tool_result"))
    change = talk.says(f"run `echo no >> {path} || echo refused; cat {path}`")
    result = said(only(change, "agent.tool_result"))
    assert "refused" in result
    assert "\nno" not in result


def test_an_upload_that_is_damaged_or_gone_is_named_and_works_once_it_was_uploaded_again(
    begin: Callable[..., Talk], client: anthropic.Anthropic, installation: Installation
) -> None:
    content = b"tea at four, or a little later\n"
    upload = client.beta.files.upload(file=("fragile.txt", content, "text/plain"))
    digest = hashlib.sha256(content).hexdigest()
    blob = installation.data_dir / "blobs" / digest[:2] / digest
    talk = begin(resources=[{"type": "file", "file_id": upload.id, "mount_path": "/fragile.txt"}])
    blob.write_bytes(content.upper())
    damaged = said(only(talk.says(f"run `cat {UPLOADS}/fragile.txt`"), "agent.tool_result"))
    assert "fragile.txt (file_" in damaged and "is damaged" in damaged
    blob.unlink()
    missing = said(only(talk.says(f"run `cat {UPLOADS}/fragile.txt`"), "agent.tool_result"))
    assert "fragile.txt (file_" in missing and "do all machines share that directory?" in missing
    client.beta.files.upload(file=("again.txt", content, "text/plain"))
    read = said(only(talk.says(f"run `cat {UPLOADS}/fragile.txt`"), "agent.tool_result"))
    assert "tea at four" in read


@pytest.mark.proves("beta.sessions.resources.add", "beta.sessions.resources.list")
def test_a_file_added_to_a_running_session_is_there_for_the_next_turn(
    begin: Callable[..., Talk], client: anthropic.Anthropic
) -> None:
    talk = begin()
    talk.says("run `true`")
    upload = client.beta.files.upload(file=("late.txt", b"better late\n", "text/plain"))
    added = client.beta.sessions.resources.add(talk.id, type="file", file_id=upload.id)
    assert added.mount_path.startswith(f"{UPLOADS}/file_")
    events = talk.says(f"run `cat {added.mount_path} || ls -R {UPLOADS}`")
    assert "better late" in said(only(events, "agent.tool_result"))
    listed: list[Any] = list(client.beta.sessions.resources.list(talk.id))
    assert [resource.id for resource in listed] == [added.id]


def test_an_upload_itself_can_not_be_downloaded(client: anthropic.Anthropic) -> None:
    upload = client.beta.files.upload(file=("mine.txt", b"x", "text/plain"))
    with pytest.raises(anthropic.BadRequestError):
        client.beta.files.download(upload.id)
