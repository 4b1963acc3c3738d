"""A few numbers about the costs of a problem; those of forbidden pairs, which are infinite, do not count."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from otgen.ot.core import checks
from otgen.ot.core.precision import ignore_fp_flags
from otgen.ot.discrete.geometry import Geometry

# Pairs that a median is taken of, of each problem of a batch.
_SAMPLE = 1 << 14


@torch.no_grad()
def mean_cost(costs: Tensor, a: Tensor, b: Tensor, *, forbids: bool) -> float:
    """``sum_ij a_i b_j c_ij`` over the allowed pairs, relative to their weight, averaged over the batch."""
    if not forbids and costs.is_cpu and costs.ndim == 2 and a.ndim == 1 and costs.numel() <= checks.FEW_NUMBERS:
        with ignore_fp_flags():
            return float(a.numpy() @ costs.numpy() @ b.numpy())
    if not forbids:
        return float((a.unsqueeze(-2) @ costs @ b.unsqueeze(-1)).double().mean())
    weights = (a.unsqueeze(-1) * b.unsqueeze(-2)).double().masked_fill(costs.isinf(), 0.0)
    paid = (weights * costs.masked_fill(costs.isinf(), 0.0)).sum((-2, -1))
    return float((paid / weights.sum((-2, -1))).mean())


def cost_range(costs: Tensor, *, forbids: bool) -> tuple[float, float]:
    """The least and the largest cost; raises InputError if a cost overflows the dtype."""
    return checks.extremes(costs[costs.isfinite()] if forbids else costs)


def median_positive_cost(geometry: Geometry) -> float:
    """The median of the finite costs above 0, of a random sample of pairs if there are many; 0 if there is none."""
    *_, n, m = geometry.shape
    if n * m <= _SAMPLE:
        costs = geometry.rows(slice(None), geometry.inputs()[0].dtype)
    else:
        # Always the same pairs; of all rows and columns, since some of the points may be far from the others.
        rng = torch.Generator().manual_seed(0)
        rows, columns = (torch.randint(size, (_SAMPLE,), generator=rng) for size in (n, m))
        costs = geometry.pairs(rows, columns)
    positive = costs[(costs > 0) & costs.isfinite()]
    return float(positive.median()) if len(positive) else 0.0


def streamed_summary(blocks: Iterable[tuple[Tensor, Tensor]], b: Tensor) -> tuple[float, float, float]:
    """The mean cost, the least and the largest one, from blocks of rows: their weights, and their costs."""
    mean, lowest, highest = 0.0, math.inf, -math.inf
    for a, rows in blocks:
        low, high = checks.extremes(rows)
        lowest, highest = min(lowest, low), max(highest, high)
        mean += float((a.unsqueeze(-2) @ rows @ b.unsqueeze(-1)).double().mean())
    return mean, lowest, highest
