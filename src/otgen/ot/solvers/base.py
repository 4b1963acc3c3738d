"""What a solver is: hyper-parameters, a state, one step. The loop, the stopping and the status are `solve`'s."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from otgen.ot.gradients import plan_rows
from otgen.ot.potentials import Potentials
from otgen.ot.problems import Discrete


@dataclass(frozen=True, kw_only=True)
class Solver(ABC):
    """A solver of discrete problems: hyper-parameters only.

    A new one needs :meth:`accepts`, :meth:`init`, :meth:`step` and :meth:`potentials`. What its state is is its own
    business: here it is ``Any``, in the solver it has a type.
    """

    # How many steps `solve` takes between two looks at the accuracy, unless told otherwise.
    check_every: ClassVar[int] = 10

    @abstractmethod
    def accepts(self, problem: Discrete) -> None:
        """Raise InputError (what, why, remedy) where this solver cannot take the problem."""

    @abstractmethod
    def init(self, problem: Discrete, warm_start: Potentials | None = None) -> Any:
        """The state before the first step."""

    @abstractmethod
    def step(self, problem: Discrete, state: Any) -> Any:
        """One step: pure (the given state stays as it is) and differentiable."""

    def advance(self, problem: Discrete, state: Any, steps: int) -> Any:
        """``steps`` steps without a graph; may reuse the state's memory."""
        for _ in range(steps):
            state = self.step(problem, state)
        return state

    @abstractmethod
    def potentials(self, problem: Discrete, state: Any) -> Potentials:
        """The state's potentials, with exact rows: f is the soft transform of g."""

    def plan(self, problem: Discrete, state: Any) -> Tensor | None:
        """The coupling where it is no function of the potentials, else None."""
        return None

    @torch.no_grad()
    def marginal_error(self, problem: Discrete, state: Any) -> float:
        """``||row sums - a||_1 + ||column sums - b||_1`` of the plan of :meth:`potentials`, worst of the batch.

        The cheap look at the accuracy: override it where the state knows it better than from a new pass.
        """
        potentials, plan = self.potentials(problem, state), self.plan(problem, state)
        columns = torch.zeros_like(problem.b)
        rows = torch.zeros_like(problem.a)
        for part in problem.row_blocks():
            block = plan_rows(problem, potentials, plan, part)
            rows[..., part] = block.sum(-1)
            columns += block.sum(-2)
        error = (rows - problem.a).abs().sum(-1) + (columns - problem.b).abs().sum(-1)
        return float(error.max())
