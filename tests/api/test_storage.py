"""The cap on a workspace's files: what counts, what is refused, and that an output beyond it is told and not lost."""

from __future__ import annotations

import io
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from agents.models import Workspace
from agents.sandboxes.base import OutputFile
from contract.errors import InvalidRequest
from sessions import files, outputs, storage
from sessions.models import File
from tests.sessions.rows import acting, make_session

if TYPE_CHECKING:
    from sessions.models import Session

pytestmark = pytest.mark.django_db


def capped(size: int) -> Session:
    session, _ = make_session()
    Workspace.objects.filter(pk=session.workspace_id).update(limits={"storage_bytes": size})
    return session


def upload(session: Session, content: bytes, **more: Any) -> File:
    who = acting(session.workspace)
    return files.upload(io.BytesIO(content), filename="a.txt", mime_type="text/plain", acting=who, **more)


def test_an_upload_beyond_the_cap_is_refused_by_its_name_and_leaves_nothing() -> None:
    session = capped(10)
    upload(session, b"12345678")
    with pytest.raises(
        InvalidRequest, match=r"workspace's limit of 10 bytes of files \(storage_bytes\) leaves 2"
    ) as no:
        upload(session, b"abcd")
    assert no.value.details == {"error_code": "storage_quota_exceeded"}
    with pytest.raises(InvalidRequest, match="storage_bytes"):
        upload(session, b"x" * 5_000_000)
    assert File.objects.filter(workspace=session.workspace).count() == 1


def test_content_counts_once_and_neither_copies_nor_what_expired_count(settings: Any) -> None:
    session = capped(10)
    first = upload(session, b"12345678")
    upload(session, b"12345678")
    files.copy_for_session(first, session)
    assert storage.used(session.workspace_id) == 8
    old = upload(session, b"ab", expires_in_seconds=3600)
    File.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert storage.used(session.workspace_id) == 8
    settings.HOLDFAST_LIMITS = {"storage_bytes": 4}
    with pytest.raises(InvalidRequest, match="The installation's limit of 4 bytes"):
        upload(session, b"z")


def test_an_output_beyond_the_cap_is_left_out_and_told() -> None:
    session = capped(5)
    made = [OutputFile("small.txt", 3, 1), OutputFile("large.txt", 9, 1)]
    told = outputs.capture(session.pk, made, lambda path: iter([b"abc" if path == "small.txt" else b"123456789"]))
    assert list(File.objects.filter(session=session).values_list("path", flat=True)) == ["small.txt"]
    (sentence,) = told
    assert sentence.startswith("The output large.txt was not kept: The workspace's limit of 5 bytes")


def test_an_output_whose_path_no_index_holds_is_left_out_and_told() -> None:
    session = capped(5)
    deep = "/".join(secrets.token_hex(100) for _ in range(15))
    made = [OutputFile(deep, 3, 1), OutputFile("small.txt", 3, 1)]
    told = outputs.capture(session.pk, made, lambda path: iter([b"abc"]))
    assert list(File.objects.filter(session=session).values_list("path", flat=True)) == ["small.txt"]
    assert [sentence.partition("…")[2] for sentence in told] == [" was not kept: its path has over 2,000 bytes"]
