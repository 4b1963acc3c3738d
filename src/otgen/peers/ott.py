"""OTT-JAX: the same cost and penalty as ours; its potentials are relative to counting measure."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot import Cosine, Cost, PNorm, SqEuclidean
from otgen.peers.base import Answer, Call, Peer, Task, entropic_eps


def precision(dtype: torch.dtype) -> Any:
    """The context in which JAX computes in a dtype of ours."""
    import jax

    return jax.enable_x64(True) if dtype == torch.float64 else contextlib.nullcontext()


def array(points: Tensor) -> Any:
    """A tensor as a JAX array."""
    import jax.numpy as jnp

    return jnp.asarray(points.detach().cpu().numpy())


def cost_function(cost: Cost) -> Any:
    """The same cost in OTT's words; None where it has none."""
    from ott.geometry import costs

    if isinstance(cost, SqEuclidean):
        return costs.SqEuclidean()
    if isinstance(cost, PNorm):
        return costs.Euclidean() if cost.p == 1 else costs.EuclideanP(p=cost.p)
    return costs.Cosine() if isinstance(cost, Cosine) else None


def potentials(f: Any, g: Any, eps: float) -> tuple[Tensor, Tensor]:
    """OTT's potentials on our convention: ``f - eps log a``, ``g - eps log b``, for uniform weights."""
    return tuple(torch.from_numpy(np.array(p)) + eps * float(np.log(len(p))) for p in (f, g))  # type: ignore[return-value]


class OttJax(Peer):
    """``ott.solvers.linear.sinkhorn.Sinkhorn`` in the log domain, jitted."""

    name: ClassVar[str] = "OTT-JAX"
    package: ClassVar[str] = "ott-jax"

    @override
    def prepare(self, task: Task) -> Call:
        eps = entropic_eps(task)  # what it cannot solve need not import it

        import jax
        from ott.geometry import geometry, pointcloud
        from ott.problems.linear import linear_problem
        from ott.solvers.linear import sinkhorn

        fixed: dict[str, Any] = (
            {"min_iterations": task.max_steps, "inner_iterations": task.max_steps} if task.tol == 0 else {}
        )
        solver = sinkhorn.Sinkhorn(lse_mode=True, threshold=task.tol, max_iterations=task.max_steps, **fixed)
        cost_fn = cost_function(task.cost)
        # Of points, or of the matrix of a cost that OTT lacks.
        geom: Any = geometry.Geometry if cost_fn is None else partial(pointcloud.PointCloud, cost_fn=cost_fn)

        def solve(*inputs: Any) -> tuple[Any, Any, Any]:
            output = solver(linear_problem.LinearProblem(geom(*inputs, epsilon=eps)))
            return output.reg_ot_cost, output.converged, output.errors

        # No decorator: without the package it would have no type.
        solved: Any = jax.jit(solve)
        with precision(task.x.dtype):
            inputs = (array(task.x), array(task.y)) if cost_fn is not None else (array(task.cost(task.x, task.y)),)

        def call() -> Answer:
            with precision(task.x.dtype):
                value, converged, errors = solved(*inputs)
                # -1 where no error was computed.
                errors = np.asarray(errors)
            return Answer(
                value=float(value),
                converged=None if task.tol == 0 else bool(converged),
                residual=float(errors[errors >= 0][-1]) if (errors >= 0).any() else 0.0,
                unit=torch.finfo(task.x.dtype).eps,
            )

        return call
