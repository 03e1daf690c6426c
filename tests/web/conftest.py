"""Alice owns a workspace, Bob may only look at it, Charlie has another one; a session with a bit of everything."""

from __future__ import annotations

import copy
import io
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from agents.actions import create_agent, create_environment
from agents.memory import memories, stores
from agents.models import Agent, Environment, Membership, Workspace
from agents.models.memory import Memory, MemoryStore, MemoryVersion
from agents.skills import actions as skills
from agents.skills.bundle import Part
from contract import blobs
from contract.acting import Acting
from contract.roles import Role
from contract.secret import Secret
from credentials import vaults
from credentials.actions import issue_api_key
from sessions import events as ev
from sessions import files, log, saved
from sessions.actions import create_session
from sessions.approvals import targets
from sessions.dreams import actions as dreams
from sessions.events import Draft
from sessions.exchange import transfers
from sessions.models import (
    Deployment,
    Dream,
    Event,
    File,
    Machine,
    NoticeTarget,
    SavedView,
    Session,
    Thread,
    Transfer,
    WebhookEndpoint,
)
from sessions.schedules import actions as schedules
from tests.live import Installation
from tests.web.chromium import CHROMIUM, FLAGS, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from agents.models.skills import Skill
    from credentials.models import ApiKey, Credential, Vault

ASKING = {
    "type": "agent_toolset_20260401",
    "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}],
}
WEATHER = {"type": "custom", "name": "weather", "description": "Tells it.", "input_schema": {"type": "object"}}

VARIABLE = {
    "type": "environment_variable",
    "secret_name": "API_TOKEN",
    "secret_value": "s3cret-of-the-world",
    "networking": {"type": "limited", "allowed_hosts": ["api.example.com"]},
}


@dataclass
class World:
    """What the tests look at. Clients are signed in; ``nobody`` is not.

    ``team`` are others of the workspace, one a role; ``member`` is one of them.
    """

    workspace: Workspace
    acting: Acting
    alice: Client
    bob: Client
    charlie: Client
    nobody: Client
    agent: Agent
    environment: Environment
    key: ApiKey
    session: Session
    thread: Thread
    output: File
    deployment: Deployment
    hook: WebhookEndpoint
    notice: NoticeTarget
    vault: Vault
    secret: Credential
    credential: Credential
    outside: Environment
    member: Membership
    team: dict[Role, Client]

    @cached_property
    def store(self) -> MemoryStore:
        """A memory store, made at the first look."""
        return stores.create_store({"name": "Night build robot's notes"}, self.acting)

    @cached_property
    def memory(self) -> Memory:
        """A memory of the store that was changed once."""
        made = memories.create_memory(self.store.pk, {"path": "/notes/a.md", "content": "one\ntwo\n"}, self.acting)
        return memories.update_memory(self.store.pk, made.pk, {"content": "one\n2\n"}, self.acting)

    @property
    def version(self) -> MemoryVersion:
        """What the memory said at first."""
        return MemoryVersion.objects.get(memory_id=self.memory.pk, operation="created")

    @cached_property
    def skill(self) -> Skill:
        """A skill, made at the first look."""
        text = b"---\nname: notes\ndescription: Night build robot's way of writing.\n---\n\n# Notes\n"
        return skills.create_skill([Part("notes/SKILL.md", text)], None, self.acting)

    def append(self, *drafts: Draft) -> list[Event]:
        """Put events on the session's log."""
        return log.append(self.session.pk, self.thread.pk, drafts)

    @cached_property
    def approval(self) -> Event:
        """A call of the session that waits for a person, made at the first look."""
        (event,) = self.append(bash("make install", ask=True))
        return event

    @cached_property
    def view(self) -> SavedView:
        """A view that Alice saved."""
        return saved.save("Mine", {"status": "needs"}, self.acting)

    @cached_property
    def dream(self) -> Dream:
        """A dream of the session, made at the first look."""
        store = stores.create_store({"name": "Tea notes"}, self.acting)
        inputs = [
            {"type": "memory_store", "memory_store_id": store.pk},
            {"type": "sessions", "session_ids": [self.session.pk]},
        ]
        return dreams.create({"inputs": inputs, "model": "demo", "instructions": "Be brief."}, self.acting)

    @cached_property
    def archive(self) -> Transfer:
        """An archive of the workspace that nobody has begun to make yet."""
        return transfers.export(Secret("a phrase for tests"), self.acting)

    def fresh(self) -> Session:
        """The session as it is now."""
        return Session.objects.select_related("agent", "environment").get(pk=self.session.pk)

    def running(self) -> Draft:
        return Draft(ev.THREAD_RUNNING, self._about())

    def idle(self, stop_reason: dict[str, Any]) -> Draft:
        return Draft(ev.THREAD_IDLE, {**self._about(), "stop_reason": stop_reason, "stop_details": None})

    def _about(self) -> dict[str, Any]:
        return {"session_thread_id": self.thread.pk, "agent_name": "Coder"}


def text(words: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": words}]


def bash(command: str, *, ask: bool = False) -> Draft:
    permission = "ask" if ask else "allow"
    payload = {"name": "bash", "input": {"command": command}, "evaluated_permission": permission}
    return Draft(ev.TOOL_USE, {**payload, "evaluation": {"type": f"always_{permission}"}})


def result(call: Event, words: str, *, is_error: bool = False) -> Draft:
    return Draft(ev.TOOL_RESULT, {"tool_use_id": call.pk, "content": text(words), "is_error": is_error})


def person(name: str, workspace: Workspace, role: Role) -> tuple[Any, Client]:
    user = get_user_model().objects.create_user(name, password="only for tests")
    Membership.objects.create(workspace=workspace, user=user, role=role.value)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return user, client


@pytest.fixture(autouse=True)
def own_blobs(settings: Any, tmp_path: Path) -> Path:
    settings.HOLDFAST_BLOB_DIR = tmp_path / "blobs"
    settings.HOLDFAST_DATA_DIR = tmp_path
    return tmp_path / "blobs"


@pytest.fixture(scope="module")
def first_day(lasting: Path) -> World:
    """The world that a module's tests begin with, made once: its rows take tens of milliseconds of a processor."""
    return make_world()


@pytest.fixture
def world(db: None, first_day: World, lasting: Path, own_blobs: Path) -> World:
    """A world as it was made: its rows are seen through a savepoint, its files and objects are copies."""
    shutil.copytree(lasting, own_blobs)
    return copy.deepcopy(first_day)


@pytest.fixture(scope="module")
def shared(first_day: World) -> World:
    """One world for a whole module, with everything in it, whose tests change it inside savepoints of their own."""
    made = copy.deepcopy(first_day)
    made.append(Draft(ev.AGENT_MESSAGE, {"content": text("hello")}))
    assert all((made.approval, made.memory, made.skill, made.dream, made.archive)), "made now, outside every savepoint"
    return made


def make_world() -> World:
    """Everything that a page may show, once."""
    Machine.objects.all().delete()  # a worker's last heartbeat may come when its test's tables are empty again
    workspace, elsewhere = Workspace.objects.create(name="Ours"), Workspace.objects.create(name="Theirs")
    alice, alice_client = person("alice", workspace, Role.ADMIN)
    (_, bob_client), (_, charlie_client) = (
        person("bob", workspace, Role.VIEWER),
        person("charlie", elsewhere, Role.ADMIN),
    )
    team = {role: person(f"a-{role.value}", workspace, role)[1] for role in Role}
    acting = Acting(workspace.pk, Role.ADMIN, "alice", user_id=alice.pk)
    version = create_agent({"name": "Coder", "model": "demo", "tools": [ASKING, WEATHER]}, acting)
    environment = create_environment({"name": "Default"}, acting)
    key, _ = issue_api_key(workspace=workspace, name="Night build robot", role=Role.DEVELOPER, created_by=alice)
    body = {"agent": version.agent_id, "environment_id": environment.pk, "title": "Tidy up"}
    session = create_session(body, acting)
    digest, size = blobs.put(io.BytesIO(b"hello\n"), 1000)
    output = files.capture(session, path="report.html", digest=digest, size=size, mtime_ns=1)
    thread = Thread.objects.get(session=session, parent=None)
    deployment = morning_round(version.agent_id, environment.pk, acting)
    notice, _ = targets.add_target("webhook", "https://127.0.0.1:9/told", acting)
    hook = WebhookEndpoint.objects.create(
        workspace=workspace,
        url="https://hooks.example/all",
        enabled_events=["session.status_idled"],
        created_at=deployment.created_at,
        updated_at=deployment.created_at,
    )
    vault = vaults.create_vault({"display_name": "Alice's"}, acting)
    secret = vaults.create_credential(vault.pk, {"auth": VARIABLE}, acting)
    auth = {"type": "static_bearer", "mcp_server_url": "https://mcp.example.com/mcp", "token": "t"}
    credential = vaults.create_credential(vault.pk, {"auth": auth}, acting)
    return World(
        workspace,
        acting,
        alice_client,
        bob_client,
        charlie_client,
        Client(raise_request_exception=False),
        version.agent,
        environment,
        key,
        session,
        thread,
        output,
        deployment,
        hook,
        notice,
        vault,
        secret,
        credential,
        create_environment({"name": "Machines", "config": {"type": "self_hosted"}}, acting),
        workspace.memberships.get(user__username="a-viewer"),
        team,
    )


def morning_round(agent_id: str, environment_id: str, acting: Acting) -> Deployment:
    return schedules.create(
        {
            "name": "Morning round",
            "agent": agent_id,
            "environment_id": environment_id,
            "initial_events": [{"type": ev.USER_MESSAGE, "content": text("Look around")}],
            "schedule": {"type": "cron", "expression": "0 9 * * 1-5", "timezone": "Europe/Berlin"},
        },
        acting,
    )


@pytest.fixture(scope="package")
def installation() -> Iterator[Installation]:
    """One for the pages in the browser, which ends with them: an idle one keeps a processor busy, if only a little."""
    with Installation.started() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console said against us while the server was up."""
    return []


@pytest.fixture(scope="session")
def signed_in() -> dict[str, Any]:
    """Address of an installation to the cookies of its operator: checking a password takes a second of a processor."""
    return {}


@pytest.fixture
def page(
    browser: Browser, installation: Installation, complaints: list[str], signed_in: dict[str, Any]
) -> Iterator[Page]:
    """A signed-in browser."""
    context = browser.new_context(base_url=installation.url, viewport={"width": 1400, "height": 900})
    context.add_cookies(signed_in.get(installation.url, []))
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/")
    if "/login" in page.url:
        page.get_by_label("Username").fill(installation.username)
        page.get_by_label("Password").fill(installation.password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/")
        signed_in[installation.url] = context.cookies()
    yield page
    context.close()
