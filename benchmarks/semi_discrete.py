"""Semi-discrete transport from a generator to digits: averaged SGD to its end, then the default solver until as good.

The atoms are MNIST's 60,000 images with ``--mnist FOLDER``, and the 5,000 embedded digits without it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.report import Settings, Table
from otgen.data import Digits, Mnist, Split
from otgen.ot import (
    KL,
    AtomPotentials,
    AveragedSGD,
    Relative,
    SemiDiscrete,
    SemiDiscreteEstimate,
    SemiDiscreteSolver,
    StochasticSinkhorn,
)
from otgen.ot.core.precision import full_precision
from otgen.ot.semi_discrete.estimate import semi_dual_estimate

WIDTHS = (128, 256, 512, 1024, 784)
BATCH = 100
# Of eps, in mean costs.
FACTORS = (0.05, 0.01, 0.002)
# Steps of averaged SGD, and at most of the default solver.
STEPS, TINY_STEPS = 2000, 16
# Samples of a chi-square.
LOOK, TINY_LOOK = 3200, 100
TINY_ATOMS = 50


@dataclass
class Generator:
    """A random MLP of Gaussian noise, fixed: leaky ReLU, He's scale, a sigmoid to mostly dark pixels."""

    layers: list[Tensor]

    @staticmethod
    def seeded(seed: int) -> Generator:
        rng = torch.Generator().manual_seed(seed)
        pairs = zip(WIDTHS[:-1], WIDTHS[1:], strict=True)
        return Generator([torch.randn(n, m, generator=rng) * math.sqrt(2 / n) for n, m in pairs])

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        h = torch.randn(n, WIDTHS[0], generator=rng)
        for layer in self.layers[:-1]:
            h = torch.nn.functional.leaky_relu(h @ layer, 0.2)
        return torch.sigmoid(2 * h @ self.layers[-1] - 2)


def unregularised(settings: Settings) -> SemiDiscrete:
    """From the generator to the atoms."""
    source = Digits(split=Split.ALL) if settings.mnist is None else Mnist(folder=settings.mnist)
    atoms = source.take(torch.arange(TINY_ATOMS)) if settings.tiny else source.support()
    return SemiDiscrete(Generator.seeded(1), atoms.flatten(1))


def regularised(base: SemiDiscrete, factor: float) -> SemiDiscrete:
    """With an eps of so many mean costs."""
    return base.with_reg(KL(eps=Relative(factor))).resolved()


def main(settings: Settings) -> Table:
    """The table."""
    base = unregularised(settings)
    table = Table(
        "semi_discrete",
        f"Semi-discrete transport from a generator to {len(base.y)} digits, K = {BATCH}: averaged SGD, and the default "
        "solver until its chi-square is as small. Seconds of solving, of a single run; looks are not timed",
        ("eps / mean cost", "solver", "steps", "s", "chi-square", "its lower limit", "its upper limit"),
    )
    steps = TINY_STEPS if settings.tiny else STEPS
    marks = [mark for k in range(30) if (mark := round(8 * 2 ** (k / 2))) < steps] + [steps]
    look = TINY_LOOK if settings.tiny else LOOK
    for factor in FACTORS[:1] if settings.tiny else FACTORS:
        given = regularised(base, factor)
        goal = -math.inf
        for solver, at in ((AveragedSGD(batch=BATCH), [steps]), (StochasticSinkhorn(batch=BATCH), marks)):
            goal = _track(given, solver, _Looks(at, goal, look), factor, table)
    return table


@dataclass(frozen=True)
class _Looks:
    """When to look, the chi-square at which to stop, and the samples of a look."""

    marks: Sequence[int]
    goal: float
    samples: int


def _track(given: SemiDiscrete, solver: SemiDiscreteSolver, looks: _Looks, factor: float, table: Table) -> float:
    """Add a row a look; returns the last chi-square."""
    seconds, steps, chi2 = 0.0, 0, math.inf
    with torch.no_grad(), full_precision(given.device):
        start = time.perf_counter()
        state = solver.init(given, None, torch.Generator().manual_seed(1))
        for mark in looks.marks:
            state = solver.advance(given, state, mark - steps)
            seconds, steps = seconds + time.perf_counter() - start, mark
            seen = _judged(given, state.average, looks.samples)
            chi2 = seen.chi2
            table.add(factor, type(solver).__name__, mark, seconds, chi2, seen.chi2_low, seen.chi2_high)
            # Its upper limit: no lucky look wins.
            if seen.chi2_high <= looks.goal:
                break
            start = time.perf_counter()
    return chi2


def _judged(given: SemiDiscrete, g: Tensor, samples: int) -> SemiDiscreteEstimate:
    return semi_dual_estimate(AtomPotentials(given, g.clone()), samples, torch.Generator().manual_seed(99))
