"""What is free, and the refusal of what is more."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cases.errors import raising
from otgen.errors import InputError
from otgen.ot.core import memory
from otgen.ot.core.memory import free_bytes, require

KB = 1024


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree that stands for /proc and /sys/fs/cgroup: 1000 kB available, no groups."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    write(tmp_path / "proc/meminfo", "MemTotal: 4000 kB\nMemFree: 10 kB\nMemAvailable:    1000 kB\n")
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def group(folder: Path, limit: str, used: int, cached: int = 0, *, version: int = 2) -> None:
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    write(folder / names[0], limit + "\n")
    write(folder / names[1], f"{used}\n")
    name = "inactive_file" if version == 2 else "total_inactive_file"
    write(folder / "memory.stat", f"anon 5\n{name} {cached}\n")


def test_this_machine_has_some() -> None:
    assert 1 << 20 < free_bytes() < 1 << 50
    assert free_bytes("cpu") > 0
    assert free_bytes(torch.device("meta")) > 0


@pytest.mark.usefixtures("linux")
def test_what_linux_calls_available() -> None:
    assert free_bytes() == 1000 * KB


@pytest.mark.parametrize(
    ("own", "groups", "free"),
    [
        ("/job", {"job": (500 * KB, 300 * KB, 100 * KB)}, 300 * KB),
        ("/all/job", {"all/job": ("max", 300 * KB), "all": (400 * KB, 390 * KB)}, 10 * KB),
        ("/of/the/host", {".": (400 * KB, 0)}, 400 * KB),
        ("/", {".": (1000, 2000)}, 0),
    ],
    ids=["a limit of the group", "one above it", "a container sees its own at the top", "over its limit"],
)
def test_a_limit_of_a_group_counts(linux: Path, own: str, groups: dict[str, Any], free: int) -> None:
    write(linux / "proc/self/cgroup", f"0::{own}\n")
    for name, (limit, *used) in groups.items():
        group(linux / "groups" / name, str(limit), *used)
    assert free_bytes() == free


def test_groups_of_the_first_version(linux: Path) -> None:
    write(linux / "proc/self/cgroup", "5:cpu:/\n4:memory:/job\n0::/\n")
    group(linux / "groups/memory", "9223372036854771712", 0, version=1)
    group(linux / "groups/memory/job", str(200 * KB), 150 * KB, 20 * KB, version=1)
    assert free_bytes() == 70 * KB


def test_where_nothing_is_known_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    assert free_bytes() >= free_bytes("cpu") > 1 << 20
    monkeypatch.setattr(memory.os, "sysconf", raising(ValueError()))
    assert free_bytes() == sys.maxsize


@pytest.mark.usefixtures("linux")
def test_what_fits_is_let_through_and_what_does_not_is_refused() -> None:
    require(1000 * KB, "a matrix", "less")
    with pytest.raises(InputError, match=r"a matrix needs 1024001 bytes \(1.02 MB\).*1.02 MB are free on cpu; less"):
        require(1000 * KB + 1, "a matrix", "less")
