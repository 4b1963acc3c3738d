"""Free memory, so that an allocation that does not fit is refused before it is attempted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from otgen.errors import InputError

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# Names of the limit, the usage and the reclaimable part, in the two versions of Linux control groups.
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def free_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes that can still be allocated on a device.

    CUDA: the free memory of the driver and of PyTorch's cache. Otherwise, on Linux: ``MemAvailable``, within the limits
    of the process's control groups; on other systems the whole memory of the machine; ``sys.maxsize`` if that is
    unknown, so that nothing is refused.
    """
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    known = (_available(_PROC), _within_groups(_PROC, _CGROUPS))
    return min((count for count in known if count is not None), default=_installed())


def require(needed: int, what: str, remedy: str, device: torch.device | str = "cpu") -> None:
    """Raise an error if an allocation does not fit.

    Args:
        needed: the number of bytes.
        what: what they are for; starts the message.
        remedy: what to do instead; ends it.
        device: where they would be allocated.

    Raises:
        InputError: if fewer bytes are free.
    """
    free = free_bytes(device)
    if needed > free:
        place = f"{_text(free)} are free on {torch.device(device)}"
        raise InputError(f"{what} needs {needed} bytes ({_text(needed)}), and {place}; {remedy}")


def _text(count: int) -> str:
    size, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"


def _available(proc: Path) -> int | None:
    kilobytes = _numbers(proc / "meminfo").get("MemAvailable:")
    return None if kilobytes is None else 1024 * kilobytes


def _within_groups(proc: Path, root: Path) -> int | None:
    """The smallest free memory of the process's control groups and their parents; None without a limit."""
    rooms = []
    for line in _lines(proc / "self" / "cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            top, names = root, _VERSION_2
        elif "memory" in controllers.split(","):
            top, names = root / "memory", _VERSION_1
        else:
            continue
        # Inside a container the path may be the host's; the group that is visible is then the root.
        inner = top / path.strip("/")
        groups = (inner, *(parent for parent in inner.parents if parent.is_relative_to(top)))
        rooms += [room for room in (_room(group, *names) for group in groups) if room is not None]
    return min(rooms, default=None)


def _room(group: Path, limit: str, usage: str, reclaimed: str) -> int | None:
    most, used = (next(iter(_lines(group / name)), "") for name in (limit, usage))
    if not (most.isdigit() and used.isdigit()):
        return None
    # Cached files count as used, but can be reclaimed.
    back = _numbers(group / "memory.stat").get(reclaimed, 0)
    return max(0, int(most) - max(0, int(used) - back))


def _installed() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return sys.maxsize


def _numbers(file: Path) -> dict[str, int]:
    """The lines of a file that hold a name and a number."""
    words = (line.split() for line in _lines(file))
    return {name: int(number) for name, number, *_ in (w for w in words if len(w) > 1) if number.isdigit()}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
