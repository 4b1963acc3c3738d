"""The Fréchet distance between the Gaussians fitted to two sets of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from otgen.metrics.base import EvaluationInput, FeatureMetric, Label, Metric, check_pair, matched
from otgen.metrics.features import Features
from otgen.metrics.intervals import IntervalEstimate, interval, of_real
from otgen.metrics.statistics import Gaussian, blocks

_ROWS = 8192
# The time grows like the cube of the number of features: an evaluation in more takes many minutes.
_EVALUATED_SIZE = 2048


def frechet_terms(a: Gaussian, b: Gaussian) -> tuple[float, float]:
    r"""The squared Wasserstein-2 distance between Gaussians, as a term of the means and a term of the covariances.

    .. math:: \|\mu_a - \mu_b\|^2, \qquad
        \operatorname{tr}\Sigma_a + \operatorname{tr}\Sigma_b
        - 2 \operatorname{tr}\bigl(\Sigma_a^{1/2} \Sigma_b \Sigma_a^{1/2}\bigr)^{1/2}

    (Dowson and Landau 1982). The last trace is the sum of the singular values of
    :math:`\Sigma_a^{1/2}\Sigma_b^{1/2}`, with symmetric roots. This needs no root of a non-symmetric matrix, so no
    complex numbers occur, and singular covariances are no special case.
    """
    means = (a.mean - b.mean).square().sum().item()
    fidelity = torch.linalg.svdvals(a.roots[0] @ b.roots[0]).sum()
    covariances = (a.covariance.trace() + b.covariance.trace() - 2 * fidelity).item()
    return means, max(covariances, 0.0)  # 0 for equal covariances; roundoff may make it negative


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """The squared Wasserstein-2 distance between Gaussians, the sum of :func:`frechet_terms`."""
    return sum(frechet_terms(a, b))


class FrechetEstimate(NamedTuple):
    """The two terms of a Fréchet distance, and the distance with its interval."""

    means: float
    covariances: float
    distance: IntervalEstimate


def frechet_estimate(x: Features, y: Features) -> FrechetEstimate:
    r"""The Fréchet distance with its interval.

    To first order a sample x moves the distance by

    .. math:: 2 \langle \mu_a - \mu_b, x - \mu_a \rangle + \langle x - \mu_a, (I - T) (x - \mu_a) \rangle

    up to a constant, with T the linear map that transports the centred Gaussian of its own set to the other one: the
    Kantorovich potential of the two Gaussians.
    """
    a, b = x.gaussian, y.gaussian
    (root_a, inverse_a), (root_b, inverse_b) = a.roots, b.roots
    left, values, right = torch.linalg.svd(root_a @ root_b)
    to_b = inverse_a @ (left * values) @ left.T @ inverse_a
    to_a = inverse_b @ (right.T * values) @ right @ inverse_b
    moves = (_contributions(x, a, b, to_b), _contributions(y, b, a, to_a))
    means = (a.mean - b.mean).square().sum().item()
    covariances = max((a.covariance.trace() + b.covariance.trace() - 2 * values.sum()).item(), 0.0)
    return FrechetEstimate(means, covariances, interval(means + covariances, *moves, bounds=(0.0, torch.inf)))


def _contributions(features: Features, own: Gaussian, other: Gaussian, transport: Tensor) -> Tensor:
    """What each sample contributes, shape ``(n,)``."""
    away, rest, parts = 2 * (own.mean - other.mean), torch.eye(len(transport)).double() - transport, []
    for rows in blocks(len(features), _ROWS):
        centred = features.values[rows].detach().double().cpu() - own.mean
        parts.append(centred @ away + ((centred @ rest) * centred).sum(1))
    return torch.cat(parts)


def _suits(x: Features, y: Features) -> bool:
    return min(len(x), len(y)) >= 2 and x.values.shape[1] <= _EVALUATED_SIZE


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(FeatureMetric):
    """The distance of the mean and the covariance of the generated features from those of the real ones.

    It is the formula of the Fréchet inception distance (Heusel et al. 2017), applied to the given features. It is
    computed in float64, symmetric, 0 for equal sets, and independent of the order of the samples.

    It is biased upward by about 1/n: two finite samples of one law have a positive distance, the larger the fewer
    they are. Compare only numbers of equal n, and compare them with real against real at that n
    (``digit_classifier_card().baselines`` has these for digits). With ``n <= k`` samples the covariance is singular,
    which is allowed here, but the bias then dominates.

    Keys: ``frechet``; its two terms ``frechet_mean`` and ``frechet_covariance``; the interval ``frechet_low`` and
    ``frechet_high``. Range: [0, inf), 0 the best. An evaluation adds ``frechet_matched``, of as many generated samples
    as there are held-out ones, beside ``frechet_matched_real``, of as many held-out ones: these two compare, whatever
    the sizes.
    """

    labels = {
        "frechet": Label("Fréchet distance of features (0 is best)", -1),
        "frechet_matched": Label("  of as many as are held out", 0),
    }

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if there is an extractor for the data, of at most 2048 features."""
        sets = given.features
        if sets is None or not _suits(sets.fake, sets.real):
            return {}
        values, h = cls()(sets.fake, sets.real), matched(sets)
        if sets.held_out is None or not 2 <= h <= len(sets.held_out):
            return values
        fair = frechet_estimate(sets.fake.first(h), sets.real).distance.under("frechet_matched")
        held_out = frechet_estimate(sets.held_out.first(h), sets.real).distance.under("frechet_matched")
        return values | fair | of_real(held_out)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 2 samples of each."""
        check_pair(fake, real, least=2)
        means, covariances, distance = frechet_estimate(fake, real)
        return {
            "frechet": distance.value,
            "frechet_mean": means,
            "frechet_covariance": covariances,
            "frechet_low": distance.low,
            "frechet_high": distance.high,
        }


@dataclass(frozen=True, kw_only=True)
class RealFrechet(Metric):
    """The Fréchet distance of held-out real samples from the real samples: what a perfect generator would have.

    Keys: ``frechet_real``, with the interval ``frechet_real_low`` and ``frechet_real_high``. Range: [0, inf).
    """

    labels = {"frechet_real": Label("  of real, held-out images", 1)}

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if there is an extractor for the data and some data are held out."""
        sets = given.features
        if sets is None or sets.held_out is None or not _suits(sets.held_out, sets.real):
            return {}
        return cls()(sets.held_out, sets.real)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; ``fake`` are held-out samples. Needs 2 of each."""
        check_pair(fake, real, least=2)
        return frechet_estimate(fake, real).distance.under("frechet_real")
