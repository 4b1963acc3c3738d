"""How much a generator still changes at the end of a run: the similarity of its weights around the stopping point.

Adnan et al. 2021, sections III.D and IV.C: back- and forward tracking from a stopping point, with the structural
similarity (SSIM, Wang et al. 2004) of the generator's parameters. It measures how much the weights still move. With
small step sizes they move little, whether or not the run has converged.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from otgen.errors import InputError
from otgen.train import RunDir, Trainer, checkpoint

# Wang et al. 2004: a Gaussian window of 11 with standard deviation 1.5, and K1, K2.
_WINDOW, _STD, _K1, _K2 = 11, 1.5, 0.01, 0.03


@dataclass(frozen=True)
class Tracked:
    """The weights at a step, compared with those of the stopping point.

    Attributes:
        step: generator updates so far, the paper's eta_theta.
        updates: generator and critic updates so far, eta_theta + eta_phi.
        similarity: SSIM with the stopping point.
    """

    step: int
    updates: int
    similarity: float


@dataclass(frozen=True)
class PowerLaw:
    """The line ``log(1 / SSIM) = kappa log(eta_theta + eta_phi) + const``, fitted by least squares.

    Attributes:
        kappa: slope of the line.
        low: lower end of the 95 % confidence interval of the slope, for independent residuals. Those of a track are
            not independent: the true interval is wider.
        high: upper end of that interval.
        constant: intercept of the line.
        points: number of points that the line is fitted to.
    """

    kappa: float
    low: float
    high: float
    constant: float
    points: int


def track(
    run: RunDir, *, back: int, forward: int, every: int, report: Callable[[int, int], None] | None = None
) -> list[Tracked]:
    """Train a run once more, up to its stopping point and beyond, and compare the weights with those at that point.

    A run with a number of steps is repeated bit by bit, from its newest checkpoint that is early enough or from its
    start. A run with a time budget is repeated as a run of the steps that it took. Its step sizes may have fallen with
    the clock, which cannot be repeated, so the track belongs to the stopping point of the repetition, which may differ.
    The run's own files are not changed.

    Args:
        run: a finished run.
        back: generator steps before the stopping point.
        forward: generator steps after it.
        every: steps between two comparisons, the paper's lambda.
        report: called after each step with the steps done and their total.

    Returns:
        A point for each comparison, in the order of the steps.

    Raises:
        InputError: the run is shorter than ``back``, or a number is not positive.
    """
    end = checkpoint.newest(run.checkpoints)
    stop = checkpoint.step_of(end)
    if not every > 0 or back < 0 or forward < 0 or back + forward < every:
        raise InputError(f"back, forward and every must be positive, got {back}, {forward} and {every}")
    if back > stop:
        raise InputError(f"the run stopped at step {stop}: it cannot be tracked {back} steps back; ask for fewer")
    config = replace(run.load_config(), steps=max(stop, 1), budget=None)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, RunDir(Path(folder)))
        early = [path for path in checkpoint.checkpoints(run.checkpoints) if checkpoint.step_of(path) <= stop - back]
        if early:
            checkpoint.load(early[-1], trainer.state)
        state, first = trainer.state, trainer.state.step
        reference: list[Tensor] | None = None
        # Points before the stopping point wait until its weights are known.
        waiting: list[tuple[int, int, list[Tensor]]] = []
        points: list[Tracked] = []
        while True:
            if state.step >= stop - back and (state.step - stop) % every == 0:
                weights = [p.detach().cpu().clone() for p in state.method.generator.module.parameters()]
                waiting.append((state.step, state.step + state.critic_updates, weights))
                reference = weights if state.step == stop else reference
            if reference is not None:
                points += [Tracked(step, updates, parameter_similarity(reference, w)) for step, updates, w in waiting]
                waiting.clear()
            if state.step >= stop + forward:
                return points
            trainer.step()
            if report is not None:
                report(state.step - first, stop + forward - first)


def logarithms(points: Sequence[Tracked]) -> list[tuple[float, float]]:
    """``log(eta_theta + eta_phi)`` and ``log(1 / SSIM)`` of the points where both can be used."""
    return [(math.log(p.updates), -math.log(p.similarity)) for p in points if p.updates > 0 and 0 < p.similarity < 1]


def fit_power_law(points: Sequence[Tracked]) -> PowerLaw:
    """The regression of the paper's Figure 22. Points with an SSIM of 1, such as the stopping point, are left out.

    Raises:
        InputError: the points that are left have fewer than three different numbers of updates.
    """
    pairs = logarithms(points)
    if len({x for x, _ in pairs}) < 3:
        raise InputError(f"a line needs three points with an SSIM below 1, got {len(pairs)}; track further or finer")
    x, y = zip(*pairs, strict=True)
    from scipy import stats  # half a second that every other command is spared

    line = stats.linregress(x, y)
    kappa, half = float(line.slope), float(stats.t.ppf(0.975, len(x) - 2) * line.stderr)
    return PowerLaw(kappa, kappa - half, kappa + half, float(line.intercept), len(x))


def parameter_similarity(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """The SSIM of two lists of tensors of equal shapes: at most 1, and 1 for equal lists.

    Each tensor is flattened to a signal, and the signal's range is taken from the tensor of the first list. Local
    means, variances and covariances use a Gaussian window; the local scores are averaged over all entries of all
    tensors.
    """
    total, entries = 0.0, 0
    for a, b in zip(one, other, strict=True):
        total += float(_local_scores(a.double().flatten(), b.double().flatten()).sum())
        entries += a.numel()
    return total / entries


def _local_scores(a: Tensor, b: Tensor) -> Tensor:
    span = float(a.max() - a.min())
    # A constant tensor, such as an initial bias, has no range: its magnitude is used instead.
    span = span or float(a.abs().max()) or 1.0
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    mean_a, mean_b = _smoothed(a), _smoothed(b)
    var_a, var_b = _smoothed(a * a) - mean_a**2, _smoothed(b * b) - mean_b**2
    covariance = _smoothed(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance * (2 * covariance + c2) / (var_a + var_b + c2)


def _smoothed(signal: Tensor) -> Tensor:
    """The mean in a Gaussian window around each entry; at the ends the window is cut off and renormalised."""
    offsets = torch.arange(_WINDOW, dtype=signal.dtype) - _WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * _STD**2))[None, None]

    def summed(x: Tensor) -> Tensor:
        return nn.functional.conv1d(x[None, None], window, padding=_WINDOW // 2)[0, 0]

    return summed(signal) / summed(torch.ones_like(signal))
