"""Exact optimal transport by the network simplex."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError, NumericalError
from otgen.ot.core import checks
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solver import DiscreteSolver
from otgen.ot.regularisers.none import NoReg


@dataclass
class ExactState:
    """State of :class:`Exact`.

    Attributes:
        g: dual potential of the columns, float64 (zero before the step).
        plan: the coupling, float64; None before the step.
    """

    g: Tensor
    plan: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Exact(DiscreteSolver):
    """Exact transport (NoReg), by POT's network simplex in float64 on the CPU. One step solves it.

    Attributes:
        max_pivots: maximum number of pivots of the simplex; if it is reached, the certificate shows the accuracy.
    """

    check_every: ClassVar[int] = 1
    max_pivots: int = 10_000_000

    def __post_init__(self) -> None:
        checks.settle(self, max_pivots=checks.count("max_pivots", self.max_pivots, 1))

    @override
    def accepts(self, problem: Discrete) -> None:
        super().accepts(problem)
        if not isinstance(problem.reg, NoReg):
            raise InputError(
                f"Exact cannot solve a problem with {type(problem.reg).__name__}: the network simplex knows no "
                "regulariser; use reg=NoReg(), or leave the solver out"
            )

    @override
    def init(
        self, problem: Discrete, start: Potentials | None = None, rng: torch.Generator | None = None
    ) -> ExactState:
        return ExactState(torch.zeros_like(problem.b, dtype=torch.float64))

    @override
    def step(self, problem: Discrete, state: ExactState) -> ExactState:
        if state.plan is not None:
            return state
        costs = problem.geometry.rows(slice(None), torch.float64)
        n, m = problem.shape[-2:]
        batch = zip(costs.reshape(-1, n, m), problem.a.reshape(-1, n), problem.b.reshape(-1, m), strict=True)
        g, plan = (torch.stack(each) for each in zip(*(self._simplex(*one) for one in batch), strict=True))
        return ExactState(g.reshape(problem.b.shape).to(problem.device), plan.reshape(problem.shape).to(problem.device))

    @override
    def potentials(self, problem: Discrete, state: ExactState) -> Potentials:
        costs = problem.geometry.rows(slice(None), torch.float64)
        b = problem.b.detach().unsqueeze(-2)
        return Potentials(problem.reg.soft_transform(state.g.unsqueeze(-2) - costs, b, dim=-1), state.g)

    @override
    def plan(self, problem: Discrete, state: ExactState) -> Tensor | None:
        if state.plan is not None:
            return state.plan
        return problem.a.detach().double().unsqueeze(-1) * problem.b.detach().double().unsqueeze(-2)

    def _simplex(self, costs: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        # Rows and columns of zero mass would get no potential from the simplex. They are left out here, and the column
        # potentials are completed by a c-transform.
        rows, columns = (w.detach() > 0 for w in (a, b))
        inner = costs[rows][:, columns].contiguous()
        masses = [w.detach()[keep].double().cpu().numpy() for w, keep in ((a, rows), (b, columns))]
        with warnings.catch_warnings():
            # If the pivots run out, the certificate shows it; POT's warning is suppressed.
            warnings.simplefilter("ignore")
            # Costs are shifted so that the smallest is zero: the simplex fails if all of them are far below zero.
            low = inner.min()
            coupling, log = pot().emd(
                *(w / w.sum() for w in masses), (inner - low).cpu().numpy(), numItermax=self.max_pivots, log=True
            )
        if not np.isfinite(coupling).all() or abs(coupling.sum() - 1) > 1e-6:
            raise NumericalError(
                f"the network simplex returned no plan (total mass {coupling.sum():.3g}, costs up to "
                f"{inner.max().item():.3g}); rescale the costs"
            )
        f = torch.as_tensor(log["u"]).to(costs) + low
        g = (costs[rows] - f.unsqueeze(-1)).amin(0)
        g[columns] = torch.as_tensor(log["v"]).to(costs)
        plan = torch.zeros_like(costs)
        plan[rows.nonzero(), columns.nonzero().T] = torch.as_tensor(coupling).to(costs)
        return g, plan


def pot() -> Any:
    """The POT module, imported without the other frameworks that it would load."""
    # POT looks for other frameworks when it is imported, and they take memory on every device they find.
    for backend in ("JAX", "TENSORFLOW", "CUPY"):
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{backend}", "1")
    import ot

    return ot
