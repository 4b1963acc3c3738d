"""Problems with forbidden pairs, each from its number, and their truth on the allowed pairs by other means."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.special import logsumexp
from torch import Tensor

from otgen.ot import KL, Discrete, NoReg, Quadratic, Regulariser

# Steps of the reference for KL, and the error of its marginals that ends it.
_STEPS, _STILL = 10_000, 1e-13


@dataclass(frozen=True)
class Forbidding:
    """A problem with infinite costs.

    Attributes:
        C: costs, ``(n, m)``.
        a: weights of the rows.
        b: weights of the columns.
        reg: the regulariser.
        used: the pairs that some plan gives mass: others carry none in any, allowed or not.
    """

    C: Tensor
    a: Tensor
    b: Tensor
    reg: Regulariser
    used: Any

    @property
    def costs(self) -> Any:
        """The costs in float64, infinite wherever no plan has mass."""
        return np.where(self.used, self.C.double().numpy(), np.inf)

    def problem(self, C: Tensor | None = None, a: Tensor | None = None, b: Tensor | None = None) -> Discrete:
        """The problem, of other tensors with the same numbers if they are given."""
        parts = (self.C if C is None else C, self.a if a is None else a, self.b if b is None else b)
        return Discrete.from_matrix(*parts, reg=self.reg)


def forbidding(seed: int, kind: type[Regulariser], dtype: torch.dtype | None = None) -> Forbidding:
    """Problem number `seed`: at most 7 x 7 points, around a plan whose pairs are allowed.

    Weights are the marginals of that plan. Some problems fall apart into blocks, some have allowed pairs that no plan
    can use, points without mass, masses down to 1e-9, equal costs, or costs below 0; eps is from 1e-3 to 1e3 of the
    scale of the costs.
    """
    rng = random.Random(f"{kind.__name__} {seed}")
    dtype = rng.choice((torch.float32, torch.float64)) if dtype is None else dtype
    n, m = rng.randint(1, 7), rng.randint(1, 7)
    allowed, used = _supports(rng, n, m)
    light = 10.0 ** -rng.choice([0, 0, 2, 9])
    plan = np.array([[light ** rng.random() * (0.1 + rng.random()) for _ in range(m)] for _ in range(n)]) * used
    plan = plan / plan.sum()
    scale, least = 10.0 ** rng.uniform(-3, 3), rng.choice([0.0, 0.0, -0.5])
    ties = rng.random() < 0.25
    costs = [[scale * ((rng.randint(0, 3) if ties else rng.random()) + least) for _ in range(m)] for _ in range(n)]
    C = torch.tensor(costs, dtype=dtype).masked_fill(torch.from_numpy(~allowed), math.inf)
    a, b = (torch.from_numpy(plan.sum(axis)).to(dtype) for axis in (1, 0))
    eps = scale * 10.0 ** rng.uniform(-3, 3)
    reg = NoReg() if kind is NoReg else KL(eps=eps) if kind is KL else Quadratic(eps=eps)
    return Forbidding(C, a, b, reg, used)


def _supports(rng: random.Random, n: int, m: int) -> tuple[Any, Any]:
    """Which pairs are allowed, and which of them the plan uses."""
    share = rng.choice([0.2, 0.5, 0.9])
    used = np.array([[rng.random() < share for _ in range(m)] for _ in range(n)])
    i, j = rng.randint(0, n), rng.randint(0, m)
    if rng.random() < 0.4:
        # Two blocks.
        used[:i, j:], used[i:, :j] = False, False
        if not used.any():
            used[0, 0], used[:, 1:], used[1:, :] = True, False, False
            i, j = 1, 1
        allowed = used.copy()
        if rng.random() < 0.5:
            # Joined in one direction: mass that took that way could not come back.
            allowed[:i, j:] = True
        return allowed, used
    if not used.any():
        used[rng.randrange(n), rng.randrange(m)] = True
    return used, used


def linear_truth(given: Forbidding) -> float:
    """The value without a regulariser, by a linear programme on the allowed pairs."""
    C, (a, b) = given.C.double().numpy(), given.problem().weights64
    pairs = np.argwhere(np.isfinite(C))
    marginals = np.zeros((sum(C.shape), len(pairs)))
    marginals[pairs[:, 0], np.arange(len(pairs))] = 1
    marginals[len(C) + pairs[:, 1], np.arange(len(pairs))] = 1
    found = linprog(C[np.isfinite(C)], A_eq=marginals, b_eq=np.concatenate([a.numpy(), b.numpy()]), method="highs")
    assert found.success, found.message
    return float(found.fun)


def entropic_truth(given: Forbidding) -> float | None:
    """The value under KL by Sinkhorn's steps in the log domain on the pairs that may have mass; None if too slow."""
    assert isinstance(given.reg, KL)
    eps, (a, b) = given.reg.weight, (w.numpy() for w in given.problem().weights64)
    rows, columns = a > 0, b > 0
    a, b, costs = a[rows], b[columns], given.costs[np.ix_(rows, columns)]
    kernel, log_a, log_b, g = -costs / eps, np.log(a), np.log(b), np.zeros(len(b))
    for _ in range(_STEPS):
        f = -logsumexp(kernel + g + log_b, axis=1)
        sums = logsumexp(kernel + (f + log_a)[:, None], axis=0)
        if (b * np.abs(np.expm1(sums + g))).sum() < _STILL:
            return float(eps * (a @ f + b @ g))
        g = -sums
    return None


def finite_twin(given: Forbidding) -> Discrete:
    """The problem with a cost in place of infinity that no plan would pay, in float64."""
    C = given.C.double()
    finite = C[C.isfinite()]
    lightest = min(float(w[w > 0].min()) for w in (given.a, given.b))
    # The potentials of Quadratic are as large as the density of its plan, which the lightest weight bounds.
    eps = getattr(given.reg, "eps", 0.0) * (10 / lightest if isinstance(given.reg, Quadratic) else 1e4)
    dear = 1e6 * float(finite.abs().max()) + eps
    twin = C.masked_fill(C.isinf(), dear)
    return Discrete.from_matrix(twin, *given.problem().weights64, reg=given.reg)


def described(given: Forbidding) -> str:
    """All that a failure needs."""
    return f"{given.reg}, {given.C.dtype}, C {given.C.tolist()}, a {given.a.tolist()}, b {given.b.tolist()}"
