"""POT, float64 or float32 numpy on the CPU.

Its entropic plans are those of ours; values are computed from the plan, because what its functions return differs
between them (the linear part, or the penalty relative to counting measure). Its quadratic penalty is ``reg / 2 |P|^2``,
not weighted by ``a x b``: ``reg = eps n m`` for uniform weights. The value that ``ot.solve`` reports for it is not the
objective that it minimised, so that is computed from the plan, too.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from otgen.ot import NoReg, Quadratic
from otgen.ot.discrete.exact import pot
from otgen.peers.base import Answer, Call, Peer, Task, Unavailable, entropic_eps


def _arrays(task: Task) -> tuple[np.ndarray[Any, Any], ...]:
    """Both sides' weights and the costs; made anew in every call, since the costs are part of the work."""
    costs = task.cost(task.x, task.y).cpu().numpy()
    return *(np.full(size, 1 / size, dtype=costs.dtype) for size in costs.shape), costs


def _residual(plan: np.ndarray[Any, Any], a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum())


class _PotSinkhorn(Peer):
    package: ClassVar[str] = "POT"
    method: ClassVar[str]

    @override
    def prepare(self, task: Task) -> Call:
        from scipy.special import xlogy

        eps, peer = entropic_eps(task), pot()

        def call() -> Answer:
            a, b, costs = _arrays(task)
            options = {"numItermax": task.max_steps, "stopThr": task.tol, "warn": False, "check_marginals": False}
            # POT's plain kernel underflows at small eps; its answer shows it.
            with np.errstate(all="ignore"):
                plan, log = peer.sinkhorn(a, b, costs, eps, method=self.method, log=True, **options)
            # <P, C> + eps KL(P | a x b)
            value = float((plan * costs).sum() + eps * xlogy(plan, plan * plan.size).sum())
            unit = float(np.finfo(costs.dtype).eps)
            if task.tol == 0:
                return Answer(value=value, converged=None, unit=unit)
            converged = bool(log["err"] and log["err"][-1] < task.tol and np.isfinite(value))
            return Answer(value=value, converged=converged, residual=_residual(plan, a, b), unit=unit)

        return call


class PotLog(_PotSinkhorn):
    """``ot.sinkhorn(method="sinkhorn_log")``."""

    name: ClassVar[str] = "POT, log domain"
    method: ClassVar[str] = "sinkhorn_log"


class PotKernel(_PotSinkhorn):
    """``ot.sinkhorn(method="sinkhorn")``."""

    name: ClassVar[str] = "POT, plain kernel"
    method: ClassVar[str] = "sinkhorn"


class PotExact(Peer):
    """``ot.emd``, a network simplex."""

    name: ClassVar[str] = "POT, exact"
    package: ClassVar[str] = "POT"

    @override
    def prepare(self, task: Task) -> Call:
        if not isinstance(task.reg, NoReg):
            raise Unavailable("solves the unregularised problem (--reg NoReg)")
        peer = pot()

        def call() -> Answer:
            a, b, costs = (array.astype(np.float64) for array in _arrays(task))
            plan, log = peer.emd(a, b, costs, numItermax=10_000_000, log=True)
            return Answer(
                value=float((plan * costs).sum()), converged=log["warning"] is None, residual=_residual(plan, a, b)
            )

        return call


class PotQuadratic(Peer):
    """``ot.smooth.smooth_ot_dual(reg_type="l2")``, SciPy's L-BFGS."""

    name: ClassVar[str] = "POT, smooth L2"
    package: ClassVar[str] = "POT"

    @override
    def prepare(self, task: Task) -> Call:
        import warnings

        if not isinstance(task.reg, Quadratic):
            raise Unavailable("solves the quadratic problem (--reg Quadratic)")
        eps, peer = task.reg.weight, pot()

        def call() -> Answer:
            a, b, costs = (array.astype(np.float64) for array in _arrays(task))
            # eps / 2 sum_ij (P_ij / (a_i b_j))^2 a_i b_j = eps n m / 2 |P|^2
            weight = eps * costs.size
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of SciPy's
                plan, log = peer.smooth.smooth_ot_dual(
                    a, b, costs, weight, reg_type="l2", stopThr=1e-2 * task.tol, numItermax=task.max_steps, log=True
                )
            return Answer(
                value=float((plan * costs).sum() + weight / 2 * (plan**2).sum()),
                converged=bool(log["res"].success),
                residual=_residual(plan, a, b),
            )

        return call
