"""The bound on a generator step's gradient error: it holds for any potentials, and it says something."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import repeat
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from otgen.methods import potentials_report as module
from otgen.methods.neural_potentials import Cloud, DualProblem, DualState
from otgen.methods.potentials_report import PotentialsReport, potentials_report
from otgen.ot import KL, L1, Cosine, Cost, Discrete, PNorm, Potentials, Quadratic, SmoothRegulariser, SqEuclidean, solve
from otgen.ot.continuous.capped_conjugate import CappedConjugate
from otgen.ot.discrete.pseudo_plan import PseudoPlan

COSTS = (L1(), SqEuclidean(), PNorm(p=1.0), Cosine())
every_reg = pytest.mark.parametrize("reg", [KL(eps=0.3), Quadratic(eps=0.3)], ids=["KL", "Quadratic"])


@dataclass
class Vectors:
    """Potentials of the points at hand."""

    f: Tensor
    g: Tensor

    def values(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.f, self.g


def report(x: Tensor, y: Tensor, cost: Cost, reg: SmoothRegulariser, f: Tensor, g: Tensor) -> PotentialsReport:
    seen = Cloud.of(x), Cloud.of(y)
    problem = DualProblem(cost, reg, lambda count: repeat(seen, count), lambda: seen, len(x))
    capped = CappedConjugate(reg=problem.reg, exponent=80.0)
    return potentials_report(cast(DualState, Vectors(f, g)), problem, seen, capped)


def clouds(n: int, m: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor, torch.Generator]:
    rng = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, d, generator=rng, dtype=torch.float64) for k in (n, m))
    return x, 0.7 * y + 0.5, rng


def best(x: Tensor, y: Tensor, cost: Cost, reg: SmoothRegulariser) -> Potentials:
    return solve(Discrete(x, y, cost=cost, reg=reg), tol=1e-11, max_steps=5000, on_unconverged="ignore").potentials


def noisy(exact: Potentials, noise: float, rng: torch.Generator) -> Potentials:
    return Potentials(*(p + noise * torch.randn(len(p), generator=rng, dtype=p.dtype) for p in (exact.f, exact.g)))


@pytest.mark.parametrize("kind", [KL, Quadratic])
@pytest.mark.parametrize("cost", COSTS, ids=lambda cost: type(cost).__name__)
def test_the_bound_holds_near_the_optimum_and_far_from_it(kind: Any, cost: Cost) -> None:
    ratios: dict[float, list[float]] = {}
    for seed in (0, 2, 3, 5):
        n, m, d = 3 + 5 * seed % 11, 3 + 7 * seed % 12, 2 + seed % 3
        x, y, rng = clouds(n, m, d, seed)
        reg = kind(eps=10 ** (-2 + 2 * seed / 5))
        exact = best(x, y, cost, reg)
        for noise in (3.0, 0.3, 0.03, 1e-3):
            at = noisy(exact, noise * math.sqrt(reg.weight), rng)
            judged = report(x, y, cost, reg, at.f, at.g)
            assert judged.gradient_error <= judged.gradient_error_bound
            ratios.setdefault(noise, []).append(judged.gradient_error_bound / judged.gradient_error)
        # And it closes.
        best_of_all = report(x, y, cost, reg, exact.f, exact.g)
        assert best_of_all.gradient_error_bound < 0.1 * best_of_all.gradient_norm
        assert best_of_all.gradient_error < 1e-2 * best_of_all.gradient_norm
    assert max(statistics.median(values) for values in ratios.values()) < 3


@every_reg
def test_nothing_is_unknown_where_there_is_one_plan(reg: SmoothRegulariser) -> None:
    x, y, rng = clouds(9, 1, 3)
    at = noisy(best(x, y, L1(), reg), 0.1, rng)
    judged = report(x, y, L1(), reg, at.f, at.g)
    assert judged.gradient_error > 1e-2
    assert judged.gradient_error_bound == pytest.approx(judged.gradient_error, rel=1e-4)


@every_reg
def test_hopeless_potentials_are_no_further_off_than_a_coupling(reg: SmoothRegulariser) -> None:
    x, y, _ = clouds(12, 10, 3)
    judged = report(x, y, L1(), reg, torch.full((12,), -30.0).double(), torch.zeros(10).double())
    # No plan at all: a row of a coupling is a mean of vectors of signs, of length sqrt(3), over n.
    assert judged.dual_gap > 20
    assert judged.gradient_error == pytest.approx(judged.gradient_norm, rel=1e-6)
    assert judged.gradient_error_bound <= math.sqrt(3 / 12) * (1 + 1e-4)


def test_a_plan_beyond_numbers_is_as_near_as_a_coupling_can_be() -> None:
    x, y, _ = clouds(5, 4, 2)
    judged = report(x, y, L1(), KL(eps=1e-3), torch.full((5,), 1e3).double(), torch.zeros(4).double())
    assert judged.dual_gap == math.inf
    assert judged.gradient_error <= judged.gradient_error_bound < math.inf


def test_slopes_that_are_no_numbers_have_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the bound that holds for any coupling; the bug: NaN was taken for 0 on the way."""
    x, y, _ = clouds(6, 5, 2)
    exact = best(x, y, L1(), KL(eps=0.3))
    true = module._slopes
    monkeypatch.setattr(module, "_slopes", lambda *at: true(*at).fill_(math.nan))
    for reg in (KL(eps=0.3), Quadratic(eps=0.3)):
        assert report(x, y, L1(), reg, exact.f, exact.g).gradient_error_bound == math.inf


def test_the_bound_is_sharper_than_the_theorem() -> None:
    x, y, rng = clouds(60, 60, 2)
    for eps, noise in ((0.02, 0.02), (0.3, 0.02), (0.3, 0.3)):
        quadratic, entropic = Quadratic(eps=eps), KL(eps=eps)
        at = noisy(best(x, y, L1(), quadratic), noise, rng)
        judged = report(x, y, L1(), quadratic, at.f, at.g)
        # Theorem 4.1 with its constants; L1's gradients have length sqrt(2).
        assert judged.gradient_error_bound < math.sqrt(2 * judged.dual_gap / eps * 2 / 60)
        at = noisy(best(x, y, L1(), entropic), noise, rng)
        judged = report(x, y, L1(), entropic, at.f, at.g)
        mass = PseudoPlan.of(Discrete(x, y, cost=L1(), reg=entropic), at).mass
        assert judged.gradient_error_bound < 0.3 * math.sqrt(2 * judged.dual_gap / eps) * (1 + math.sqrt(mass))


@every_reg
def test_blocks_of_rows_and_the_trace_bound_the_same(reg: SmoothRegulariser, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, rng = clouds(13, 9, 20)
    at = noisy(best(x, y, SqEuclidean(), reg), 0.05, rng)
    whole = report(x, y, SqEuclidean(), reg, at.f, at.g).gradient_error_bound
    monkeypatch.setattr(module, "_HELD", 400)
    assert report(x, y, SqEuclidean(), reg, at.f, at.g).gradient_error_bound == pytest.approx(whole, rel=1e-9)
    monkeypatch.setattr(module, "_WORK", 0)
    assert whole < report(x, y, SqEuclidean(), reg, at.f, at.g).gradient_error_bound < 3 * whole


def test_the_largest_eigenvalue_is_bounded_from_above() -> None:
    rng = torch.Generator().manual_seed(0)
    for k in (1, 2, 5, 40):
        factors = torch.randn(30, k, k + 1, generator=rng, dtype=torch.float64)
        gram = factors @ factors.mT
        gram[0] = 0
        largest = torch.linalg.eigvalsh(gram)[:, -1]
        bound = module._largest_eigenvalue(gram, gram.diagonal(dim1=-2, dim2=-1).sum(-1))
        assert bool((bound >= largest * (1 - 1e-14)).all())
        assert bool((bound <= largest * k ** (1 / 32) * (1 + 1e-9)).all())
