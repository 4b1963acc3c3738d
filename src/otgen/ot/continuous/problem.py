"""Transport between two laws that can only be sampled."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.problem import Problem, Sampler
from otgen.ot.costs.base import Cost
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import Regulariser, SmoothRegulariser, require_constant_eps
from otgen.ot.regularisers.kl import KL
from otgen.threads import cached_property

# Number and seed of the samples of each law that give the mean cost for a relative eps.
_MEAN_SAMPLES, _MEAN_SEED = 1000, 0


class Continuous(Problem):
    """Regularised optimal transport between two laws that are known through their samples.

    ``min_pi <pi, c> + eps * E penalty(d pi / d(p x q))`` over the couplings of ``source`` and ``target``
    (Sanjabi et al. 2018, (4)).

    Args:
        source: the law of ``x``: any object with ``sample(n, rng) -> (n, ...)``.
        target: the law of ``y``, likewise; its samples have the same dimension, dtype and device.
        cost: the ground cost between samples flattened to ``(n, d)``.
        reg: ``KL`` or ``Quadratic``; the default is KL at 5 % of the mean cost, which is estimated once, from 1,000
            samples of each law that are the same at every call.

    Raises:
        InputError: if a law cannot be sampled, the samples do not fit together, or the regulariser is not smooth.
    """

    def __init__(
        self, source: Sampler, target: Sampler, *, cost: Cost | None = None, reg: Regulariser | None = None
    ) -> None:
        for name, law in (("source", source), ("target", target)):
            if isinstance(law, type) or not callable(getattr(law, "sample", None)):
                raise InputError(
                    f"{name} must be an object with sample(n, rng), such as a Source of otgen.data; got {law!r:.80}; "
                    "for points in hand use Discrete(x, y)"
                )
        cost = SqEuclidean() if cost is None else cost
        reg = KL() if reg is None else reg
        checks.component("cost", cost, Cost, "SqEuclidean()")
        checks.component("reg", reg, Regulariser, "KL(eps=0.1)")
        require_constant_eps(reg, "Continuous")
        if not isinstance(reg, SmoothRegulariser):
            raise InputError(
                f"laws that are only sampled need a smooth regulariser, got {reg}: without one the dual has a "
                "constraint at every pair of points; use KL or Quadratic, or Discrete samples with NoReg()"
            )
        self.source, self.target, self.cost = source, target, cost
        self.reg: SmoothRegulariser = reg

    def sample(self, n: int, rng: torch.Generator) -> Discrete:
        """The problem between ``n`` fresh samples of each law, drawn independently, without a graph.

        Its eps is this problem's, as a number, and does not depend on the samples.
        """
        n = checks.count("n", n, 1)
        x, y = self._draw("source", n, rng), self._draw("target", n, rng)
        if x.shape != y.shape:
            raise InputError(
                f"source and target do not fit: their samples have {x.shape[1]} and {y.shape[1]} numbers each; "
                "the cost is between points of one space"
            )
        return Discrete(x, y, cost=self.cost, reg=self._resolved_reg if self.reg.is_relative else self.reg)

    def _draw(self, name: str, n: int, rng: torch.Generator) -> Tensor:
        law: Sampler = getattr(self, name)
        points = law.sample(n, rng)
        if isinstance(points, Tensor):
            points = checks.tensor(f"samples of {name}", points)
        if not isinstance(points, Tensor) or points.ndim == 0 or len(points) != n:
            got = tuple(points.shape) if isinstance(points, Tensor) else type(points).__name__
            raise InputError(f"{name}.sample({n}, rng) must return a tensor of shape ({n}, ...), got {got}")
        return checks.lifted(f"samples of {name}", points.detach().reshape(n, -1), (2,))

    @cached_property
    def _resolved_reg(self) -> SmoothRegulariser:
        rng = torch.Generator().manual_seed(_MEAN_SEED)
        x, y = (self._draw(name, _MEAN_SAMPLES, rng) for name in ("source", "target"))
        return self.reg.resolved(Discrete(x, y, cost=self.cost).mean_cost)

    @cached_property
    @override
    def reference(self) -> Tensor:
        """One sample, ``(1, d)``, the same at every call: gives the samples' dimension, dtype and device."""
        return self.sample(1, torch.Generator().manual_seed(_MEAN_SEED)).sides()[0].points

    @override
    def resolved(self) -> Continuous:
        return self.with_reg(self._resolved_reg) if self.reg.is_relative else self

    @override
    def with_settings_of(self, resolved: Continuous) -> Continuous:
        return self.with_reg(resolved.reg)

    def with_reg(self, reg: Regulariser) -> Continuous:
        """The same laws and cost under another regulariser."""
        return Continuous(self.source, self.target, cost=self.cost, reg=reg)

    def __repr__(self) -> str:
        return f"Continuous({self.source!r:.60} -> {self.target!r:.60}, {self.cost}, {self.reg})"
