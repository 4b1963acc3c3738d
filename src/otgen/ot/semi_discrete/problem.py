"""Transport from a law that can be sampled to weighted atoms."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.precision import full_precision
from otgen.ot.core.problem import Problem, Sampler
from otgen.ot.costs.base import Cost
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import Regulariser, require_constant_eps
from otgen.ot.regularisers.kl import KL
from otgen.ot.regularisers.none import NoReg
from otgen.ot.semi_discrete.atoms import Atoms
from otgen.threads import cached_property

# Number and seed of the samples for the mean cost: it only sets scales, so a few hundred samples suffice.
_SCALE_SAMPLES, _SCALE_SEED = 256, 0


class SemiDiscrete(Problem):
    """Optimal transport from a law that can be sampled to weighted atoms (Houdard et al. 2021).

    Its semi-dual is ``max_g H(g) = E_x f_g(x) + <b, g>`` with the soft transform
    ``f_g(x) = -eps log sum_j b_j exp((g_j - c(x, y_j)) / eps)`` (KL; their (39), with weights), or
    ``min_j c(x, y_j) - g_j`` (NoReg; Laguerre cells). Its gradient is ``b - E_x p(x)``: the mass that the atoms lack.

    A relative eps is resolved at each solve, from a sample with a fixed seed. If the source is a generator in training,
    eps then changes between solves: call ``problem.resolved()`` once to fix it.

    Args:
        source: any object with ``sample(n, rng) -> (n, ...)``; samples are flattened to ``(n, d)``.
        y: atoms, ``(m, d)``; float32 or float64. Constants: no gradient reaches them.
        b: weights of the atoms: non-negative, summing to 1; zeros allowed; uniform if None.
        cost: the ground cost; the squared Euclidean is the fastest.
        reg: KL (default, at 5 % of the mean cost) or NoReg.

    Attributes:
        atoms: the atoms and what is computed from them, shared by all problems that differ in the regulariser only.

    Raises:
        InputError: on empty or non-finite atoms, wrong shapes, bad weights, a quadratic regulariser.
    """

    def __init__(
        self,
        source: Sampler,
        y: Tensor,
        b: Tensor | None = None,
        *,
        cost: Cost | None = None,
        reg: Regulariser | None = None,
    ) -> None:
        if not callable(getattr(source, "sample", None)):
            raise InputError(
                f"the source must have a method sample(n, rng) that returns a tensor, got a {type(source).__name__}; "
                "sources of otgen.data have one, or wrap a generator in a small class"
            )
        y = checks.owned("y", y, (2,)).detach()
        cost = SqEuclidean() if cost is None else cost
        checks.component("cost", cost, Cost, "SqEuclidean()")
        b = checks.weights("b", b, y, (len(y),)).detach()
        with torch.no_grad(), full_precision(y.device):
            self._set(source, Atoms(y, b, cost), KL() if reg is None else reg)

    def _set(self, source: Sampler, atoms: Atoms, reg: Regulariser) -> None:
        checks.component("reg", reg, Regulariser, "KL(eps=0.1)")
        require_constant_eps(reg, "SemiDiscrete")
        if not isinstance(reg, (KL, NoReg)):
            raise InputError(
                f"a semi-discrete problem cannot have {type(reg).__name__} regularisation: its transform sorts all "
                "atoms for every sample; use KL(eps=...) or NoReg()"
            )
        self.source, self.atoms, self.reg = source, atoms, reg
        self.y, self.b, self.cost = atoms.y, atoms.b, atoms.cost

    def with_reg(self, reg: Regulariser) -> SemiDiscrete:
        """The same problem under another regulariser; the atoms are shared."""
        problem = SemiDiscrete.__new__(SemiDiscrete)
        problem._set(self.source, self.atoms, reg)
        return problem

    @property
    def weight(self) -> float:
        """eps as a number; 0 without regularisation; raises InputError if it is still relative."""
        return self.reg.weight if isinstance(self.reg, KL) else 0.0

    @property
    @override
    def reference(self) -> Tensor:
        """The atoms: samples must be on their device, and are converted to their dtype."""
        return self.y

    @override
    def with_settings_of(self, resolved: SemiDiscrete) -> SemiDiscrete:
        return self.with_reg(resolved.reg)

    @override
    def resolved(self) -> SemiDiscrete:
        """The same problem with a number for eps, after a test draw from its source."""
        mean = self._fresh_mean_cost()
        problem = self.with_reg(self.reg.resolved(mean))
        problem.__dict__["mean_cost"] = mean
        return problem

    @cached_property
    def mean_cost(self) -> float:
        """``E_x sum_j b_j c(x, y_j)``, from a sample with a fixed seed."""
        return self._fresh_mean_cost()

    def _fresh_mean_cost(self) -> float:
        rng = torch.Generator().manual_seed(_SCALE_SEED)
        with torch.no_grad(), full_precision(self.device):
            mean = self.atoms.mean_cost(self.draw(_SCALE_SAMPLES, rng))
        if not mean < float("inf"):
            raise InputError(
                f"the costs between samples and atoms overflow {self.dtype}: the points are too far apart for it; "
                "rescale them or use float64"
            )
        return mean

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` samples of the source, ``(n, d)``, checked, without a graph."""
        with torch.no_grad():
            x = self.source.sample(n, rng)
        return self.flattened("the source's sample", x, n)

    def flattened(self, name: str, x: Tensor, n: int | None = None) -> Tensor:
        """``x`` as ``(n, d)`` in the atoms' dtype, with its graph; checked."""
        d = self.y.shape[1]
        if isinstance(x, Tensor):
            x = checks.tensor(name, x)
        if not isinstance(x, Tensor) or x.ndim < 1 or (n is not None and len(x) != n):
            got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise InputError(f"{name} must be a tensor of shape ({n or 'n'}, ...), got {got}; return one row a point")
        if len(x) and x[0].numel() != d:
            raise InputError(
                f"{name} has points of {x[0].numel()} numbers, shape {tuple(x.shape)}, and the atoms have {d}; "
                "both sides must live in the same space"
            )
        checks.beside(name, x, "the atoms", self.y)
        return checks.lifted(name, x.flatten(1), (2,)).to(self.dtype)

    def sample(self, n: int, rng: torch.Generator) -> Discrete:
        """The discrete problem between ``n`` samples, each of weight ``1 / n``, and all atoms."""
        return Discrete(self.draw(checks.count("n", n, 1), rng), self.y, b=self.b, cost=self.cost, reg=self.reg)

    def __repr__(self) -> str:
        source = type(self.source).__name__
        return f"SemiDiscrete({source} to {self.atoms.count} atoms, {self.dtype}, {self.reg})"
