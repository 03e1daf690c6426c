"""What is mounted into a sandbox, through the SDK: memory stores and skills (spec advanced 5, 6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.agents.skills.zips import skill_md
from tests.sdk.talk import TOOLSET, all_of, last_words, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sdk.talk import Talk


def attached(store: Any, **more: Any) -> dict[str, Any]:
    return {"type": "memory_store", "memory_store_id": store.id, **more}


def test_memory_written_by_one_session_is_read_by_the_next_and_its_versions_name_the_session(
    client: anthropic.Anthropic, begin: Callable[..., Talk]
) -> None:
    store = client.beta.memory_stores.create(name="Team Notes", description="What we know.")
    client.beta.memory_stores.memories.create(store.id, path="/old.md", content="kept")
    first = begin(resources=[attached(store, instructions="Keep it short.")])
    (resource,) = first.retrieve().resources
    assert resource.mount_path == "/mnt/memory/team-notes"
    first.says("Read /mnt/memory/team-notes/old.md. Write /mnt/memory/team-notes/people/ada.md with `likes tea`.")
    found = {memory.path: memory for memory in client.beta.memory_stores.memories.list(store.id, view="full")}
    assert found["/people/ada.md"].content == "likes tea"
    (version,) = client.beta.memory_stores.memory_versions.list(store.id, session_id=first.id)
    assert (version.operation, version.path, version.created_by.session_id) == ("created", "/people/ada.md", first.id)

    second = begin(resources=[attached(store)])
    assert "likes tea" in last_words(second.says("Read /mnt/memory/team-notes/people/ada.md."))
    second.says(
        "Replace `tea` with `coffee` in /mnt/memory/team-notes/people/ada.md. Run `rm /mnt/memory/team-notes/old.md`."
    )
    assert "coffee" in last_words(first.says("Read /mnt/memory/team-notes/people/ada.md."))
    operations = [version.operation for version in client.beta.memory_stores.memory_versions.list(store.id)]
    assert sorted(operations) == ["created", "created", "deleted", "modified"]


def test_a_read_only_store_is_read_only_for_every_program(
    client: anthropic.Anthropic, begin: Callable[..., Talk]
) -> None:
    store = client.beta.memory_stores.create(name="Rules")
    client.beta.memory_stores.memories.create(store.id, path="/a.md", content="fixed")
    talk = begin(resources=[attached(store, access="read_only")])
    events = talk.says("Run `cat /mnt/memory/rules/a.md; echo mine > /mnt/memory/rules/a.md`.")
    (result,) = all_of(events, "agent.tool_result")
    assert result.is_error and "fixed" in said(result) and "Read-only file system" in said(result)
    (memory,) = client.beta.memory_stores.memories.list(store.id, view="full")
    assert memory.content == "fixed"


def test_what_cannot_be_a_memory_is_told_and_put_aside(client: anthropic.Anthropic, begin: Callable[..., Talk]) -> None:
    store = client.beta.memory_stores.create(name="Limits")
    talk = begin(resources=[attached(store)])
    command = "cd /mnt/memory/limits; head -c 200000 /dev/zero > big.bin; ln -s /etc link; printf ok > good.md"
    (result,) = all_of(talk.says(f"Run `{command}`."), "agent.tool_result")
    assert result.is_error and "/mnt/memory/limits/big.bin was not saved" in said(result)
    assert [memory.path for memory in client.beta.memory_stores.memories.list(store.id)] == ["/good.md"]
    listed = last_words(talk.says("Run `ls /mnt/memory/limits /tmp/not-saved/limits`."))
    assert "good.md" in listed and "big.bin" in listed


def test_a_skill_is_told_of_and_its_files_are_there_to_run(
    client: anthropic.Anthropic, begin: Callable[..., Talk]
) -> None:
    script = b"#!/bin/sh\necho hello from a skill\n"
    files = [("greeting/SKILL.md", skill_md().encode()), ("greeting/bin/hello.sh", script)]
    skill = client.beta.skills.create(files=files)
    talk = begin(agent={"skills": [{"type": "custom", "skill_id": skill.id}]})
    assert "hello from a skill" in last_words(talk.says("Run `sh /workspace/skills/greeting/bin/hello.sh`."))
    (refused,) = all_of(talk.says("Run `echo x > /workspace/skills/greeting/SKILL.md`."), "agent.tool_result")
    assert refused.is_error


def test_anthropics_own_skills_are_refused(client: anthropic.Anthropic, begin: Callable[..., Talk]) -> None:
    with pytest.raises(anthropic.BadRequestError, match="no part of Holdfast"):
        begin(tools=[{"type": TOOLSET}], agent={"skills": [{"type": "anthropic", "skill_id": "pdf"}]})
