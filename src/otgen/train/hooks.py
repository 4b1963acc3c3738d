"""Hooks that run beside training: metrics, pictures, checkpoints, evaluations."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from otgen import files
from otgen.data.labelled import LabelledLatent
from otgen.errors import DamageWarning, NumericalError, SaveError, warn
from otgen.methods import Logged, Method, MethodState
from otgen.methods.neural_potentials import PotentialPair
from otgen.nets import scoring
from otgen.ot import AtomPotentials
from otgen.seeding import named_stream
from otgen.train import checkpoint
from otgen.train.conditioning import of_samples
from otgen.train.evaluation import ABOUT, evaluate, generate, store
from otgen.train.feature_cache import FeatureCache
from otgen.train.lipschitz import steepness
from otgen.train.pictures import lattice, region, save_levels, save_picture
from otgen.train.rows import coder_of, in_file_units
from otgen.train.trainer import Trainer

# Samples in a picture, and in a row of it where the rows are labels.
_PICTURED, _ROW = 100, 10
_REFERENCE = 2000
# Number of points at which the slope of a network is estimated.
_STEEP = 32


@contextlib.contextmanager
def spared(what: str) -> Iterator[None]:
    """Training is worth more than a line or a picture of it: if one cannot be made, a warning says so."""
    try:
        yield
    except NumericalError:
        raise
    except Exception as error:
        warn(f"{what} is lost: {type(error).__name__}: {error}; training goes on without", DamageWarning)


@dataclass
class _Clock:
    """When something was last done, by the time on the wall."""

    last: float | None = None

    def due(self, every: float) -> bool:
        """Whether so many seconds have passed; 0 is never."""
        now = time.monotonic()
        if self.last is None:
            self.last = now
        if not every or now - self.last < every:
            return False
        self.last = now
        return True


@dataclass
class Log:
    """Writes a line of metrics.jsonl at regular steps, with the objective's certified interval.

    Attributes:
        last: the newest line, with the gap of neural potentials if an earlier line reported it.
    """

    last: dict[str, Any] | None = None

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Log on schedule."""
        if trainer.state.step % trainer.config.trainer.log_every == 0:
            self._write(trainer, logged)

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Log the last step, unless it has been logged."""
        if logged is not None and (self.last is None or self.last["step"] != trainer.state.step):
            self._write(trainer, logged)

    def _write(self, trainer: Trainer, logged: Logged) -> None:
        config, state = trainer.config, trainer.state
        record: dict[str, Any] = {"step": state.step, "elapsed": round(state.elapsed, 3)}
        record["critic_updates"] = state.critic_updates
        record |= {name: value.item() for name, value in logged.values.items()}
        if logged.objective is not None:
            certified = logged.objective()
            record |= {
                "loss": float(certified.value),
                "lower": float(certified.lower),
                "upper": float(certified.upper),
                "rel_gap": float(certified.rel_gap),
                "eps": certified.eps,
                "solver_steps": certified.steps,
                "solver_marginal_error": float(certified.marginal_error),
            }
        if logged.measured is not None:
            record |= logged.measured()
        # Lower bounds of the Lipschitz constants that the papers' theorems assume to be bounded. The random stream is
        # separate, so that training draws the same numbers with and without it.
        rng = named_stream(config.seed, f"lipschitz/{state.step}")
        law, latent = trainer.laws
        codes = latent.sample(_STEEP, rng).to(trainer.device)
        generator, critic = state.method.generator.module, config.method.critic_of(state.method)
        record["generator_lipschitz"] = steepness(of_samples(generator), codes, rng)
        if critic is not None:
            real = law.sample(_STEEP, rng)
            points = torch.cat([real, generate(generator, latent, _STEEP, rng)]).to(trainer.device)
            record["critic_lipschitz"] = steepness(critic, points, rng)
        with spared(f"the line of step {state.step}"):
            trainer.run.append(record)
        self.last = {key: self.last[key] for key in ("dual_gap", "value") if self.last and key in self.last} | record


class Pictures:
    """Draws the samples of fixed latent codes, and on points the critic or the potentials.

    It does so at regular steps, and at the end. A picture drawn because of the time is replaced by the next picture.
    """

    def __init__(self) -> None:
        self._clock = _Clock()
        self._passing: list[Path] = []

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Draw on schedule."""
        settings = trainer.config.trainer
        scheduled = trainer.state.step % settings.sample_every == 0
        if self._clock.due(settings.save_seconds) or scheduled:
            self._draw(trainer, passing=not scheduled)

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Draw the final samples."""
        self._draw(trainer, passing=False)

    def _draw(self, trainer: Trainer, *, passing: bool) -> None:
        before, self._passing = self._passing, []
        with spared(f"the picture of step {trainer.state.step}"):
            drawn = self._drawn(trainer)
            for path in before:
                if path not in drawn:
                    files.remove(path, within=trainer.run.path)
            self._passing = drawn if passing else []

    def _drawn(self, trainer: Trainer) -> list[Path]:
        """The files of the pictures of the present state."""
        config, state, within = trainer.config, trainer.state, trainer.run.path
        generator, latent = of_samples(state.ema), trainer.laws.latent
        # A separate stream, restarted each time: the same latent codes, and no effect on the draws of training.
        rng = named_stream(config.seed, "pictures")
        points, again = len(config.data.shape) == 1, named_stream(config.seed, "pictures/data")
        rows = latent if isinstance(latent, LabelledLatent) and not points else None
        if rows is None:
            samples = generate(generator, latent, _REFERENCE if points else _PICTURED, rng)
        else:
            samples = rows_of_labels(generator, rows, config.seed)
        reference = config.data.sample(_REFERENCE, again) if points else None
        path = trainer.run.samples / f"step_{state.step:08d}.png"
        drawn = [path]
        # More coordinates than two are not drawn.
        drawable = points and samples.shape[1] <= 2
        shown, names = in_file_units(samples, coder_of(trainer.data) if drawable else None)
        save_picture(
            shown,
            path,
            value_range=config.data.value_range,
            # A table's whole has a coder of its own.
            reference=None
            if reference is None
            else in_file_units(reference, coder_of(config.data) if drawable else None)[0],
            columns=None if rows is None else _ROW,
            names=names,
            within=within,
        )
        # A critic of points with their labels has no picture in the plane.
        if reference is not None and reference.shape[1] <= 2 and trainer.shapes.labels is None:
            # From the data alone, so that all pictures of a run show the same region.
            box = region(reference)
            panels = dual_values(config.method, state.method, lattice(box).to(trainer.device))
            if panels:
                path = trainer.run.samples / f"critic_step_{state.step:08d}.png"
                save_levels(panels, box, path, samples=samples, reference=reference, names=names, within=within)
                drawn.append(path)
        return drawn


def rows_of_labels(generator: nn.Module, latent: LabelledLatent, seed: int) -> Tensor:
    """Ten samples of each label, of at most ten labels, the most frequent ones: always of the same latent vectors."""
    shares = torch.tensor(latent.code.shares)
    shown = shares.argsort(descending=True, stable=True)[:_ROW].sort().values.tolist()
    return torch.cat([generate(generator, latent.only(k), _ROW, named_stream(seed, "pictures")) for k in shown])


@torch.no_grad()
def dual_values(method: Method, state: MethodState, points: Tensor) -> dict[str, Tensor]:
    """What a method learnt of its dual at points: by name, the values ``(n,)`` of its potentials or of its critic.

    A critic with several outputs, a feature map, has none.
    """
    critic, potentials = method.critic_of(state), method.potentials_of(state)
    with contextlib.ExitStack() as stack:
        for module in (critic, potentials):
            if isinstance(module, nn.Module):
                stack.enter_context(scoring(module))
        seen = points if critic is None else critic(points)
        if isinstance(potentials, PotentialPair):
            return {name: values.cpu() for name, values in potentials.at_points(seen).items()}
        if isinstance(potentials, AtomPotentials):
            return {"potential f, of the samples": potentials.on(points).cpu()}
        return {"critic": seen[:, 0].cpu()} if critic is not None and seen.shape[1] == 1 else {}


class Checkpoints:
    """Saves a checkpoint before the first step, at regular steps or after some time, and at the end."""

    def __init__(self) -> None:
        self._saved = -1
        self._clock = _Clock()

    def at_start(self, trainer: Trainer) -> None:
        """Save what the run begins with, so that there is something to go on from."""
        if not checkpoint.checkpoints(trainer.run.checkpoints):
            self._save(trainer)

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Save on schedule."""
        settings = trainer.config.trainer
        if self._clock.due(settings.save_seconds) or trainer.state.step % settings.checkpoint_every == 0:
            self._save(trainer)

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Save the final state, unless it has been saved."""
        if logged is not None and self._saved != trainer.state.step:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        run, state, keep = trainer.run, trainer.state, trainer.config.trainer.keep
        try:
            checkpoint.save(run.checkpoints, state, trainer.shapes, keep=keep, origin=trainer.origin())
        except OSError as error:
            raise SaveError(
                f"the checkpoint of step {state.step} cannot be saved: {error.strerror}: {error.filename}; what was "
                "saved before is untouched: make room, and continue with --resume"
            ) from error
        self._saved = state.step


class Evaluations:
    """Evaluates at regular steps, and at points spread evenly over the run, if the configuration asks for it."""

    # Number of points that have been reached; None until it has been read from the run directory.
    _reached: int | None = None

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Evaluate on schedule."""
        config, state = trainer.config, trainer.state
        every, points = config.trainer.eval_every, config.trainer.eval_points
        if self._reached is None:
            kept = [(record["step"], record.get("elapsed", 0.0)) for record in trainer.run.read_evaluations()]
            self._reached = max((points_within(points, config.progress(*at)) for at in kept), default=0)
        due = points_within(points, trainer.progress)
        if due > self._reached or (every and state.step % every == 0):
            self._evaluate(trainer)
        self._reached = due

    def _evaluate(self, trainer: Trainer) -> None:
        config, state, n = trainer.config, trainer.state, trainer.config.trainer.eval_samples
        about = (state.step, n, config.seed, "ema", state.elapsed, state.critic_updates)
        generator, cache = of_samples(state.ema), FeatureCache(trainer.run)
        done = evaluate(generator, trainer.laws.latent, trainer.data, n, config.seed, cache=cache)
        with spared(f"the evaluation of step {state.step}"):
            store(trainer.run, done, dict(zip(ABOUT, about, strict=True)))

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Do nothing: whoever started the run evaluates its end."""


def points_within(points: int, progress: float) -> int:
    """Number of evenly spread points that lie within a fraction of the run; the margin is for its roundoff."""
    return int(points * progress + 1e-9)
