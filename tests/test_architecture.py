"""The direction of imports and the purity of the modules that decide, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Who may import whom: config -> sessions -> {agents, credentials} -> contract.
ALLOWED = {
    "contract": set[str](),
    "credentials": {"contract"},
    "agents": {"contract"},
    "sessions": {"contract", "agents", "credentials"},
    "config": {"contract", "agents", "credentials", "sessions"},
}
# Modules that decide and must be the same on every run: no framework, no client, no clock, no input or output.
PURE = (
    "contract/phrases.py",
    "contract/places.py",
    "contract/plain.py",
    "contract/shortcuts.py",
    "contract/storable.py",
    "agents/mcp/content.py",
    "agents/mcp/tools.py",
    "agents/policies.py",
    "agents/providers/chunked.py",
    "agents/tools/web/domains.py",
    "agents/tools/web/seen.py",
    "agents/rules.py",
    "agents/stored_rules.py",
    "agents/commands.py",
    "agents/pricing.py",
    "agents/skills/frontmatter.py",
    "agents/skills/paths.py",
    "sessions/events.py",
    "sessions/outcomes.py",
    "sessions/teams.py",
    "sessions/workflows/plan.py",
    "sessions/harness/notes.py",
    "sessions/harness/reports.py",
    "sessions/projections",
    "sessions/harness/state.py",
    "sessions/harness/decide.py",
    "sessions/harness/prompt.py",
    "sessions/harness/limits.py",
    "sessions/harness/stuck.py",
    "sessions/harness/compaction.py",
    "sessions/harness/spill.py",
    "credentials/scopes.py",
    "credentials/encodings.py",
    "credentials/masking.py",
    "credentials/addresses.py",
    "credentials/auths.py",
    "credentials/matching.py",
)
# Named by the design for work that may not have begun; held to the same rule from their first line.
LATER = frozenset(
    {
        "agents/pricing.py",
        "sessions/harness/stuck.py",
        "sessions/harness/compaction.py",
        "credentials/scopes.py",
    }
)
IMPURE_MODULES = frozenset(
    {
        "django", "celery", "channels", "ninja", "anthropic", "redis", "psycopg", "httpx2", "urllib.request",
        "time", "random", "secrets", "socket", "subprocess", "os", "io", "pathlib", "shutil", "tempfile", "asyncio",
        "threading", "uuid", "logging",
    }
)  # fmt: skip
IMPURE_CALLS = frozenset({"open", "print", "input"})
CLOCK_CALLS = frozenset({"now", "utcnow", "today"})


class Import(NamedTuple):
    file: Path
    line: int
    module: str


def _python_files(package: str) -> list[Path]:
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts]


def _imports(file: Path) -> list[Import]:
    """Every module a file imports, inside functions and behind TYPE_CHECKING too."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [Import(file, node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "pathlib":
            # PurePath and its kin reckon with names; Path reads the disk.
            found += [Import(file, node.lineno, "pathlib") for name in node.names if not name.name.startswith("Pure")]
        elif isinstance(node, ast.ImportFrom):
            found.append(Import(file, node.lineno, _absolute(file, node)))
    return found


def _absolute(file: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = file.relative_to(ROOT).parts[: -node.level]
    return ".".join([*package, node.module or ""])


def _show(file: Path, line: int, what: str) -> str:
    return f"{file.relative_to(ROOT)}:{line}: {what}"


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_package_imports_only_the_packages_below_it(package: str) -> None:
    forbidden = set(ALLOWED) - ALLOWED[package] - {package} | {"tests"}
    wrong = [
        _show(found.file, found.line, found.module)
        for file in _python_files(package)
        for found in _imports(file)
        if found.module.split(".")[0] in forbidden
    ]
    assert not wrong, f"{package} imports what is above or beside it:\n" + "\n".join(wrong)


def _pure_files() -> list[Path]:
    files: list[Path] = []
    for name in PURE:
        path = ROOT / name
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return files


def test_the_list_of_pure_modules_names_real_files() -> None:
    missing = [name for name in PURE if name not in LATER and not (ROOT / name).exists()]
    assert not missing, f"listed as pure, but not there: {missing}"


def test_pure_modules_touch_no_framework_no_clock_and_nothing_outside() -> None:
    wrong = [reason for file in _pure_files() if file.exists() for reason in _impurities(file)]
    assert not wrong, "pure modules that are not:\n" + "\n".join(wrong)


def _impurities(file: Path) -> list[str]:
    reasons = [
        _show(found.file, found.line, f"imports {found.module}")
        for found in _imports(file)
        if {found.module, found.module.split(".")[0]} & IMPURE_MODULES and not _only_types(file, found)
    ]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if name in IMPURE_CALLS or attribute in CLOCK_CALLS:
                reasons.append(_show(file, node.lineno, f"calls {name or attribute}()"))
    return reasons


def _only_types(file: Path, found: Import) -> bool:
    """The SDK's types are our vocabulary; its client is not."""
    return found.module.startswith("anthropic.types") or _behind_type_checking(file, found.line)


def _behind_type_checking(file: Path, line: int) -> bool:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            first, last = node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno
            if first <= line <= last:
                return True
    return False


def test_the_sandbox_runner_stands_on_the_standard_library_alone() -> None:
    """It is copied into sandboxes, where nothing else is installed."""
    import sys

    folder = ROOT / "agents/sandboxes/runner"
    outside = [
        _show(found.file, found.line, found.module)
        for file in sorted(folder.rglob("*.py"))
        for found in _imports(file)
        if not found.module.startswith("agents.sandboxes.runner")
        and found.module.split(".")[0] not in {*sys.stdlib_module_names, ""}
    ]
    assert not outside, "the runner needs more than Python:\n" + "\n".join(outside)


def test_one_module_inserts_events() -> None:
    """`sessions/log.py` is the only door: nothing else creates or changes rows of Event."""
    writes = ("Event.objects.create(", "Event.objects.bulk_create(", "Event.objects.update(", "agent_sessions_event")
    wrong = [
        _show(file, number, line.strip())
        for package in ALLOWED
        for file in _python_files(package)
        if file != ROOT / "sessions/log.py"
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if any(write in line and ("agent_sessions_event" not in write or "INSERT" in line.upper()) for write in writes)
    ]
    assert not wrong, "events are written past the log:\n" + "\n".join(wrong)
