"""How repositories are cloned, what git's words stand for, and the skills found in them."""

from __future__ import annotations

import base64
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from sessions import repositories as repos
from sessions.repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path

SKILL = "---\nname: release-notes\ndescription: Writes release notes.\n---\nDo it.\n"


def repository(tmp_path: Path, source: Path, checkout: dict[str, Any] | None = None) -> Repository:
    return Repository("sesrsc_1", str(source), str(tmp_path / "clone"), checkout)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with two commits on main, a branch, and a skill."""
    path = tmp_path / "source"
    skill = path / ".claude/skills/notes"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text(SKILL)
    (path / ".claude/skills/SKILL.md").write_text(SKILL)
    for number in ("one", "two"):
        (path / "file").write_text(number)
        git(path, "init", "-q", "-b", "main")
        git(path, "add", "-A")
        git(path, "commit", "-qm", number)
    git(path, "branch", "side", "HEAD~1")
    return path


def git(path: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=path, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def run(command: str) -> tuple[bool, str]:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode == 0, done.stdout


def test_a_clone_stands_on_the_default_branch_and_names_its_commit(tmp_path: Path, source: Path) -> None:
    wanted = repository(tmp_path, source)
    done, said = run(repos.clone_command(wanted))
    assert done, said
    assert repos.outcome(said)[0] == f"commit {git(source, 'rev-parse', 'main')}"
    assert git(tmp_path / "clone", "rev-parse", "--abbrev-ref", "HEAD") == "main"


# What stands for the program: it notes how it was called, and fetches or fails.
GIT_LFS = """#!/bin/sh
echo "$PWD $*" >> {notes}
[ "$1" = pull ] || exit 0
{pull}
"""


@pytest.mark.parametrize(
    ("pull", "left"),
    [
        (None, ["lfs"]),
        ("echo content > deep/large.bin", []),
        ("echo 'batch response: 403 Forbidden'; exit 2", ["lfs-failed"]),
    ],
)
def test_large_files_are_fetched_where_git_lfs_is_installed(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, pull: str | None, left: list[str]
) -> None:
    (source / "deep").mkdir()
    (source / "deep/.gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "three")
    # Programs without git-lfs, whether or not this machine has it.
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "mkdir", "dirname", "rm", "mv", "sh", "bash"):
        (programs / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(programs))
    if pull is not None:
        (programs / "git-lfs").write_text(GIT_LFS.format(notes=tmp_path / "notes", pull=pull))
        (programs / "git-lfs").chmod(0o755)
    done, said = run(repos.clone_command(repository(tmp_path, source)))
    assert done, said
    stage, before = repos.outcome(said)
    assert stage.split() == ["commit", git(source, "rev-parse", "main"), *left]
    if pull is not None:
        part = tmp_path / "clone.part"
        assert (tmp_path / "notes").read_text().splitlines() == [f"{part} install --local", f"{part} pull"]
        assert (tmp_path / "clone/deep/large.bin").exists() == (not left)
        assert ("403 Forbidden" in before) == bool(left)


def test_a_branch_and_a_commit_are_checked_out(tmp_path: Path, source: Path) -> None:
    first = git(source, "rev-parse", "side")
    for place, checkout in enumerate(
        ({"type": "branch", "name": "side"}, {"type": "commit", "sha": first}, {"type": "commit", "sha": first[:8]})
    ):
        wanted = repository(tmp_path / str(place), source, checkout)
        done, said = run(repos.clone_command(wanted))
        assert done, said
        assert repos.outcome(said)[0] == f"commit {first}"


def test_a_clone_that_is_there_is_left_alone(tmp_path: Path, source: Path) -> None:
    wanted = repository(tmp_path, source)
    run(repos.clone_command(wanted))
    (tmp_path / "clone/file").write_text("changed")
    assert repos.outcome(run(repos.clone_command(wanted))[1])[0] == "there"
    assert (tmp_path / "clone/file").read_text() == "changed"


@pytest.mark.parametrize("checkout", [{"type": "branch", "name": "gone"}, {"type": "commit", "sha": "0" * 40}])
def test_what_can_not_be_checked_out_leaves_nothing(tmp_path: Path, source: Path, checkout: dict[str, Any]) -> None:
    done, said = run(repos.clone_command(repository(tmp_path, source, checkout)))
    assert not done
    stage, words = repos.outcome(said)
    assert repos.failure(stage, words) == "repository_checkout_error"
    assert not list(tmp_path.glob("clone*"))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("fatal: Authentication failed for 'https://github.com/o/r/'", "repository_authentication_error"),
        ("fatal: could not read Username: terminal prompts disabled", "repository_authentication_error"),
        ("The requested URL returned error: 403", "repository_forbidden_error"),
        ("remote: Repository not found.\nfatal: repository 'x' not found", "repository_not_found_error"),
        ("fatal: unable to access: CONNECT tunnel failed, response 403", "repository_clone_error"),
        ("", "repository_clone_error"),
    ],
)
def test_gits_words_stand_for_the_errors_of_the_api(said: str, kind: str) -> None:
    assert repos.failure("clone", said) == kind


def test_what_a_process_of_gits_says_too_late_is_not_taken_for_how_far_it_came() -> None:
    said = f"fatal: reference is not a tree\n{repos.MARK} checkout\nfatal: git upload-pack: not our ref\n"
    words = "fatal: reference is not a tree\nfatal: git upload-pack: not our ref"
    assert repos.outcome(said) == ("checkout", words)


def test_skills_lie_exactly_one_level_deep(tmp_path: Path, source: Path) -> None:
    wanted = repository(tmp_path, source)
    run(repos.clone_command(wanted))
    (found,) = repos.discovered(run(repos.skills_command(wanted))[1])
    assert (found.name, found.description) == ("release-notes", "Writes release notes.")
    assert found.path == f"{wanted.path}/.claude/skills/notes/SKILL.md"
    assert found.path in repos.skills_note([{"name": found.name, "description": "d", "path": found.path}])
    assert repos.skills_note([]) == ""


def test_a_file_that_is_no_skill_is_left_out() -> None:
    coded = [base64.b64encode(text.encode()).decode() for text in ("/w/.claude/skills/x/SKILL.md", "no head")]
    assert repos.discovered(f"{repos.SKILL_MARK} {' '.join(coded)}\nother words\n{repos.SKILL_MARK} !!! ???") == []


def test_git_signs_in_with_a_placeholder_for_that_repository_only() -> None:
    one = Repository("sesrsc_1", "https://github.com/o/r", "/workspace/r", None)
    found = repos.git_variables([(one, "placeholder")])
    assert found["GIT_CONFIG_COUNT"] == "2"
    assert found["GIT_CONFIG_KEY_0"] == "http.https://github.com/o/r.extraHeader"
    assert base64.b64decode(found["GIT_CONFIG_VALUE_0"].split()[-1]) == b"x-access-token:placeholder"
    assert repos.git_variables([]) == {}
    assert one.paths == ("/o/r", "/o/r.git")
