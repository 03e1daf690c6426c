"""Skills through the SDK, on both of its surfaces: upload in every form, versions, download, refusals."""

from __future__ import annotations

import asyncio
import io
import zipfile
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.agents.skills.zips import good, skill_md

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live import Installation

LEGACY = "skills-2025-10-02"
FILES = [("greeting/SKILL.md", skill_md().encode()), ("greeting/bin/hello.sh", b"#!/bin/sh\necho hello\n")]


@pytest.fixture(params=["beta", "general"])
def skills(request: pytest.FixtureRequest, client: anthropic.Anthropic) -> Any:
    return client.beta.skills if request.param == "beta" else client.skills


@pytest.fixture
def skill(skills: Any) -> Iterator[Any]:
    made = skills.create(files=[("greeting.zip", good())], display_name="Greeter")
    yield made
    try:
        skills.delete(made.id)
    except anthropic.NotFoundError:
        return


@pytest.mark.proves("beta.skills.create", "skills.create", "beta.skills.retrieve", "skills.retrieve")
def test_a_skill_uploaded_as_a_zip_is_found_again(skills: Any, skill: Any) -> None:
    assert (skill.type, skill.display_name, skill.source.type) == ("skill", "Greeter", "custom")
    assert skills.retrieve(skill.id) == skill


@pytest.mark.proves("beta.skills.list", "skills.list")
def test_skills_are_listed_page_by_page(skills: Any, skill: Any) -> None:
    other = skills.create(files=FILES)
    assert other.display_name == "greeting"
    found = [one.id for one in skills.list(limit=1, source="custom")]
    assert found[:2] == [other.id, skill.id]
    assert list(skills.list(source="anthropic")) == []
    skills.delete(other.id)


@pytest.mark.proves("beta.skills.versions.create", "skills.versions.create")
@pytest.mark.proves("beta.skills.versions.retrieve", "skills.versions.retrieve")
@pytest.mark.proves("beta.skills.versions.list", "skills.versions.list")
def test_a_new_version_is_what_latest_means(skills: Any, skill: Any) -> None:
    version = skills.versions.create(skill.id, files=FILES)
    assert (version.skill_id, version.name) == (skill.id, "greeting")
    assert skills.versions.retrieve("latest", skill_id=skill.id) == version
    assert skills.retrieve(skill.id).latest_version_id == version.id
    listed = [one.id for one in skills.versions.list(skill.id, limit=1)]
    assert listed == [version.id, skill.latest_version_id]


@pytest.mark.proves("beta.skills.versions.download")
def test_the_files_come_back_as_they_were_sent(client: anthropic.Anthropic, skills: Any, skill: Any) -> None:
    version = skills.versions.create(skill.id, files=FILES)
    data = client.beta.skills.versions.download(version.id, skill_id=skill.id).read()
    held = zipfile.ZipFile(io.BytesIO(data))
    assert sorted((name, held.read(name)) for name in held.namelist()) == sorted(FILES)


@pytest.mark.proves("beta.skills.versions.delete", "skills.versions.delete")
def test_a_version_can_be_deleted_but_not_the_last_one(skills: Any, skill: Any) -> None:
    version = skills.versions.create(skill.id, files=FILES)
    gone = skills.versions.delete(version.id, skill_id=skill.id)
    assert (gone.id, gone.type) == (version.id, "skill_version_deleted")
    with pytest.raises(anthropic.BadRequestError, match="delete the skill instead"):
        skills.versions.delete(skill.latest_version_id, skill_id=skill.id)


@pytest.mark.proves("beta.skills.delete", "skills.delete")
def test_a_deleted_skill_is_gone(skills: Any, skill: Any) -> None:
    assert skills.delete(skill.id).type == "skill_deleted"
    with pytest.raises(anthropic.NotFoundError):
        skills.retrieve(skill.id)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([("s.zip", b"no zip")], "not a zip archive"),
        ([("g/SKILL.md", skill_md("Not A Slug").encode())], "name must be lowercase"),
        ([("SKILL.md", skill_md().encode()), ("../x", b"")], "must not leave"),
    ],
)
def test_bad_uploads_arrive_as_bad_requests(skills: Any, files: list[Any], why: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=why):
        skills.create(files=files)


def test_old_clients_name_versions_by_number(client: anthropic.Anthropic) -> None:
    made = client.beta.skills.with_raw_response.create(files=FILES, betas=[LEGACY]).http_response.json()
    number = made["latest_version"]
    raw = client.beta.skills.versions.with_raw_response.retrieve(number, skill_id=made["id"], betas=[LEGACY])
    assert raw.http_response.json()["version"] == number
    data = client.beta.skills.versions.download(number, skill_id=made["id"], betas=[LEGACY]).read()
    assert zipfile.is_zipfile(io.BytesIO(data))
    client.beta.skills.delete(made["id"])


def test_the_sdks_own_worker_unpacks_what_it_downloads(installation: Installation, tmp_path: Path) -> None:
    from anthropic.lib.tools import _skills

    async def fetch() -> None:
        async with anthropic.AsyncAnthropic(base_url=installation.url, api_key=installation.api_key) as client:
            made = await client.beta.skills.create(files=FILES)
            await _skills._download_and_extract(client, made.id, made.latest_version_id, tmp_path / "greeting")

    asyncio.run(fetch())
    script = tmp_path / "greeting" / "bin" / "hello.sh"
    assert (tmp_path / "greeting" / "SKILL.md").read_text() == skill_md()
    assert script.stat().st_mode & 0o777 == 0o755
