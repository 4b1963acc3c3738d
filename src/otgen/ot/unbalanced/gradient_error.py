r"""How far the envelope gradient of an unbalanced problem may be from the gradient at the optimum.

With ``kappa = gap / eps`` the roots of the entries obey ``sum_ij (sqrt pi_ij - sqrt pi*_ij)^2 <= kappa``, see
`certificate`. Let ``h_i^2`` be the share of row i in that sum, and ``l_ij = |grad c(x_i, y_j)|``. Cauchy-Schwarz gives

``sum_j |pi - pi*|_ij l_ij <= h_i (|sqrt(pi_i) l_i|_2 + |sqrt(pi*_i) l_i|_2)
<= h_i (2 |sqrt(pi_i) l_i|_2 + h_i max_j l_ij)``

for the error of row i, and over the rows, in the Frobenius norm,

``2 sqrt(kappa) max_i (sum_j pi_ij l_ij^2)^(1/2) + kappa max_ij l_ij``.

With ``l = 1`` for all pairs and the sum over the rows instead of its root it is the bound on ``|pi - pi*|_1``. No
marginal is exact here, so a constant cannot be taken from the slopes, as it is for balanced problems.

Roundoff: an exponent ``(f_i + g_j - c_ij) / eps`` that errs by d changes its entry by a factor of at most ``exp(d)``;
the sums of the backward pass have as many roundings as terms and coordinates; and the result is rounded to the
caller's dtype.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from otgen.ot.core.precision import norm
from otgen.ot.discrete.geometry import Points
from otgen.ot.discrete.gradient_error import GradientError
from otgen.ot.unbalanced.certificate import UnbalancedCertificate, exponent_rounding, plan_error
from otgen.ot.unbalanced.dual import plan_of
from otgen.ot.unbalanced.problem import Unbalanced

_UNIT = torch.finfo(torch.float64).eps


@torch.no_grad()
def unbalanced_gradient_error(problem: Unbalanced, certificate: UnbalancedCertificate) -> GradientError:
    """A certified bound on the error of the gradient as the backward pass computes it.

    Args:
        problem: as it was solved, in float64, without a graph.
        certificate: of the potentials whose plan the backward pass holds constant.
    """
    gap, geometry = certificate.interval.gap, problem.pairs.geometry
    in_plan = _worst(plan_error(gap, certificate.mass, problem.eps))
    if not isinstance(geometry, Points):
        return GradientError(in_plan)
    f, g = certificate.f.masked_fill(problem.a == 0, 0.0), certificate.g.masked_fill(problem.b == 0, 0.0)
    plan, kappa = plan_of(problem, f, g), gap / problem.eps
    x, y, cost = geometry.x.double(), geometry.y.double(), geometry.cost
    sums = _UNIT * (sum(plan.shape[-2:]) + x.shape[-1] + 64)
    roundoff, dtype = exponent_rounding(problem, (f, g)).expm1() + sums, problem.pairs.asked.dtype
    errors, relative = [], []
    slopes = (cost.grad_norm(x, y), cost.grad_norm(y, x).mT)
    for slope, gradient, along in zip(slopes, geometry.vjp(plan), (-1, -2), strict=True):
        # A forbidden pair has no mass in any plan.
        slope = slope.masked_fill(problem.pairs.matrix.isinf(), 0.0) if problem.pairs.forbids else slope
        spread = norm(plan.sqrt() * slope, along).amax(-1)
        blur = roundoff * norm((plan * slope).sum(along), -1)
        cast = norm(gradient - gradient.to(dtype).double(), (-2, -1))
        error = 2 * kappa.sqrt() * spread + kappa * slope.amax((-2, -1)) + blur + cast
        size = norm(gradient, (-2, -1))
        errors.append(_worst(error))
        relative.append(_worst(torch.where((error == 0) & (size == 0), 0.0, error / size)))
    return GradientError(in_plan, errors[0], errors[1], max(relative))


def _worst(errors: Tensor) -> float:
    """The largest of a batch; infinite if one is NaN."""
    return float(torch.where(errors.isnan(), math.inf, errors).max())
