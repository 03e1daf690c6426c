"""Package sets: made once in a sandbox of their own, read-only for all others, dropped where they fail."""

from __future__ import annotations

import time
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


def test_a_host_tells_what_it_keeps_and_why_it_could_not(host: RunningHost, name: str, sandbox: str) -> None:
    (absent,) = host.client.inventory([name]).sets
    assert (absent.kept, absent.fault, absent.built_at) == (False, "", None)
    host.client.make_packages(SandboxSpec(name), "echo 'no such package'; (exit 3)")
    (failed,) = host.client.inventory([name]).sets
    assert (failed.kept, failed.built_at) == (False, None)
    assert "no such package" in failed.fault
    began = time.time()
    host.client.make_packages(SandboxSpec(name), f"{MODULE} touch -d 2001-01-01 /opt/packages/pip")
    host.client.open(SandboxSpec(sandbox, packages=(name,)))
    found = host.client.inventory([name])
    (made,) = found.sets
    assert (made.kept, made.fault, made.failed_at) == (True, "", None)
    assert made.size is not None and made.built_at is not None and made.used_at is not None
    assert made.size > 0
    assert min(made.built_at, made.used_at) > began - 60
    assert [one.busy for one in found.open if one.sandbox_id == sandbox] == [False]


def test_a_set_made_anew_replaces_the_earlier_one_only_if_it_succeeds(
    host: RunningHost, name: str, sandbox: str
) -> None:
    host.client.make_packages(SandboxSpec(name), MODULE)
    host.client.open(SandboxSpec(sandbox, packages=(name,)))
    failed = host.client.make_packages(SandboxSpec(name), "echo 'mirror away'; (exit 3)", anew=True)
    assert failed is not None
    (kept,) = host.client.inventory([name]).sets
    assert kept.kept
    assert "mirror away" in kept.fault
    newer = MODULE.replace("42", "43")
    assert host.client.make_packages(SandboxSpec(name), newer, anew=True) is not None
    assert host.client.inventory([name]).sets[0].fault == ""
    show = "python3 -c 'import found; print(found.answer)'"
    assert said(run(host, sandbox, show)) == "42"  # what is open keeps what it shows
    host.client.close(sandbox, discard=True)
    host.client.open(SandboxSpec(sandbox, packages=(name,)))
    assert said(run(host, sandbox, show)) == "43"


@pytest.mark.parametrize("manager", packages.MANAGERS)
def test_names_reach_the_installer_as_single_words(manager: str) -> None:
    command = packages.command(manager, ["a; touch /tmp/x", "$(id)"])
    assert "'a; touch /tmp/x' '$(id)'" in command


def test_the_same_list_in_another_order_is_the_same_set() -> None:
    assert packages.set_name("npm", ["a", "b@1"]) == packages.set_name("npm", ["b@1", "a"])
    assert packages.manager_of(packages.set_name("npm", ["a"])) == "npm"
    assert packages.manager_of("sesn_1") is None
