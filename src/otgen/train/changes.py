"""What differs between a run as it was saved and as it would be continued."""

from __future__ import annotations

from otgen.errors import DamageWarning, InputError, warn
from otgen.train.checkpoint import Origin
from otgen.train.rundir import RunDir

_LENGTH = ("steps:", "budget:")


def refuse_changes(before: Origin, now: Origin, run: RunDir, *, allow_change: bool) -> None:
    """Refuse to go on with another configuration, other data or another number of threads than before.

    Only the length of a run may change by itself.

    Args:
        before: what the run was saved with.
        now: what it would go on with.
        run: the run.
        allow_change: warn instead.

    Raises:
        InputError: something has changed, and ``allow_change`` does not allow it.
    """
    changes = _changes_of_text(before.config, now.config) if before.config else []
    if before.data != now.data:
        changes.append(f"data: fingerprint {before.data[:12]} -> {now.data[:12]}, so other values, or another order")
    if before.threads and before.threads != now.threads:
        changes.append(f"threads: {before.threads} -> {now.threads}, so other roundings")
    changes = [change for change in changes if not change.startswith(_LENGTH)]
    if changes:
        said = f"{run.path} would not go on as it was: {'; '.join(changes[:8])}"
        if not allow_change:
            raise InputError(f"{said}; put back what it was, or go on all the same with --allow-change")
        warn(f"{said}; it goes on with that", DamageWarning)
    name = run.environment.name
    if name in before.run and before.run[name] != now.run.get(name):
        warn(f"{run.environment} is not what it was when the run was saved", DamageWarning)


def _changes_of_text(before: str, now: str) -> list[str]:
    """The lines of two configurations that differ, ``name: old -> new``."""
    old, new = (dict(_values(text)) for text in (before, now))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [f"{name}: {old.get(name)} -> {new.get(name)}" for name in names]


def _values(text: str) -> list[tuple[str, str]]:
    """The values of a configuration as :mod:`otgen.train.config_files` writes it, by their dotted names."""
    found: list[tuple[str, str]] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        indent, stripped = len(line) - len(line.lstrip()), line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        while path and path[-1][0] >= indent:
            path.pop()
        name, _, value = stripped.partition(":")
        path.append((indent, name))
        names = [part for _, part in path if part != "init_args"]
        found.append((".".join(names), value.strip()))
    return found
