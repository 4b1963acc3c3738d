"""Whose classes a configuration may name: otgen's, and those of modules in a folder that the user has named.

A name of a class in a file or on a command line makes Python import a module, and that runs the module's code. So
before anything is imported, :func:`check` looks where the module would come from.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from otgen.errors import InputError, suggestion

# The packages of otgen with components that a configuration chooses.
PACKAGES = ("data", "methods", "nets", "ot")


class ForeignClass(InputError):
    """A configuration names a class of a module that nobody has allowed."""


@dataclass
class _Allowed:
    """What one command may import.

    Attributes:
        folders: those whose modules may be named anywhere, absolute.
        beside: a folder whose modules may be named on the command line too.
        modules: modules, by their first names, that were named on the command line.
        entries: what was added to the end of ``sys.path``.
    """

    folders: list[Path] = field(default_factory=list)
    beside: Path | None = None
    modules: set[str] = field(default_factory=set)
    entries: list[str] = field(default_factory=list)


# None outside the command: a program has imported what it uses, and may name its own classes.
_allowed: ContextVar[_Allowed | None] = ContextVar("allowed modules", default=None)


@contextlib.contextmanager
def only_from(folder: Path | None = None, beside: Path | None = None) -> Iterator[None]:
    """Inside the context the classes of otgen can be named, those of a folder's modules, and no others.

    The folder's modules are found last: none takes the place of one of Python's or of an installed package.

    Args:
        folder: the folder of the user's own modules; None: there is none.
        beside: a folder whose modules may be named in the words of the command, and in no file.
    """
    allowed = _Allowed(beside=beside)
    token = _allowed.set(allowed)
    try:
        if folder is not None:
            allowed.folders.append(folder)
            _add(folder, allowed)
        yield
    finally:
        _allowed.reset(token)
        for entry in allowed.entries:
            with contextlib.suppress(ValueError):
                # The last one: the same folder may have been on the path before.
                del sys.path[len(sys.path) - 1 - sys.path[::-1].index(entry)]


def folder_in_use() -> Path | None:
    """The folder of the user's own modules that a command would have to name now; None where no module needs one."""
    allowed = _allowed.get()
    if allowed is None:
        return None
    return allowed.folders[0] if allowed.folders else allowed.beside if allowed.modules else None


def check(path: str, *, in_words: bool = False) -> None:
    """Refuse the name of a class whose module may not be imported; no foreign module is imported to find out.

    Args:
        path: the class with its module, such as ``otgen.ot.KL`` or ``mine.MyCost``.
        in_words: it stands in the words of a command; the module that it names there may be named in files, too.

    Raises:
        ForeignClass: the module is neither otgen's nor in an allowed folder.
        InputError: a module of an allowed folder has the name of another one.
    """
    top, *rest = path.split(".")
    allowed = _allowed.get()
    if top == "otgen":
        if not rest or rest[0] not in PACKAGES or not _is_class_or_missing(path):
            raise InputError(f"there is no component {path!r} (otgen list shows them)")
        return
    if allowed is None:
        if not _is_imported_component(path):
            raise ForeignClass(f"{path!r} is no class of otgen, and {top} is not imported for it; import it first")
        return
    if top in allowed.modules:
        return
    folders = [*allowed.folders, *([allowed.beside] if in_words and allowed.beside is not None else [])]
    found = next((folder for folder in folders if _in_folder(top, folder) is not None), None)
    if found is None:
        where = f", and there is no module {top} in {folders[0]}" if folders else ""
        raise ForeignClass(f"{path!r} is no class of otgen{where}")
    _refuse_shadow(top, found)
    if found not in allowed.folders:
        _add(found, allowed)
        allowed.modules.add(top)


def resolved(path: str) -> type:
    """The class of a checked name; its module is imported.

    Raises:
        InputError: there is no such class.
        Exception: whatever the import of the user's own module raises.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        # A module that is missing inside the user's own one is for its author to know.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        found = None
    if not isinstance(found, type):
        known = [key for key, value in vars(sys.modules.get(module, sys)).items() if isinstance(value, type)]
        raise InputError(f"there is no class {path!r}{suggestion(name, known)}")
    return found


def _add(folder: Path, allowed: _Allowed) -> None:
    """Put a folder last on the path."""
    importlib.invalidate_caches()
    sys.path.append(str(folder))
    allowed.entries.append(str(folder))


def _in_folder(name: str, folder: Path) -> importlib.machinery.ModuleSpec | None:
    """A folder's module."""
    importlib.invalidate_caches()
    return importlib.machinery.PathFinder.find_spec(name, [str(folder)])


def _refuse_shadow(name: str, folder: Path) -> None:
    """Raise an error if Python would import another module than the folder's."""
    own = _in_folder(name, folder)
    assert own is not None
    try:
        first = importlib.util.find_spec(name)
    except ValueError:  # an imported module that does not say where it is from
        first = importlib.machinery.ModuleSpec(name, None, origin="this program")
    if first is None or _place(first) == _place(own):
        return
    raise InputError(f"{_place(own)} has the name of another module ({_place(first)}), which goes first; rename it")


def _place(spec: importlib.machinery.ModuleSpec) -> str:
    """Where a module is from."""
    if spec.origin in (None, "namespace"):
        return os.pathsep.join(map(os.path.realpath, spec.submodule_search_locations or ["nowhere"]))
    assert spec.origin is not None
    return os.path.realpath(spec.origin) if spec.has_location else spec.origin


def _is_class_or_missing(path: str) -> bool:
    """Whether a name in otgen is that of a class of its own, and not of a function or of something it imports."""
    module, _, name = path.rpartition(".")
    try:
        # The entries themselves: former names are for others to resolve, and to warn of.
        found = vars(importlib.import_module(module)).get(name)
    except ImportError:
        return True
    return found is None or (isinstance(found, type) and found.__module__.startswith("otgen."))


def _is_imported_component(path: str) -> bool:
    """Whether a program has imported a class of this name that is made from one of otgen's."""
    module, _, name = path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and any(base.__module__.startswith("otgen.") for base in found.__mro__[1:])
