"""Where this machine's package managers are configured to look, asked from programs that stand for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from credentials.egress.packages import Packages

if TYPE_CHECKING:
    from pathlib import Path

SAYS = {
    "gem": "*** CURRENT SOURCES ***\n\nhttps://gems.example/mirror/",
    "go": "https://goproxy.example,direct",
    "apt-get": "http://debs.example/debian/",
    "npm": "https://user:pass@npm.example/registry/",
}


def asked(tmp_path: Path, **environment: str) -> Packages:
    """What is known once programs of these words, and a home directory, have been asked."""
    for name, words in SAYS.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{words}\nEND\n")
        program.chmod(0o755)
    packages = Packages([], {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), **environment})
    asyncio.run(packages.ask())
    return packages


@pytest.mark.parametrize("host", ["gems.example", "goproxy.example", "debs.example", "npm.example"])
def test_each_manager_s_own_answer_names_its_host(tmp_path: Path, host: str) -> None:
    assert host in asked(tmp_path).hosts


@pytest.mark.parametrize("place", [".cargo", "elsewhere"])
def test_cargo_s_registries_are_read_from_its_configuration(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir()
    (tmp_path / place / "config.toml").write_text(
        '[source.crates-io]\nreplace-with = "mirror"\n[source.mirror]\nregistry = "sparse+https://crates.example/index/"\n'
    )
    assert "crates.example" in asked(tmp_path, CARGO_HOME=str(tmp_path / place)).hosts


def test_what_a_sandbox_is_told_holds_no_sign_in(tmp_path: Path) -> None:
    assert asked(tmp_path).variables["NPM_CONFIG_REGISTRY"] == "https://npm.example/registry/"


def test_a_configuration_that_can_not_be_read_names_nothing(tmp_path: Path) -> None:
    (tmp_path / ".cargo").mkdir()
    (tmp_path / ".cargo" / "config.toml").write_text("[source")
    assert "gems.example" in asked(tmp_path).hosts
