"""An environment's packages: installed once through the proxy, then there for every session (spec core 7.2)."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests import debs
from tests.live import wait_for
from tests.network import tarballs, wheels
from tests.network.upstream import begin, environment, operator_events, run
from tests.sdk.talk import all_of

if TYPE_CHECKING:
    import anthropic

    from tests.credentials.egress.rig import Server
    from tests.live import Installation

NETWORKING = {"type": "limited", "allow_package_managers": True}
USE = 'python3 -c "import answering; print(answering.ANSWER)"'


def test_packages_are_there_before_the_first_command_and_installed_once(
    online: Installation, client: anthropic.Anthropic, index: Server
) -> None:
    where = environment(client, networking=NETWORKING, packages={"type": "packages", "pip": ["answering==1.0"]})
    first = begin(client, environment_id=where)
    assert run(first, USE) == "42"
    (told,) = operator_events(first, "ops.packages_installed")
    assert (told["manager"], told["packages"], told["kept"]) == ("pip", ["answering==1.0"], False)
    asked = len(index.seen)
    assert asked > 0
    second = begin(client, environment_id=where)
    assert run(second, USE) == "42"
    assert [one["kept"] for one in operator_events(second, "ops.packages_installed")] == [True]
    assert len(index.seen) == asked


def test_what_can_not_be_installed_is_told_and_the_session_goes_on(
    online: Installation, client: anthropic.Anthropic
) -> None:
    where = environment(client, networking=NETWORKING, packages={"type": "packages", "pip": ["missing-package"]})
    talk = begin(client, environment_id=where)
    events = talk.says("Run `echo still here`.")
    (told,) = all_of(events, "session.error")
    assert told.error.retry_status.type == "retrying"
    assert "missing-package" in told.error.message
    assert events[-1].stop_reason.type == "end_turn"
    assert not all_of(talk.says("Run `echo again`."), "session.error")


@pytest.mark.skipif(debs.MISSING is not None, reason=debs.MISSING or "")
def test_packages_of_apt_come_from_the_sources_that_the_machine_is_configured_with(
    online: Installation, client: anthropic.Anthropic, index: Server
) -> None:
    where = environment(client, networking=NETWORKING, packages={"type": "packages", "apt": ["greeter=1.0"]})
    talk = begin(client, environment_id=where)
    assert run(talk, "greet").split() == ["hello", "world"]
    (told,) = operator_events(talk, "ops.packages_installed")
    assert (told["manager"], told["packages"], told["kept"]) == ("apt", ["greeter=1.0"], False)
    assert told["note"] == "Unpacked 2 packages. Set-up scripts were not run, of: greeter-words."
    assert f"{wheels.DEBS}/./greeter.deb" in [request.path for request in index.seen]


@pytest.mark.skipif(debs.MISSING is not None, reason=debs.MISSING or "")
def test_a_package_of_apt_that_does_not_exist_is_told_and_the_session_goes_on(
    online: Installation, client: anthropic.Anthropic
) -> None:
    where = environment(client, networking=NETWORKING, packages={"type": "packages", "apt": ["no-such-package"]})
    events = begin(client, environment_id=where).says("Run `echo still here`.")
    (told,) = all_of(events, "session.error")
    assert "Unable to locate package no-such-package" in told.error.message
    assert events[-1].stop_reason.type == "end_turn"


def test_an_environment_tells_its_packages_and_has_them_installed_anew(
    online: Installation, client: anthropic.Anthropic, index: Server
) -> None:
    where = environment(client, networking=NETWORKING, packages={"type": "packages", "pip": ["answering"]})
    (absent,) = state_of(client, where)["layers"]
    assert (absent["manager"], absent["packages"], absent["state"]) == ("pip", ["answering"], "absent")
    talk = begin(client, environment_id=where)
    assert run(talk, USE) == "42"
    told = state_of(client, where)
    (ready,) = told["layers"]
    assert (ready["state"], ready["failure"]) == ("ready", None)
    assert ready["size_bytes"] > 0
    assert [one["session_id"] for one in told["sandboxes"]] == [talk.id]
    asked = len(index.seen)
    client.post(f"/v1/x/environments/{where}/packages/rebuild", cast_to=object)

    def anew() -> bool:
        (layer,) = state_of(client, where)["layers"]
        return bool(layer["state"] == "ready" and layer["built_at"] > ready["built_at"])

    wait_for(anew, 60, lambda: str(state_of(client, where)))
    assert len(index.seen) > asked


def state_of(client: anthropic.Anthropic, environment_id: str) -> dict[str, Any]:
    found: Any = client.get(f"/v1/x/environments/{environment_id}/state", cast_to=object)
    return dict(found)


def test_an_agents_own_pip_uses_the_machines_index(
    online: Installation, client: anthropic.Anthropic, index: Server
) -> None:
    talk = begin(client, networking=NETWORKING)
    run(talk, "python3 -m pip install -q --target lib answering")
    assert run(talk, f"PYTHONPATH=lib {USE}") == "42"


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_packages_of_npm_come_from_the_registry_that_the_machine_is_configured_with(
    online: Installation, client: anthropic.Anthropic, index: Server
) -> None:
    where = environment(client, networking=NETWORKING, packages={"type": "packages", "npm": ["answering@1.0.0"]})
    talk = begin(client, environment_id=where)
    assert run(talk, "node -e \"console.log(require('answering'))\"") == "42"
    (told,) = operator_events(talk, "ops.packages_installed")
    assert (told["manager"], told["packages"], told["kept"]) == ("npm", ["answering@1.0.0"], False)
    assert tarballs.FILE in [request.path for request in index.seen]
