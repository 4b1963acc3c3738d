"""`otgen solve`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from otgen import ot
from otgen.cli.config_parser import Parser
from otgen.cli.usage import UsageError, add_plugins, array
from otgen.errors import ConvergenceWarning
from otgen.train.config import parse_relative

EXIT_UNCONVERGED = 3


def run(arguments: Sequence[str]) -> int:
    """Print the transport value between two point clouds, with its interval."""
    parser = Parser(
        prog="otgen solve",
        description="The regularised transport value between two arrays of points, with its certified interval. "
        f"Exit code {EXIT_UNCONVERGED} where the tolerance was not reached.",
    )
    add_problem(parser)
    parser.add_argument("--tol", type=float, default=1e-3, help="relative gap to reach")
    parser.add_argument("--max-steps", type=int, default=10_000, help="steps before giving up")
    parser.add_argument("--debiased", action="store_true", help="the Sinkhorn divergence instead")
    parsed = parser.instantiate(parser.parse_args(arguments))
    reg = with_eps(parsed.reg, parsed.eps)
    x, y = array(Path(parsed.x)), array(Path(parsed.y))
    if x.dtype != y.dtype:
        x, y = x.double(), y.double()
    with warnings.catch_warnings():
        # The result says it, and the exit code.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if parsed.debiased:
            loss = ot.SinkhornDivergence(cost=parsed.cost, reg=reg, tol=parsed.tol, max_steps=parsed.max_steps)
            loss(x, y)
            result: ot.Combination | ot.Solution | None = loss.last
        else:
            problem = ot.Discrete(x, y, cost=parsed.cost, reg=reg)
            result = ot.solve(problem, tol=parsed.tol, max_steps=parsed.max_steps)
    assert result is not None
    print(f"{result}{f', eps {result.eps:.4g}' if result.eps else ''}")
    return 0 if result.converged else EXIT_UNCONVERGED


def add_problem(parser: Parser) -> None:
    """The options of a problem between two arrays."""
    parser.add_argument("x", type=str, help=".npy of shape (n, d)")
    parser.add_argument("y", type=str, help=".npy of shape (m, d)")
    parser.add_argument("--cost", type=ot.Cost, default=ot.SqEuclidean(), help="a cost of `otgen list`")
    parser.add_argument("--reg", type=ot.Regulariser, default=ot.KL(), help="KL, Quadratic or NoReg")
    parser.add_argument("--eps", type=str | None, default=None, help="a number, or relative: 0.05*mean (the default)")
    add_plugins(parser)


def with_eps(reg: ot.Regulariser, eps: str | None) -> ot.Regulariser:
    """The regulariser with the weight of ``--eps``, if that was given."""
    if eps is None:
        return reg
    if not isinstance(reg, ot.SmoothRegulariser):
        raise UsageError(f"--eps means nothing to {type(reg).__name__}; leave it out, or choose --reg KL")
    try:
        return replace(reg, eps=parse_relative(eps) if "*" in eps else float(eps))
    except ValueError as error:
        raise UsageError(f"--eps must be a positive number or like 0.05*mean, got {eps!r}") from error
