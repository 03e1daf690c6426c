"""Repositories of sessions: cloned and pushed through the proxy, their tokens never inside (spec core 9.1, 13.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.credentials.egress.rig import Server
from tests.network.gitserver import GitHost, git
from tests.network.upstream import WORLD, begin, operator_events, run
from tests.sdk.talk import all_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import anthropic

    from tests.live import Installation

TOKEN = "ghp_decoy0f8b1c2d3e4f5061728394a5b6c7d8e9"
NEXT = "ghp_other0f8b1c2d3e4f5061728394a5b6c7d8e9"
CLOSED = {"type": "limited"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    found = GitHost(tmp_path)
    found.tokens = {TOKEN}
    server = Server(WORLD, address=WORLD)
    server.respond = found.answer
    found.url = f"https://{WORLD}:{server.port}"
    yield found
    server.stop()


def resource(host: GitHost, name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "github_repository", "url": f"{host.url}/{name}", **fields}


def test_a_private_repository_is_cloned_and_pushed_and_its_token_is_not_there(
    online: Installation, client: anthropic.Anthropic, host: GitHost
) -> None:
    bare = host.make("octo/demo")
    talk = begin(client, networking=CLOSED, resources=[resource(host, "octo/demo", authorization_token=TOKEN)])
    assert run(talk, "cat demo/README; git -C demo rev-parse --abbrev-ref HEAD").split() == ["first", "main"]
    assert TOKEN in host.used
    (ready,) = operator_events(talk, "ops.repository_ready")
    assert ready["commit"] == git(bare, "rev-parse", "main")
    assert ready["skills"] == [
        {
            "name": "release-notes",
            "description": "Writes release notes.",
            "path": "/workspace/demo/.claude/skills/notes/SKILL.md",
        }
    ]
    said = run(
        talk, "cd demo && echo second > README && git commit -qam second && git push -q origin main && echo pushed"
    )
    assert said == "pushed"
    assert git(bare, "show", "main:README") == "second"
    seen = run(talk, "env; git -C /workspace/demo config --list; cat /workspace/demo/.git/config; cat /proc/*/environ")
    assert TOKEN not in seen
    assert "extraHeader" in seen or "extraheader" in seen


def test_a_rotated_token_serves_the_running_sandbox(
    online: Installation, client: anthropic.Anthropic, host: GitHost
) -> None:
    host.make("octo/demo")
    talk = begin(client, networking=CLOSED, resources=[resource(host, "octo/demo", authorization_token=TOKEN)])
    assert "fetched" in run(talk, "git -C demo fetch && echo fetched")
    host.tokens = {NEXT}
    assert "fetched" not in run(talk, "git -C demo fetch && echo fetched")
    mounted: Any = next(iter(client.beta.sessions.resources.list(talk.id)))
    client.beta.sessions.resources.update(mounted.id, session_id=talk.id, authorization_token=NEXT)
    assert "fetched" in run(talk, "git -C demo fetch && echo fetched")


def test_a_public_repository_needs_no_token_and_opens_nothing_else_of_its_host(
    online: Installation, client: anthropic.Anthropic, host: GitHost
) -> None:
    host.make("octo/demo")
    host.make("octo/other")
    host.public = {"octo/demo", "octo/other"}
    checkout = {"type": "branch", "name": "side"}
    talk = begin(client, networking=CLOSED, resources=[resource(host, "octo/demo", checkout=checkout)])
    assert run(talk, "git -C demo rev-parse --abbrev-ref HEAD") == "side"
    url = f"{host.url}/octo/other"
    assert "of this host only the session's repositories" in run(talk, f"git clone -q {url}")


@pytest.mark.parametrize(
    ("name", "fields", "kind"),
    [
        ("octo/demo", {"authorization_token": "ghp_wrong"}, "repository_authentication_error"),
        ("octo/demo", {}, "repository_authentication_error"),
        ("octo/shut", {"authorization_token": TOKEN}, "repository_forbidden_error"),
        ("octo/gone", {"authorization_token": TOKEN}, "repository_not_found_error"),
        ("octo/broken", {"authorization_token": TOKEN}, "repository_clone_error"),
        (
            "octo/demo",
            {"authorization_token": TOKEN, "checkout": {"type": "branch", "name": "nowhere"}},
            "repository_checkout_error",
        ),
    ],
)
def test_a_repository_that_can_not_be_had_is_told_and_the_session_goes_on(
    online: Installation, client: anthropic.Anthropic, host: GitHost, name: str, fields: dict[str, Any], kind: str
) -> None:
    host.make("octo/demo")
    host.statuses = {"octo/shut": 403, "octo/gone": 404, "octo/broken": 500}
    talk = begin(client, networking=CLOSED, resources=[resource(host, name, **fields)])
    events = talk.says("Run `echo still here`.")
    (told,) = all_of(events, "session.error")
    assert (told.error.type, told.error.retry_status.type) == (kind, "retrying")
    assert told.error.repository_url.endswith(name)
    assert events[-1].stop_reason.type == "end_turn"
    assert "still here" in str(all_of(events, "agent.tool_result")[-1])


def test_what_failed_is_tried_again_in_the_next_turn(
    online: Installation, client: anthropic.Anthropic, host: GitHost
) -> None:
    host.make("octo/demo")
    host.statuses = {"octo/demo": 500}
    talk = begin(client, networking=CLOSED, resources=[resource(host, "octo/demo", authorization_token=TOKEN)])
    run(talk, "true")
    host.statuses = {}
    assert run(talk, "cat demo/README") == "first"
