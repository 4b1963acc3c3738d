"""The dual of an unbalanced problem, its updates, and the plan of potentials, in float64.

With ``b^`` the normalised masses and ``m_b`` their total, the f that maximises the dual for a given g is that of the
balanced problem, shifted and damped: ``f = rho / (rho + eps) * (T_{b^} g - eps log m_b)`` with
``T_{b^} g = -eps log sum_j b^_j exp((g_j - c_ij) / eps)``. Row i of the plan ``a_i b_j exp((f_i + g_j - c_ij) / eps)``
then has the mass ``a_i exp(-f_i / rho)``. Chizat et al. 2018, Algorithm 1; Sejourne et al. 2019, Proposition 6.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from otgen.ot.core.precision import normal_exp
from otgen.ot.regularisers.kl import KL
from otgen.ot.unbalanced.problem import Unbalanced


def damping(rho: float, eps: float) -> float:
    """``rho / (rho + eps)``, by which a balanced update is multiplied; 1 for an infinite rho."""
    return 1 / (1 + eps / rho)


def update_f(problem: Unbalanced, g: Tensor, eps: float | None = None) -> Tensor:
    """The f that maximises the dual for this g, ``(..., n)``; at another eps if one is given."""
    reg = problem.reg if eps is None else KL(eps=eps)
    z = g.unsqueeze(-2) - problem.pairs.matrix
    b = problem.pairs.weights64[1].unsqueeze(-2)
    return _damped(reg, reg.soft_transform(z, b, dim=-1), problem.totals[1], problem.rho[0])


def update_g(problem: Unbalanced, f: Tensor, eps: float | None = None) -> Tensor:
    """The g that maximises the dual for this f, ``(..., m)``; at another eps if one is given."""
    reg = problem.reg if eps is None else KL(eps=eps)
    z = f.unsqueeze(-1) - problem.pairs.matrix
    a = problem.pairs.weights64[0].unsqueeze(-1)
    return _damped(reg, reg.soft_transform(z, a, dim=-2), problem.totals[0], problem.rho[1])


def _damped(reg: KL, balanced: Tensor, total: Tensor, rho: float) -> Tensor:
    eps = reg.weight
    return damping(rho, eps) * (balanced - eps * total.log().unsqueeze(-1))


def wanted_marginal(masses: Tensor, potential: Tensor, rho: float) -> Tensor:
    """``a exp(-f / rho)``: the marginal of the plan at the optimum."""
    return masses if math.isinf(rho) else masses * torch.exp(-potential / rho)


def translated(problem: Unbalanced, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """``f + t``, ``g - t`` with the t that maximises the dual, along which updates alone are slow for a large rho.

    The plan does not change, so t balances ``rho_a <a, exp(-f/rho_a)>`` and ``rho_b <b, exp(-g/rho_b)>`` alone:
    ``t (1/rho_a + 1/rho_b) = log <a, exp(-f/rho_a)> - log <b, exp(-g/rho_b)>``.
    """
    (a, b), (rho_a, rho_b) = problem.masses64, problem.rho
    logs = [
        (masses.log() - (0.0 if math.isinf(rho) else p / rho)).logsumexp(-1)
        for masses, p, rho in ((a, f, rho_a), (b, g, rho_b))
    ]
    t = (logs[0] - logs[1]) / (1 / rho_a + 1 / rho_b)
    return f + t.unsqueeze(-1), g - t.unsqueeze(-1)


def plan_of(problem: Unbalanced, f: Tensor, g: Tensor) -> Tensor:
    """``a_i b_j exp((f_i + g_j - c_ij) / eps)``, float64, no graph; no mass where a or b has none."""
    a, b = problem.masses64
    s = (f.unsqueeze(-1) + g.unsqueeze(-2)).sub_(problem.pairs.matrix.detach())
    plan = normal_exp(s.div_(problem.eps)).mul_(b.unsqueeze(-2)).mul_(a.unsqueeze(-1))
    if bool((a == 0).any()) or bool((b == 0).any()):
        # Infinity times nothing is nothing.
        plan.masked_fill_((a == 0).unsqueeze(-1) | (b == 0).unsqueeze(-2), 0.0)
    return plan


def dual_value(
    a: Tensor, b: Tensor, rho: tuple[float, float], potentials: tuple[Tensor, Tensor], pairs: Tensor
) -> Tensor:
    """The dual at potentials, differentiable.

    Args:
        a: masses of the rows, ``(..., n)``.
        b: masses of the columns, ``(..., m)``.
        rho: of either side.
        potentials: f and g.
        pairs: ``eps <a x b, exp((f + g - C) / eps) - 1>``, shape of the batch.
    """
    value = -pairs
    for masses, potential, weight in zip((a, b), potentials, rho, strict=True):
        value = value + (masses * gained(potential, weight)).sum(-1)
    return value


def gained(potential: Tensor, rho: float) -> Tensor:
    """``-rho (exp(-f / rho) - 1)``, what a unit of mass with this potential adds to the dual; f for an infinite rho."""
    return potential if math.isinf(rho) else -rho * torch.expm1(-potential / rho)
