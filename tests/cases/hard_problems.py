"""Small problems that are as hard as numbers allow: tiny weights, any eps, far outliers. Each from its number."""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor

from cases.exact_truth import Measures
from otgen.ot import KL, L1, Cosine, Cost, LpPower, NoReg, PNorm, Quadratic, Regulariser, SqEuclidean

COSTS: tuple[Cost, ...] = (SqEuclidean(), SqEuclidean(), L1(), PNorm(), PNorm(p=3.0), LpPower(p=3.0), Cosine())
DTYPES = (torch.float32, torch.float64)


def hard_problem(seed: int, kind: type[Regulariser], *, tame: bool = False) -> Measures:
    """Problem number `seed` under a regulariser.

    At most 6 x 6 points in at most 6 dimensions, or a matrix; some points twice; weights down to 1e-30 and zeros; eps
    from 1e-9 to 1e9 of the mean cost; outliers up to 1e12: a point of one cloud, the same point in both, a coordinate,
    or a cost. A tame one has no outlier, and an eps of at least 1e-3 of the mean cost.
    """
    rng = random.Random(f"{kind.__name__} {tame} {seed}")
    dtype = rng.choice(DTYPES)
    a, b = (_weights(rng, rng.randint(1, 6)).to(dtype) for _ in "ab")
    scale = 10.0 ** rng.uniform(-3, 3)
    if rng.random() < 0.25:
        of: dict[str, Tensor | Cost] = {"C": _matrix(rng, len(a), len(b), scale, tame=tame).to(dtype)}
    else:
        x, y = _clouds(rng, len(a), len(b), scale, tame=tame)
        of = {"x": x.to(dtype), "y": y.to(dtype), "cost": rng.choice(COSTS)}
    without = Measures(a, b, NoReg(), **of)  # type: ignore[arg-type]
    share = 10.0 ** rng.uniform(-3 if tame else -9, 9)
    mean = abs(without.mean_cost())
    eps = share * (mean if mean > 0 else scale)
    reg = NoReg() if kind is NoReg else KL(eps=eps) if kind is KL else Quadratic(eps=eps)
    return Measures(a, b, reg, **of)  # type: ignore[arg-type]


def described(given: Measures) -> str:
    """All that a failure needs."""
    n, m = len(given.a), len(given.b)
    where = f"matrix {given.C.tolist()}" if given.C is not None else f"{given.cost}"
    return f"{n} x {m}, {given.a.dtype}, {given.reg}, {where}, a {given.a.tolist()}, b {given.b.tolist()}"


def _weights(rng: random.Random, n: int) -> Tensor:
    kind = rng.random()
    if kind < 0.3:
        parts = [1.0] * n
    elif kind < 0.6:
        parts = [rng.expovariate(1.0) + 1e-3 for _ in range(n)]
    else:
        parts = [10.0 ** -rng.uniform(0, 30) if rng.random() < 0.6 else rng.random() + 0.1 for _ in range(n)]
    if rng.random() < 0.2:
        for i in rng.sample(range(n), rng.randint(0, n - 1)):
            parts[i] = 0.0
    total = math.fsum(parts)
    return torch.tensor([part / total for part in parts], dtype=torch.float64)


def _clouds(rng: random.Random, n: int, m: int, scale: float, *, tame: bool) -> tuple[Tensor, Tensor]:
    d = rng.randint(1, 6)
    offset = scale * rng.choice([0.0, 0.0, 0.0, 1.0, 30.0])
    ties = rng.random() < 0.25

    def point() -> list[float]:
        values = [rng.choice([-2.0, -1.0, 0.0, 1.0, 3.0]) if ties else rng.gauss(0, 1) for _ in range(d)]
        return [scale * value + offset for value in values]

    x, y = [point() for _ in range(n)], [point() for _ in range(m)]
    if rng.random() < 0.3:
        for i in range(min(n, m)):
            if rng.random() < 0.7:
                y[i] = list(x[i])
    if not tame:
        _add_outlier(rng, x, y)
    return torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)


def _add_outlier(rng: random.Random, x: list[list[float]], y: list[list[float]]) -> None:
    kind, d = rng.choice(["none", "none", "one", "both", "coordinate"]), len(x[0])
    far = 10.0 ** rng.uniform(2, 12) * rng.choice([-1, 1])
    if kind in ("one", "both"):
        x[0] = [far * rng.uniform(0.5, 1) for _ in range(d)]
        if kind == "both":
            y[0] = list(x[0])
    if kind == "coordinate":
        rng.choice(x)[rng.randrange(d)] = far


def _matrix(rng: random.Random, n: int, m: int, scale: float, *, tame: bool) -> Tensor:
    ties, least = rng.random() < 0.3, rng.choice([0.0, 0.0, -1.0])
    rows = [[scale * (rng.randint(0, 3) if ties else rng.random()) + least * scale for _ in range(m)] for _ in range(n)]
    if not tame and rng.random() < 0.6:
        far = 10.0 ** rng.uniform(2, 12)
        for _ in range(rng.randint(1, 3)):
            rows[rng.randrange(n)][rng.randrange(m)] = far
    return torch.tensor(rows, dtype=torch.float64)
