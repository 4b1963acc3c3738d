"""What differs between a run as it was saved and as it would be continued."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from otgen.errors import DamageWarning, InputError, warn
from otgen.train import config_files
from otgen.train.checkpoint import Origin
from otgen.train.config import RunConfig, differences
from otgen.train.rundir import RunDir


def refuse_changes(saved: Path, before: Origin, now: Origin, config: RunConfig, run: RunDir, *, allow: bool) -> None:
    """Refuse to go on with another configuration, other data or another number of threads than before.

    Only the length of a run may change by itself.

    Args:
        saved: the checkpoint.
        before: what the run was saved with.
        now: what it would go on with.
        config: the configuration that it would go on with.
        run: the run.
        allow: warn instead.

    Raises:
        InputError: something has changed, and ``allow`` does not allow it.
    """
    changes = []
    # Read as a configuration only where the text is another one: an earlier version may have written it.
    if before.config not in ("", now.config):
        old = config_files.load(saved / run.config.name, within=run.path)
        changes += differences(old, replace(config, steps=old.steps, budget=old.budget))
    if before.data != now.data:
        changes.append(f"data: fingerprint {before.data[:12]} -> {now.data[:12]}, so other values, or another order")
    if before.threads and before.threads != now.threads:
        changes.append(f"threads: {before.threads} -> {now.threads}, so other roundings")
    if changes:
        said = f"{run.path} would not go on as it was: {'; '.join(changes[:8])}"
        if not allow:
            raise InputError(f"{said}; put back what it was, or go on all the same with --allow-change")
        warn(f"{said}; it goes on with that", DamageWarning)
    name = run.environment.name
    if name in before.run and before.run[name] != now.run.get(name):
        warn(f"{run.environment} is not what it was when the run was saved", DamageWarning)
