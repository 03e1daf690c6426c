"""``/v1/environments``: create, update, archive, delete (spec core 7)."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.api.conftest import Caller, fits

ENVIRONMENT = "beta_environment.BetaEnvironment"
EMPTY: dict[str, list[str]] = {"apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []}


def test_only_a_name_is_needed(alice: Caller) -> None:
    made = alice.post("/environments", {"name": "Plain"})
    fits(ENVIRONMENT, made)
    assert made["id"].startswith("env_")
    assert made["config"] == {
        "type": "cloud",
        "packages": {"type": "packages", **EMPTY},
        "networking": {"type": "unrestricted"},
    }
    assert (made["description"], made["metadata"], made["scope"]) == (None, {}, "organization")
    assert alice.get(f"/environments/{made['id']}") == made


def test_limited_networking_is_resolved_and_kept_on_update(alice: Caller) -> None:
    networking = {"type": "limited", "allowed_hosts": ["api.example.com", "*.example.org"]}
    made = alice.post("/environments", {"name": "Tight", "config": {"type": "cloud", "networking": networking}})
    full = {**networking, "allow_mcp_servers": False, "allow_package_managers": False}
    assert made["config"]["networking"] == full
    change = {"config": {"type": "cloud", "networking": {"type": "limited", "allow_mcp_servers": True}}}
    updated = alice.post(f"/environments/{made['id']}", change)
    assert updated["config"]["networking"] == {**full, "allow_mcp_servers": True}
    fits(ENVIRONMENT, updated)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": ""}, "name"),
        ({"bogus": 1}, "bogus"),
        ({"scope": "account"}, "scope"),
        ({"config": {"type": "moon"}}, "config"),
        ({"description": "d" * 1_025}, "description"),
        ({"config": {"type": "self_hosted", "packages": {}}}, "config.packages"),
        ({"config": {"type": "cloud", "packages": {"pip": ["--index-url=x"]}}}, "config.packages.pip.0"),
        ({"config": {"type": "cloud", "packages": {"pip": ["a b"]}}}, "config.packages.pip.0"),
        ({"config": {"type": "cloud", "packages": {"npm": ["n" * 256]}}}, "config.packages.npm.0"),
        ({"config": {"type": "cloud", "packages": {"apt": ["n"] * 257}}}, "config.packages"),
        (
            {"config": {"type": "cloud", "packages": {"pip": ["a"]}, "networking": {"type": "limited"}}},
            "config.networking.allow_package_managers",
        ),
        ({"config": {"type": "cloud", "packages": {"pip": "numpy"}}}, "config.packages.pip"),
        (
            {"config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["https://a.example"]}}},
            "config.networking.allowed_hosts.0",
        ),
    ],
)
def test_bad_input_is_refused_by_name(alice: Caller, change: dict[str, Any], named: str) -> None:
    refused = alice.refused("POST", "/environments", {"name": "E", **change})
    assert refused.status == 400
    assert refused.message.startswith(named)
    assert alice.get("/environments")["data"] == []


def test_a_taken_name_is_a_conflict_in_its_workspace_only(alice: Caller, charlie: Caller) -> None:
    alice.post("/environments", {"name": "Plain"})
    other = alice.post("/environments", {"name": "Other"})
    charlie.post("/environments", {"name": "Plain"})
    assert alice.refused("POST", "/environments", {"name": "Plain"}).status == 409
    assert alice.refused("POST", f"/environments/{other['id']}", {"name": "Plain"}).type == "conflict_error"


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"name": "New"}, "name", "New"),
        ({"name": None}, "name", "Plain"),
        ({"description": None}, "description", None),
        ({"description": ""}, "description", ""),
        ({"metadata": {"a": None}}, "metadata", {"b": "2"}),
        ({"metadata": {"a": "", "c": "3"}}, "metadata", {"b": "2", "c": "3"}),
    ],
)
def test_an_update_changes_what_was_sent(alice: Caller, change: dict[str, Any], field: str, expected: Any) -> None:
    made = alice.post("/environments", {"name": "Plain", "description": "d", "metadata": {"a": "1", "b": "2"}})
    updated = alice.post(f"/environments/{made['id']}", change)
    assert updated[field] == expected
    kept = set(made) - {field, "updated_at"}
    assert {name: updated[name] for name in kept} == {name: made[name] for name in kept}


def test_the_kind_of_an_environment_never_changes(alice: Caller, environment: str) -> None:
    refused = alice.refused("POST", f"/environments/{environment}", {"config": {"type": "self_hosted"}})
    assert (refused.status, refused.details) == (400, {"error_code": "invalid_config_type_change"})


def test_an_archived_environment_is_hidden_and_cannot_be_changed(alice: Caller, environment: str) -> None:
    archived = alice.post(f"/environments/{environment}/archive")
    assert alice.post(f"/environments/{environment}/archive") == archived
    assert alice.get("/environments")["data"] == []
    assert alice.get("/environments?include_archived=true")["data"] == [archived]
    refused = alice.refused("POST", f"/environments/{environment}", {"name": "x"})
    assert (refused.status, refused.details) == (400, {"error_code": "environment_archived"})


def test_an_unused_environment_can_be_deleted_even_if_archived(alice: Caller, environment: str) -> None:
    alice.post(f"/environments/{environment}/archive")
    assert alice.ok("DELETE", f"/environments/{environment}") == {"id": environment, "type": "environment_deleted"}
    refused = alice.refused("DELETE", f"/environments/{environment}")
    assert (refused.status, refused.details) == (404, {"error_code": "environment_not_found"})


def test_an_environment_in_use_cannot_be_deleted(alice: Caller, environment: str, session: dict[str, Any]) -> None:
    assert alice.refused("DELETE", f"/environments/{environment}").status == 409
    alice.ok("DELETE", f"/sessions/{session['id']}")
    alice.ok("DELETE", f"/environments/{environment}")


@pytest.mark.parametrize("name", ["jq-", "jq=1 2", "./a.deb", "^lamp", "lib*", "JQ", "task^", "a=$(id)", "jq/a/b"])
def test_what_is_no_name_of_a_debian_package_is_refused(alice: Caller, name: str) -> None:
    config = {"type": "cloud", "packages": {"apt": ["jq=1.6-2.1+deb12u3", name]}}
    refused = alice.refused("POST", "/environments", {"name": "Debs", "config": config})
    assert (refused.status, refused.message[:27]) == (400, "config.packages.apt.1: must")


def test_packages_of_apt_need_a_machine_that_has_apt(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"name": "Debs", "config": {"type": "cloud", "packages": {"apt": ["jq", "libstdc++6:amd64", "vim/stable"]}}}
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert alice.refused("POST", "/environments", body).message.startswith(
        "config.packages.apt: this machine has no apt"
    )
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert alice.post("/environments", body)["config"]["packages"]["apt"] == ["jq", "libstdc++6:amd64", "vim/stable"]


def test_an_environment_without_packages_has_nothing_to_install_anew(alice: Caller, environment: str) -> None:
    refused = alice.refused("POST", f"/x/environments/{environment}/packages/rebuild")
    assert (refused.status, "names no packages" in refused.message) == (400, True)


def test_the_state_of_an_environment_says_when_no_sandbox_host_answers(alice: Caller, environment: str) -> None:
    told = alice.get(f"/x/environments/{environment}/state")
    assert (told["type"], told["layers"], told["sandboxes"]) == ("environment_state", [], [])
    assert told["problem"]


def test_packages_are_kept_list_by_list(alice: Caller) -> None:
    packages = {"pip": ["pandas==2.2.0", "numpy"], "npm": ["@types/node@22"], "apt": []}
    made = alice.post("/environments", {"name": "Rich", "config": {"type": "cloud", "packages": packages}})
    whole = {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], **packages}
    assert made["config"]["packages"] == whole
    change = {"config": {"type": "cloud", "packages": {"go": ["golang.org/x/tools@latest"], "pip": []}}}
    updated = alice.post(f"/environments/{made['id']}", change)
    assert updated["config"]["packages"] == {**whole, "go": ["golang.org/x/tools@latest"], "pip": []}
    fits("beta_environment.BetaEnvironment", updated)


def test_limited_networking_and_packages_need_the_package_managers(alice: Caller) -> None:
    networking = {"type": "limited", "allow_package_managers": True}
    config = {"type": "cloud", "packages": {"pip": ["a"]}, "networking": networking}
    made = alice.post("/environments", {"name": "Tight", "config": config})
    change = {"config": {"type": "cloud", "networking": {"type": "limited", "allow_package_managers": False}}}
    assert alice.refused("POST", f"/environments/{made['id']}", change).message.startswith("config.networking")
    assert alice.get(f"/environments/{made['id']}") == made


def test_a_self_hosted_environment_has_only_its_type(alice: Caller) -> None:
    made = alice.post("/environments", {"name": "Theirs", "config": {"type": "self_hosted"}})
    assert made["config"] == {"type": "self_hosted"}
    fits("beta_environment.BetaEnvironment", made)
    assert alice.post(f"/environments/{made['id']}", {"config": {"type": "self_hosted"}})["config"] == made["config"]
    refused = alice.refused("POST", f"/environments/{made['id']}", {"config": {"type": "cloud"}})
    assert refused.details == {"error_code": "invalid_config_type_change"}


def test_an_update_that_changes_nothing_leaves_everything_as_it_is(alice: Caller, environment: str) -> None:
    before = alice.get(f"/environments/{environment}")
    assert alice.post(f"/environments/{environment}", {"name": before["name"], "config": {"type": "cloud"}}) == before
