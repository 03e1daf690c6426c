"""Sessions, their resources and threads, deployments and webhook endpoints through the SDK alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from anthropic.types import FileNotDownloadableError

from tests.live import wait_for
from tests.sdk.talk import Talk, only, text

if TYPE_CHECKING:
    from collections.abc import Callable

HOURLY: Any = {"type": "cron", "expression": "0 * * * *", "timezone": "Europe/Berlin"}


@pytest.mark.proves("beta.sessions.retrieve", "beta.sessions.list", "beta.sessions.update", "session.updated")
def test_a_session_is_found_and_changed(begin: Callable[..., Talk], client: anthropic.Anthropic) -> None:
    talk = begin(title="First", metadata={"a": "1", "b": "2"})
    made = talk.retrieve()
    assert (made.status, made.title, made.metadata) == ("idle", "First", {"a": "1", "b": "2"})
    listed = client.beta.sessions.list(agent_id=made.agent.id, statuses=["idle"], order="asc", limit=1)
    assert [one.id for one in listed] == [talk.id]
    updated = client.beta.sessions.update(
        talk.id, title="Second", metadata={"a": None}, agent={"tools": [{"type": "agent_toolset_20260401"}]}
    )
    assert (updated.title, updated.metadata) == ("Second", {"b": "2"})
    event = only(talk.log(), "session.updated")
    assert (event.title, event.metadata) == ("Second", {"b": "2"})
    with pytest.raises(anthropic.BadRequestError, match="vault_ids"):
        client.beta.sessions.update(talk.id, vault_ids=["vlt_1"])


@pytest.mark.proves("beta.sessions.resources.retrieve", "beta.sessions.resources.delete", "beta.files.delete")
def test_a_mounted_file_is_found_and_taken_away(begin: Callable[..., Talk], client: anthropic.Anthropic) -> None:
    upload = client.beta.files.upload(file=("a.txt", b"a", "text/plain"))
    talk = begin(resources=[{"type": "file", "file_id": upload.id, "mount_path": "/a.txt"}])
    (mounted,) = talk.retrieve().resources
    assert client.beta.sessions.resources.retrieve(mounted.id, session_id=talk.id) == mounted
    with pytest.raises(anthropic.BadRequestError, match="github_repository"):
        client.beta.sessions.resources.update(mounted.id, session_id=talk.id, authorization_token="t")
    deleted = client.beta.sessions.resources.delete(mounted.id, session_id=talk.id)
    assert deleted.type == "session_resource_deleted"
    assert list(client.beta.sessions.resources.list(talk.id)) == []
    assert client.beta.files.delete(upload.id).type == "file_deleted"


@pytest.mark.proves("beta.sessions.resources.update")
def test_the_token_of_a_repository_is_replaced_and_never_shown(
    begin: Callable[..., Talk], client: anthropic.Anthropic
) -> None:
    repository = {"type": "github_repository", "url": "https://github.com/octocat/Hello-World"}
    talk = begin(resources=[{**repository, "authorization_token": "first"}])
    (mounted,) = talk.retrieve().resources
    rotated = client.beta.sessions.resources.update(mounted.id, session_id=talk.id, authorization_token="second")
    assert mounted.type == rotated.type == "github_repository"
    assert rotated.updated_at > mounted.updated_at
    assert rotated == client.beta.sessions.resources.retrieve(mounted.id, session_id=talk.id)
    assert not {"first", "second"} & set(rotated.to_dict().values())


@pytest.mark.proves("files.upload", "files.retrieve_metadata", "files.list", "files.download", "files.delete")
def test_files_are_reached_outside_of_the_beta_as_well(client: anthropic.Anthropic) -> None:
    upload = client.files.upload(file=("b.txt", b"b", "text/plain"), expires_in_seconds=3_600)
    assert client.files.retrieve_metadata(upload.id) == upload
    assert [one.id for one in client.files.list(ids=[upload.id, "file_none"])] == [upload.id]
    with pytest.raises(FileNotDownloadableError):
        client.files.download(upload.id)
    assert client.files.delete(upload.id).id == upload.id


@pytest.mark.proves("beta.sessions.threads.retrieve", "beta.sessions.threads.archive")
def test_the_primary_thread_ends_with_its_session_only(begin: Callable[..., Talk], client: anthropic.Anthropic) -> None:
    talk = begin()
    (thread,) = client.beta.sessions.threads.list(talk.id)
    assert client.beta.sessions.threads.retrieve(thread.id, session_id=talk.id) == thread
    with pytest.raises(anthropic.BadRequestError, match="archive the session"):
        client.beta.sessions.threads.archive(thread.id, session_id=talk.id)
    client.beta.sessions.archive(talk.id)
    assert client.beta.sessions.threads.retrieve(thread.id, session_id=talk.id).status == "terminated"
    with pytest.raises(anthropic.ConflictError) as caught:
        talk.send(text("more"))
    assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.proves("beta.deployments.create", "beta.deployments.retrieve", "beta.deployments.update")
@pytest.mark.proves("beta.deployments.list", "beta.deployments.pause", "beta.deployments.unpause")
@pytest.mark.proves("beta.deployments.run", "beta.deployments.archive")
@pytest.mark.proves("beta.deployment_runs.list", "beta.deployment_runs.retrieve")
def test_a_deployment_starts_sessions(begin: Callable[..., Talk], client: anthropic.Anthropic) -> None:
    seen = begin().retrieve()
    made = client.beta.deployments.create(
        name="Nightly",
        agent=seen.agent.id,
        environment_id=seen.environment_id,
        initial_events=[text("hello")],  # type: ignore[list-item]  # a plain dict of its shape
        schedule=HOURLY,
    )
    assert client.beta.deployments.retrieve(made.id).id == made.id
    assert client.beta.deployments.update(made.id, name="Daily").name == "Daily"
    assert client.beta.deployments.pause(made.id).status == "paused"
    run = client.beta.deployments.run(made.id)
    assert run.session_id is not None
    assert [one.id for one in client.beta.deployment_runs.list(deployment_id=made.id)] == [run.id]
    assert client.beta.deployment_runs.retrieve(run.id) == run
    started = client.beta.sessions.list(deployment_id=made.id)
    assert [one.id for one in started] == [run.session_id]
    assert client.beta.deployments.unpause(made.id).status == "active"
    assert made.id in {one.id for one in client.beta.deployments.list(agent_id=seen.agent.id)}
    assert client.beta.deployments.archive(made.id).archived_at is not None
    wait_for(lambda: client.beta.sessions.retrieve(run.session_id or "").status == "idle", 60, "it did not finish")


@pytest.mark.proves("beta.organization.webhooks.create", "beta.organization.webhooks.retrieve")
@pytest.mark.proves("beta.organization.webhooks.update", "beta.organization.webhooks.list")
@pytest.mark.proves("beta.organization.webhooks.regenerate_signing_secret", "beta.organization.webhooks.delete")
def test_a_webhook_endpoint_lives_and_ends(client: anthropic.Anthropic) -> None:
    webhooks = client.beta.organization.webhooks
    made = webhooks.create(url="https://127.0.0.1/hook", enabled_events=["external_key.failed"])
    assert made.signing_secret.startswith("whsec_")
    assert webhooks.retrieve(made.id).id == made.id
    assert webhooks.update(made.id, name="Mine").name == "Mine"
    assert made.id in {one.id for one in webhooks.list()}
    assert webhooks.regenerate_signing_secret(made.id).signing_secret != made.signing_secret
    assert webhooks.delete(made.id).id == made.id
