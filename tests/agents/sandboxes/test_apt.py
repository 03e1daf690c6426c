"""Packages of apt: unpacked without root, checked as the machine checks them, where programs expect them."""

from __future__ import annotations

import base64
import shlex
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from agents.sandboxes import packages
from agents.sandboxes.base import SandboxSpec
from agents.sandboxes.local import apt
from agents.sandboxes.runner import debs
from tests.agents.sandboxes.test_packages import run, said
from tests.debs import MISSING, repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents.sandboxes.base import CallResult
    from tests.agents.sandboxes.hosts import RunningHost

needs_apt = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


@pytest.fixture
def sandbox(host: RunningHost) -> Iterator[str]:
    made = f"sesn_{uuid.uuid4().hex}"
    yield made
    host.client.close(made, discard=True)


def install(host: RunningHost, names: list[str], options: str = "[trusted=yes]", before: str = "") -> CallResult:
    """Install from a repository that lies in the sandbox itself, which has no network."""
    written = "".join(
        f"echo {base64.b64encode(data).decode()} | base64 -d > /tmp/repository/{name}\n"
        for name, data in repository().items()
    )
    source = shlex.quote(f"deb {options} copy:/tmp/repository ./")
    configured = f"mkdir -p /tmp/etc/apt.conf.d /tmp/etc/sources.list.d; echo {source} > /tmp/etc/sources.list\n"
    settings = "echo 'Dir::Etc \"/tmp/etc\";' > /tmp/etc/apt.conf; export APT_CONFIG=/tmp/etc/apt.conf\n"
    command = f"mkdir -p /tmp/repository\n{written}{configured}{settings}{before}\n{packages.command('apt', names)}"
    made = host.client.make_packages(SandboxSpec(set_name(names, options, before)), command)
    assert made is not None
    return made


def set_name(names: list[str], options: str = "[trusted=yes]", before: str = "") -> str:
    return packages.set_name("apt", [*names, options, before])


@needs_apt
def test_packages_lie_where_they_expect_to_be(host: RunningHost, sandbox: str) -> None:
    made = install(host, ["greeter"])
    assert not made.is_error, said(made)
    assert said(made) == "Unpacked 2 packages. Set-up scripts were not run, of: greeter-words."
    host.client.open(SandboxSpec(sandbox, packages=(set_name(["greeter"]),)))
    assert said(run(host, sandbox, "greet; command -v greet")) == "hello\nworld\n/usr/bin/greet"
    assert run(host, sandbox, "echo no > /usr/share/greeter/words").is_error
    assert run(host, sandbox, "rm -f /usr/bin/greet.real /usr/bin/env").is_error
    assert said(run(host, sandbox, "python3 -c 'import json; print(json.dumps(1))'")) == "1"


@needs_apt
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["no-such-package"], "Unable to locate package no-such-package"),
        (["greeter=2.0"], "Version '2.0' for 'greeter' was not found"),
        (["greeter-words", "greeter=1.0", "greeter=3"], "Version '3' for 'greeter' was not found"),
    ],
)
def test_what_can_not_be_had_is_said_in_apts_words(host: RunningHost, names: list[str], words: str) -> None:
    failed = install(host, names)
    assert failed.is_error
    assert words in said(failed)
    assert host.client.make_packages(SandboxSpec(set_name(names)), "exit 1") is not None


@needs_apt
def test_a_repository_that_is_not_signed_is_refused(host: RunningHost) -> None:
    failed = install(host, ["greeter"], "")
    assert failed.is_error
    assert "is not signed" in said(failed)


@needs_apt
def test_a_package_that_is_not_what_the_index_says_is_refused(host: RunningHost) -> None:
    failed = install(host, ["greeter"], before="echo more >> /tmp/repository/greeter-words.deb")
    assert failed.is_error
    assert "greeter-words" in said(failed)


@needs_apt
def test_more_than_the_limit_is_not_downloaded(host: RunningHost) -> None:
    lower = "sed -i 's/^Size: .*/Size: 2000000000/' /tmp/repository/Packages; rm /tmp/repository/Release"
    failed = install(host, ["greeter"], "[trusted=yes allow-insecure=yes]", before=lower)
    assert failed.is_error
    assert "The packages and what they need are 4,000 MB to download, more than the limit of 1,074 MB." in said(failed)


def test_where_nothing_can_be_laid_over_programs_find_a_set_by_variables() -> None:
    named = packages.environment([set_name(["greeter"])])
    assert named["HOLDFAST_PATH"] == "/opt/packages/apt/usr/bin:/opt/packages/apt/usr/sbin:/opt/packages/apt/usr/games"
    assert named["LD_LIBRARY_PATH"].startswith("/opt/packages/apt/usr/lib/x86_64-linux-gnu:")
    over = packages.environment([set_name(["greeter"])], in_place=True)
    assert over == {"HOLDFAST_PATH": "/usr/games"}


def test_alternatives_are_read_from_a_script_as_far_as_it_spells_them_out() -> None:
    script = (
        "if true; then update-alternatives --quiet --install /usr/bin/a a /usr/bin/a.b 30 \\\n"
        "  --slave /usr/share/man/man1/a.1.gz a.1.gz /usr/share/man/man1/a.b.1.gz; fi\n"
        "update-alternatives --install /usr/bin/$x x /usr/bin/y 5\n"
        "update-alternatives --install /etc/passwd x /usr/bin/y 5\n"
        "update-alternatives --install /usr/bin/c x /usr/bin/../../c 5\n"
        "update-alternatives --install /usr/bin/'c x\n# update-alternatives --install /usr/d d /usr/e 1\n"
    )
    assert list(debs.alternatives(script)) == [
        (30, "/usr/bin/a", "/usr/bin/a.b"),
        (30, "/usr/share/man/man1/a.1.gz", "/usr/share/man/man1/a.b.1.gz"),
    ]


def test_a_set_that_leads_out_of_itself_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "set" / "etc" / "own").mkdir(parents=True)
    (tmp_path / "set" / "etc" / "led").symlink_to("/root")
    (tmp_path / "set" / "etc" / "passwd").write_text("")
    (tmp_path / "set" / "usr").symlink_to("/")
    assert [mount.target for mount in apt.in_place(tmp_path / "set")] == ["/etc/own"]


@needs_apt
def test_a_sandbox_gets_sources_without_sign_ins_and_no_setting_that_weakens_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = tmp_path / "etc"
    (etc / "sources.list.d").mkdir(parents=True)
    (etc / "apt.conf.d").mkdir()
    (etc / "auth.conf.d").mkdir()
    (etc / "auth.conf.d" / "secret.conf").write_text("machine debs.example login me password s3cret\n")
    (etc / "sources.list").write_text("deb https://me:s3cret@debs.example/debian stable main\n")
    (etc / "sources.list.d" / "more.sources").write_text("Types: deb\nURIs: https://me:s3cret@debs.example/more\n")
    config = tmp_path / "apt.conf"
    config.write_text(
        f'Dir::Etc "{etc}"; Acquire::http::Proxy "http://me:s3cret@proxy.example"; APT::Default-Release "stable";\n'
        'Acquire::AllowInsecureRepositories "true"; Acquire::Check-Valid-Until "false";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(config))
    (mount, *_more) = apt.configuration(tmp_path / "shown")
    written = {
        str(path.relative_to(mount.source)): path.read_text() for path in mount.source.glob("*.*") if path.is_file()
    }
    assert written["sources.list"] == "deb https://debs.example/debian stable main\n"
    assert 'APT::Default-Release "stable";' in written["apt.conf"]
    assert 'Acquire::Check-Valid-Until "false";' in written["apt.conf"]
    assert "Insecure" not in written["apt.conf"]
    found = subprocess.run(["grep", "-r", "s3cret", tmp_path / "shown"], capture_output=True, check=False)
    assert found.stdout == b""
