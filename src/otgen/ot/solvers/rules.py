"""Ways to iterate the scalings of a kernel. Each is written with operators alone, so that it serves every library."""

from __future__ import annotations

from otgen.ot.solvers.kernel import Part


def alternating(part: Part, steps: int) -> None:
    """``u = 1 / K (b v)``, then ``v = 1 / K^T (a u)``."""
    K, a, b = part.K, part.a, part.b
    for _ in range(steps):
        part.p, part.q = K.sweep(b / part.q, a)


def symmetric(part: Part, steps: int) -> None:
    """Both from the old ones, each the geometric mean with its old value: ``f <- (f + T(g)) / 2``."""
    K, a, b = part.K, part.a, part.b
    for _ in range(steps):
        p, q = K.pair(b / part.q, a / part.p)
        part.p, part.q = (part.p * p) ** 0.5, (part.q * q) ** 0.5
