"""self_hosted environments served by the SDK's own ``EnvironmentWorker``, and by the product's worker command."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from anthropic.types.beta.environments import BetaHeartbeatPreconditionFailedError

from tests.agents.sandboxes.engines import IMAGE, Podman
from tests.agents.skills.zips import skill_md
from tests.live import ROOT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anthropic

    from tests.live import Installation

PATIENCE = 90.0


class Outside:
    """A session of a self_hosted environment, and the environment's key."""

    def __init__(
        self, client: anthropic.Anthropic, installation: Installation, name: str, *, skills: Any = (), stores: Any = ()
    ) -> None:
        self.client, self.url = client, installation.url
        self.environment = client.beta.environments.create(name=name, config={"type": "self_hosted"}).id
        made = httpx2.post(
            f"{installation.url}/v1/x/environments/{self.environment}/keys",
            json={"name": "test"},
            headers={"authorization": f"Bearer {installation.api_key}"},
        )
        self.key = made.json()["key"]
        toolset: Any = {"type": "agent_toolset_20260401"}
        agent = client.beta.agents.create(
            name=name, model="demo", tools=[toolset], skills=[{"type": "custom", "skill_id": one} for one in skills]
        )
        resources: Any = [{"type": "memory_store", "memory_store_id": one} for one in stores]
        made_session = client.beta.sessions.create(agent=agent.id, environment_id=self.environment, resources=resources)
        self.session = made_session.id

    def say(self, text: str) -> None:
        message: Any = {"type": "user.message", "content": [{"type": "text", "text": text}]}
        self.client.beta.sessions.events.send(self.session, events=[message])

    def events(self, kind: str) -> list[Any]:
        return [event for event in self.client.beta.sessions.events.list(self.session) if event.type == kind]

    def rests(self) -> bool:
        last = self.events("session.status_idle")[-1:]
        return bool(last) and last[0].stop_reason.type == "end_turn"

    def wait_rested(self, results: int) -> None:
        done = lambda: len(self.events("user.tool_result")) == results and self.rests()  # noqa: E731
        wait_for(
            done,
            PATIENCE,
            lambda: f"not finished: {[e.type for e in self.client.beta.sessions.events.list(self.session)]}",
        )


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker; a test that fails shows what it said."""
    kept = {**os.environ, **environment}
    with subprocess.Popen(command, cwd=ROOT, env=kept, start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def sdk_worker(outside: Outside, directory: Path) -> list[str]:
    return [sys.executable, "-m", "tests.sdk.workers", outside.url, outside.environment, outside.key, str(directory)]


@pytest.mark.proves("beta.environments.work.poll", "beta.environments.work.ack", "beta.environments.work.heartbeat")
@pytest.mark.proves("beta.environments.work.stop", "beta.environments.work.stats", "send user.tool_result")
def test_the_sdks_worker_finishes_a_session_and_when_it_is_killed_another_does(
    client: anthropic.Anthropic, installation: Installation, tmp_path: Path
) -> None:
    outside = Outside(client, installation, "killed")
    mark = tmp_path / "mark"
    with running(sdk_worker(outside, tmp_path)) as first:
        outside.say("run `echo from $PWD`")
        outside.wait_rested(1)
        assert str(tmp_path) in outside.events("user.tool_result")[0].content[0].text
        outside.say(f"run `echo begun >> {mark}; sleep 3; echo ended >> {mark}; echo all of it`")
        wait_for(mark.exists, PATIENCE, "the call was never begun")
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(30)
    with running(sdk_worker(outside, tmp_path)):
        outside.wait_rested(2)
    assert [event.content[0].text.strip() for event in outside.events("user.tool_result")][1] == "all of it"
    assert mark.read_text().split() == ["begun", "begun", "ended"]
    told = httpx2.get(
        f"{installation.url}/v1/sessions/{outside.session}/events?types[]=ops.environment_worker_lost",
        headers={"authorization": f"Bearer {installation.api_key}"},
    )
    (lost,) = told.json()["data"]
    assert lost["retry"].startswith("The session is queued again for the next worker. What this one had begun")
    stats = client.beta.environments.work.stats(outside.environment)
    assert stats.depth == 0


@pytest.mark.proves("beta.environments.work.list", "beta.environments.work.retrieve", "beta.environments.work.update")
@pytest.mark.proves("user.tool_result")
def test_a_worker_can_be_written_with_the_sdks_methods_alone(
    client: anthropic.Anthropic, installation: Installation
) -> None:
    outside = Outside(client, installation, "by hand")
    outside.say("run `echo hello`")
    ours, theirs = client.beta.environments.work, client.with_options(api_key=outside.key).beta.environments.work
    at: Any = {"environment_id": outside.environment}
    item = theirs.poll(outside.environment, block_ms=999)
    assert item is not None
    assert item.secret is not None
    assert theirs.ack(item.id, **at).state == "starting"
    holder = client.with_options(api_key=token_in(item.secret))
    first: Any = {"expected_last_heartbeat": "NO_HEARTBEAT", "desired_ttl_seconds": 600}
    beat = holder.beta.environments.work.heartbeat(item.id, **at, **first)
    assert (beat.state, beat.ttl_seconds) == ("active", 600)
    with pytest.raises(BetaHeartbeatPreconditionFailedError) as caught:
        holder.beta.environments.work.heartbeat(item.id, **at, **first)
    assert caught.value.details.current_state.last_heartbeat == beat.last_heartbeat
    marked = ours.update(item.id, **at, metadata={"rack": "7"})
    assert ours.retrieve(item.id, **at) == marked
    assert list(theirs.list(outside.environment)) == [marked]
    assert (marked.state, marked.metadata) == ("active", {"rack": "7"})
    wait_for(lambda: outside.events("session.status_idle"), PATIENCE, "the call never waited")
    (call,) = outside.events("agent.tool_use")
    result: Any = {"type": "user.tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "hello"}]}
    (echo,) = holder.beta.sessions.events.send(outside.session, events=[result]).data or []
    outside.wait_rested(1)
    assert outside.events("user.tool_result") == [echo]
    assert holder.beta.environments.work.stop(item.id, **at, force=True).state == "stopped"


def token_in(secret: str) -> str:
    """The sessions token of a work item, as the SDK's worker takes it out."""
    token: str = json.loads(base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)))["sessions_token"]
    return token


def products_worker(outside: Outside, data: Path, *options: str) -> list[str]:
    command = [sys.executable, "manage.py", "environment_worker", "--base-url", outside.url, "--max-idle", "2"]
    return [*command, "--environment-id", outside.environment, "--data", str(data), *options]


KINDS = ("local", "docker")


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest) -> Iterator[tuple[list[str], dict[str, str]]]:
    """What a worker with this backend is started with, beside the usual: options and environment."""
    if request.param == "local":
        yield [], {}
        return
    engine = Podman()
    yield ["--backend", "docker", "--image", IMAGE], {"DOCKER_HOST": engine.address}
    engine.stop()


def test_the_products_worker_runs_tools_in_a_sandbox_of_its_machine_with_skills_and_memory(
    client: anthropic.Anthropic,
    installation: Installation,
    backend: tuple[list[str], dict[str, str]],
    request: pytest.FixtureRequest,
) -> None:
    files = [("greeting/SKILL.md", skill_md().encode()), ("greeting/hello.sh", b"#!/bin/sh\necho hello from a skill\n")]
    skill = client.beta.skills.create(files=files)
    store = client.beta.memory_stores.create(name="notes")
    client.beta.memory_stores.memories.create(store.id, path="/a.md", content="from before")
    name = request.node.callspec.id
    outside = Outside(client, installation, f"ours {name}", skills=[skill.id], stores=[store.id])
    data = installation.data_dir.parent / f"worker-{name}"
    options, given = backend
    with running(products_worker(outside, data, *options), ANTHROPIC_ENVIRONMENT_KEY=outside.key, **given) as worker:
        outside.say("run `pwd; whoami; echo key=$ANTHROPIC_ENVIRONMENT_KEY; sh skills/greeting/hello.sh`")
        outside.wait_rested(1)
        said = outside.events("user.tool_result")[0].content[0].text.split("\n")
        assert said == ["/workspace", "sandbox", "key=", "hello from a skill"]
        outside.say(
            "run `cat /mnt/memory/notes/a.md; echo after > /mnt/memory/notes/a.md; echo b > /mnt/memory/notes/b.md`"
        )
        outside.wait_rested(2)
        assert outside.events("user.tool_result")[1].content[0].text == "from before"
        held = client.beta.memory_stores.memories.list(store.id, view="full")
        assert {one.path: one.content for one in held if one.type == "memory"} == {"/a.md": "after\n", "/b.md": "b\n"}
        client.beta.memory_stores.memories.create(store.id, path="/c.md", content="from outside")
        outside.say("run `cat /mnt/memory/notes/c.md; rm /mnt/memory/notes/b.md`")
        outside.wait_rested(3)
        assert outside.events("user.tool_result")[2].content[0].text == "from outside"
        assert sorted(one.path for one in client.beta.memory_stores.memories.list(store.id)) == ["/a.md", "/c.md"]
        worker.terminate()
        assert worker.wait(30) == 0
    assert Path(data).is_dir()
