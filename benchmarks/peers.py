"""One fixed Sinkhorn problem in each library's own words. All return the entropic value on the same convention.

Ours: cost ``|x - y|^2``, value ``<P, C> + eps KL(P | a b)``.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Call = Callable[[], float]

# A peer runs as its users run it; other frameworks that POT may find only slow it down.
for backend in ("JAX", "TENSORFLOW", "CUPY"):
    os.environ.setdefault(f"POT_BACKEND_DISABLE_{backend}", "1")


def otgen(x: Tensor, y: Tensor, eps: float, steps: int) -> Call:
    from otgen.ot import KL, Discrete, Sinkhorn, solve

    def call() -> float:
        return float(solve(Discrete(x, y, reg=KL(eps=eps)), Sinkhorn(), tol=0, max_steps=steps).value)

    return call


def ott_jax(x: Tensor, y: Tensor, eps: float, steps: int) -> Call:
    import jax
    import jax.numpy as jnp
    from ott.geometry import costs, pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    solver = sinkhorn.Sinkhorn(
        lse_mode=True, threshold=0.0, min_iterations=steps, max_iterations=steps, inner_iterations=steps
    )

    @jax.jit
    def compiled(u: jax.Array, v: jax.Array) -> jax.Array:
        geometry = pointcloud.PointCloud(u, v, cost_fn=costs.SqEuclidean(), epsilon=eps)
        return solver(linear_problem.LinearProblem(geometry)).reg_ot_cost

    u, v = jnp.array(x.numpy()), jnp.array(y.numpy())
    return lambda: float(compiled(u, v).block_until_ready())


def pot_log(x: Tensor, y: Tensor, eps: float, steps: int) -> Call:
    return _pot(x, y, eps, steps, "sinkhorn_log")


def pot_kernel(x: Tensor, y: Tensor, eps: float, steps: int) -> Call:
    return _pot(x, y, eps, steps, "sinkhorn")


def _pot(x: Tensor, y: Tensor, eps: float, steps: int, method: str) -> Call:
    from scipy.special import xlogy

    import ot

    a, b = (np.full(len(p), 1 / len(p), dtype=np.float32) for p in (x, y))
    points = x.numpy(), y.numpy()

    def call() -> float:
        costs = ot.dist(*points)
        plan = ot.sinkhorn(
            a, b, costs, eps, method=method, numItermax=steps, stopThr=0.0, warn=False, check_marginals=False
        )
        density = plan * (len(points[0]) * len(points[1]))
        return float((plan * costs).sum() + eps * xlogy(plan, density).sum())

    return call


def geomloss(x: Tensor, y: Tensor, eps: float, steps: int) -> Call:
    """Its own descent: annealed by 0.9 a step from the diameter, then one step. Not the same work; for the eye."""
    from geomloss import SamplesLoss

    # p = 2 is |x - y|^2 / 2 with eps = blur^2 there.
    loss = SamplesLoss("sinkhorn", p=2, blur=(eps / 2) ** 0.5, scaling=0.9, debias=False, backend="tensorized")
    return lambda: 2 * float(loss(x, y))


PEERS: dict[str, Callable[[Tensor, Tensor, float, int], Call]] = {
    "otgen": otgen,
    "OTT-JAX, log domain": ott_jax,
    "POT, plain kernel": pot_kernel,
    "POT, log domain": pot_log,
    "GeomLoss, annealed": geomloss,
}


def problem(n: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two normal clouds, unit variance in all, one shifted by 0.3 a coordinate; float32."""
    rng = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(n, d, generator=rng) / d**0.5 for _ in range(2))
    return x, y + 0.3
