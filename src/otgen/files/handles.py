"""Handles of folders, and what is done to the entries of a folder by name."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

# Elsewhere (Windows) paths are used as they are, after their parts have been looked at.
_HAS_HANDLES = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


@contextlib.contextmanager
def parent_of(path: Path, within: Path | None) -> Iterator[tuple[int | None, str]]:
    """A handle of the folder that holds a path, and the name that is relative to it; for the ``dir_fd`` of `os`.

    Args:
        path: a file or a folder; it need not exist, its parent must.
        within: the folder that the path must not leave; None: its own parent, wherever that is.

    Raises:
        OSError: a part of the path is a symbolic link or no folder, or the path leaves the folder.
    """
    root = path.parent if within is None else within
    parts = _inside(path, root)
    if not _HAS_HANDLES:
        _refuse_links(root, parts[:-1])
        yield None, str(path)
        return
    handle = os.open(root, _FOLDER)
    try:
        for part in parts[:-1]:
            handle = _entered(handle, part, path)
        yield handle, parts[-1]
    finally:
        os.close(handle)


def _inside(path: Path, root: Path) -> tuple[str, ...]:
    """The parts of a path below a folder."""
    if path.is_relative_to(root):
        parts = path.relative_to(root).parts
        if parts and ".." not in parts:
            return parts
    raise OSError(errno.EPERM, f"leaves {root}", str(path))


def _entered(handle: int, part: str, path: Path) -> int:
    """A handle of a folder in a folder, in place of that one's."""
    try:
        inner = os.open(part, _FOLDER | NOFOLLOW, dir_fd=handle)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and is_link(handle, part):
            raise linked(path, part) from error
        raise OSError(error.errno, error.strerror, str(path)) from error
    os.close(handle)
    return inner


def _refuse_links(root: Path, parts: tuple[str, ...]) -> None:
    here = root
    for part in parts:
        here = here / part
        if here.is_symlink():
            raise linked(here, part)


def linked(path: Path, part: str) -> OSError:
    """The error that a part of a path is a symbolic link."""
    return OSError(
        errno.ELOOP, f"{part} is a symbolic link, which is not followed here; put what it names there", str(path)
    )


def is_link(handle: int | None, name: str) -> bool:
    """Whether an entry of a folder is a symbolic link."""
    with contextlib.suppress(OSError):
        return stat.S_ISLNK(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode)
    return False


def exists(path: Path, *, within: Path) -> bool:
    """Whether a folder has such an entry, of whatever kind."""
    return _mode(path, within) is not None


def is_folder(path: Path, *, within: Path) -> bool:
    """Whether a path is a folder and no link to one."""
    mode = _mode(path, within)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: Path, within: Path) -> int | None:
    try:
        with parent_of(path, within) as (handle, name):
            return os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
    except OSError:
        return None


def names(folder: Path, *, within: Path | None = None) -> list[str]:
    """The names of a folder's entries, sorted; none if it does not exist.

    Raises:
        OSError: it is a symbolic link inside ``within``, or cannot be read.
    """
    try:
        with parent_of(folder / "entry", within) as (handle, name):
            return sorted(os.listdir(Path(name).parent if handle is None else handle))
    except FileNotFoundError:
        return []


def remove(path: Path, *, within: Path) -> None:
    """Delete a file, a link, or a folder with all in it, if it exists; what links name is left alone."""
    with contextlib.suppress(FileNotFoundError), parent_of(path, within) as (handle, name):
        status = os.stat(name, dir_fd=handle, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=handle)
            return
        for entry in names(path, within=within):
            remove(path / entry, within=within)
        os.rmdir(name, dir_fd=handle)


def rename(old: Path, new: Path, *, within: Path) -> None:
    """Give a file or folder another name in the same folder; an existing file there is replaced."""
    assert old.parent == new.parent
    with parent_of(old, within) as (handle, name):
        os.replace(name, new if handle is None else new.name, src_dir_fd=handle, dst_dir_fd=handle)


def sync_folder(path: Path, *, within: Path | None = None) -> None:
    """Flush the entries of a folder to the disk."""
    with parent_of(path / "entry", within) as (handle, _):
        if handle is not None:
            os.fsync(handle)
