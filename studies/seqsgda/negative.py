"""Adnan et al. 2021 take costs ||x - y||^p with p > 2, under which their divergence is none: it is negative.

    python studies/seqsgda/negative.py

The divergence of a point mass at 0 from half a mass at -1 and at 1 each is
``1 + eps / 2 log((1 + exp(-2^p / eps)) / 2)``. Prints this, what otgen computes, and its certified interval: unclipped,
with a warning from p > 2 on. It takes seconds.
"""

from __future__ import annotations

import math
import warnings

import torch

from otgen.errors import NegativeDivergenceWarning
from otgen.ot import KL, PNorm, SinkhornDivergence

CASES = ((1.5, 100.0), (2.0, 100.0), (2.05, 100.0), (2.15, 100.0), (2.3, 100.0), (3.0, 10.0), (5.0, 10.0), (7.0, 10.0))


def main() -> None:
    """Print the table."""
    x, y = torch.zeros(2, 1, dtype=torch.float64), torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    print(f"{'p':>5} {'eps':>5} {'closed form':>12} {'computed':>12} {'certified interval':>28}  warned")
    for p, eps in CASES:
        exact = 1 + eps / 2 * math.log((1 + math.exp(-(2**p) / eps)) / 2)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            loss = SinkhornDivergence(cost=PNorm(p=p), reg=KL(eps=eps), tol=1e-9)
        value = float(loss(x, y))
        assert loss.last is not None
        interval = f"[{float(loss.last.lower):.6f}, {float(loss.last.upper):.6f}]"
        warned = any(issubclass(one.category, NegativeDivergenceWarning) for one in said)
        print(f"{p:5g} {eps:5g} {exact:12.6f} {value:12.6f} {interval:>28}  {'yes' if warned else 'no'}")


if __name__ == "__main__":
    main()
