"""Package sets: made once in a sandbox of their own, read-only for all others, dropped where they fail."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from agents.sandboxes import packages
from agents.sandboxes.base import SandboxSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.sandboxes.base import CallResult
    from tests.agents.sandboxes.hosts import RunningHost

MODULE = "echo 'answer = 42' > /opt/packages/pip/found.py; mkdir /opt/packages/pip/bin; "
PROGRAM = "printf '#!/bin/sh\\necho found\\n' > /opt/packages/pip/bin/found; chmod 4700 /opt/packages/pip/bin/found; "


@pytest.fixture
def name() -> str:
    return packages.set_name("pip", [uuid.uuid4().hex])


@pytest.fixture
def sandbox(host: RunningHost) -> Iterator[str]:
    made = f"sesn_{uuid.uuid4().hex}"
    yield made
    host.client.close(made, discard=True)


def run(host: RunningHost, sandbox: str, command: str) -> CallResult:
    return host.client.call(sandbox, uuid.uuid4().hex, "bash", {"command": command})


def said(result: CallResult) -> str:
    return "".join(block["text"] for block in result.content).strip()


def test_a_set_is_made_once_and_found_by_programs(host: RunningHost, name: str, sandbox: str) -> None:
    made = host.client.make_packages(SandboxSpec(name), MODULE + PROGRAM)
    assert made is not None
    assert not made.is_error, said(made)
    assert host.client.make_packages(SandboxSpec(name), "exit 1") is None
    host.client.open(SandboxSpec(sandbox, packages=(name,)))
    assert said(run(host, sandbox, "python3 -c 'import found; print(found.answer)'; found")) == "42\nfound"
    assert said(run(host, sandbox, "stat -c %a /opt/packages/pip/bin/found")) == "755"


def test_no_sandbox_can_change_a_set(host: RunningHost, name: str, sandbox: str) -> None:
    host.client.make_packages(SandboxSpec(name), MODULE)
    host.client.open(SandboxSpec(sandbox, packages=(name,)))
    assert run(host, sandbox, "echo 'answer = 0' > /opt/packages/pip/found.py").is_error
    assert run(host, sandbox, "rm -f /opt/packages/pip/found.py").is_error
    assert said(run(host, sandbox, "python3 -c 'import found; print(found.answer)'")) == "42"


def test_a_set_that_fails_is_not_kept_and_its_words_come_back(host: RunningHost, name: str, sandbox: str) -> None:
    failed = host.client.make_packages(SandboxSpec(name), MODULE + "echo 'no such package'; (exit 3)")
    assert failed is not None
    assert failed.is_error
    assert "no such package" in said(failed)
    host.client.open(SandboxSpec(sandbox, packages=(name,)))
    assert run(host, sandbox, "python3 -c 'import found'").is_error
    assert host.client.make_packages(SandboxSpec(name), MODULE) is not None


def test_a_link_out_of_a_set_leads_nowhere_new(host: RunningHost, name: str, sandbox: str) -> None:
    made = host.client.make_packages(
        SandboxSpec(name), "ln -s /etc/shadow /opt/packages/pip/shadow; mkfifo /opt/packages/pip/f"
    )
    assert made is not None
    host.client.open(SandboxSpec(sandbox, packages=(name,)))
    assert run(host, sandbox, "cat /opt/packages/pip/shadow").is_error
    assert said(run(host, sandbox, "ls /opt/packages/pip")) == "shadow"


@pytest.mark.parametrize("manager", packages.MANAGERS)
def test_names_reach_the_installer_as_single_words(manager: str) -> None:
    command = packages.command(manager, ["a; touch /tmp/x", "$(id)"])
    assert "'a; touch /tmp/x' '$(id)'" in command


def test_the_same_list_in_another_order_is_the_same_set() -> None:
    assert packages.set_name("npm", ["a", "b@1"]) == packages.set_name("npm", ["b@1", "a"])
    assert packages.manager_of(packages.set_name("npm", ["a"])) == "npm"
    assert packages.manager_of("sesn_1") is None
