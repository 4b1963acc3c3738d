"""A map learnt from a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from otgen.errors import InputError, NumericalError
from otgen.ot.continuous.ascent import decays
from otgen.ot.continuous.perceptron import Perceptron
from otgen.ot.continuous.solution import ContinuousSolution
from otgen.ot.core import checks
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.seeding import forked, seeded


@dataclass(frozen=True, kw_only=True)
class BarycentricMap:
    """A network T that learns the barycentric map of a plan (Seguy et al. 2018, Algorithm 2, squared distance).

    ``min_T E m(x, y) ||T(x) - y||^2`` over independent samples, m the density of the networks' plan: a regression on
    fresh batches, whose minimiser is the plan's barycentric map; :meth:`ContinuousSolution.map` computes it from
    samples. It is at best as accurate as the plan, and nothing about it is certified.

    Attributes:
        net: makes T: a callable from the dimensions of x and of y to a module ``(n, d) -> (n, d)``.
        batch: samples of each law in an update.
        lr: step size of Adam.
        betas: decays of Adam's moments.
        steps: the number of updates.
    """

    net: Callable[[int, int], nn.Module] = Perceptron()
    batch: int = 128
    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.9)
    steps: int = 1000

    def __post_init__(self) -> None:
        if isinstance(self.net, nn.Module) or not callable(self.net):
            raise InputError(
                f"net must be a callable from two sizes to a new module, such as Perceptron(), got {self.net!r:.80}"
            )
        checks.settle(
            self,
            batch=checks.count("batch", self.batch, 1),
            lr=checks.number(self.lr, "lr must be a positive number, got {}", above=0),
            betas=decays(self.betas),
            steps=checks.count("steps", self.steps, 0),
        )

    def fit(self, solution: ContinuousSolution, rng: torch.Generator | None = None) -> nn.Module:
        """Learn the map of a solution's plan.

        Args:
            solution: the solution whose plan is used.
            rng: the generator of initial weights and samples; one seeded with 0 if omitted.

        Returns:
            The network, in evaluation mode.

        Raises:
            NumericalError: if its weights become NaN or infinite.
        """
        checks.component("solution", solution, ContinuousSolution, "that of a Continuous problem")
        rng = checks.generator(rng)
        like = solution.problem.reference
        with seeded(rng):
            net = self.net(like.shape[1], like.shape[1])
        checks.component("what net makes", net, nn.Module, "nn.Sequential(...)")
        net = net.to(like).train()
        optimizer = torch.optim.Adam(net.parameters(), lr=self.lr, betas=self.betas)
        draws = forked(rng)
        for _ in range(self.steps):
            x, y = (side.points for side in solution.problem.sample(self.batch, draws).sides())
            loss = (solution.plan_density(x, y) * SqEuclidean()(net(x), y)).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if not all(bool(torch.isfinite(p).all()) for p in net.parameters()):
            raise NumericalError(f"the map's weights are no longer finite after {self.steps} updates; lower lr")
        return net.eval()
