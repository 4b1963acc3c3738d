"""The Fréchet distance between the Gaussians fitted to two sets of features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.metrics.base import ClassifierMetric, EvaluationInput, Label, Metric, check_pair
from otgen.metrics.features import Features
from otgen.metrics.statistics import Gaussian


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a positive semi-definite matrix, singular or not."""
    values, vectors = torch.linalg.eigh(covariance)
    # What lies below the rounding of the largest eigenvalue is a zero that rounding has moved, of either
    # sign. Its root would be 1e8 times too large.
    floor = values.abs().max() * len(values) * torch.finfo(values.dtype).eps
    root = torch.where(values > floor, values, 0.0).sqrt()
    out: Tensor = (vectors * root) @ vectors.T
    return out


def frechet_terms(a: Gaussian, b: Gaussian) -> tuple[float, float]:
    r"""The squared Wasserstein-2 distance between Gaussians as two terms: of means, of covariances.

    .. math:: \|\mu_a - \mu_b\|^2, \qquad
        \operatorname{tr}\Sigma_a + \operatorname{tr}\Sigma_b
        - 2 \operatorname{tr}\bigl(\Sigma_a^{1/2} \Sigma_b \Sigma_a^{1/2}\bigr)^{1/2}

    (Dowson and Landau 1982). The last trace is the sum of the singular values of
    :math:`\Sigma_a^{1/2}\Sigma_b^{1/2}`, with symmetric roots. No root of a non-symmetric matrix is ever
    taken, so nothing turns complex, and singular covariances are no special case.
    """
    means = (a.mean - b.mean).square().sum().item()
    fidelity = torch.linalg.svdvals(_root(a.covariance) @ _root(b.covariance)).sum()
    covariances = (a.covariance.trace() + b.covariance.trace() - 2 * fidelity).item()
    return means, max(covariances, 0.0)  # of equal ones it is 0, and rounding may go below


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """The squared Wasserstein-2 distance between Gaussians, the sum of :func:`frechet_terms`."""
    return sum(frechet_terms(a, b))


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(ClassifierMetric):
    """How far the mean and the covariance of the generated features are from those of the real ones.

    The formula of the Fréchet inception distance (Heusel et al. 2017), on the features that it is given.
    Computed in float64, symmetric, 0 for equal sets, independent of the order of the samples.

    Biased upward for small sets, by about 1/n: two samples of one law are at a positive distance, and the
    fewer they are the larger it is. Compare numbers of equal n only, and set them beside real against real at
    that n (``digit_classifier_card().baselines`` has them for digits). With ``n <= k`` samples the covariance
    is singular, which is legal here, but the bias then rules.

    Keys: ``frechet``; its two terms ``frechet_mean`` and ``frechet_covariance``. Range: [0, inf), 0 the best.
    """

    labels = {"frechet": Label("Fréchet distance, classifier features (0 is best)", 0)}

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 2 samples of each."""
        check_pair(fake, real, least=2)
        means, covariances = frechet_terms(fake.gaussian, real.gaussian)
        return {
            "frechet": means + covariances,
            "frechet_mean": means,
            "frechet_covariance": covariances,
        }


@dataclass(frozen=True, kw_only=True)
class RealFrechet(Metric):
    """The Fréchet distance of held-out real samples from the real samples: what a perfect generator would have.

    Keys: ``frechet_real``. Range: [0, inf).
    """

    labels = {"frechet_real": Label("  of real, held-out images", 1)}

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """For data that a classifier knows and some of which are held out."""
        sets = given.classified
        return {} if sets is None or sets.held_out is None else cls()(sets.held_out, sets.real)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; ``fake`` are held-out samples. Needs 2 of each."""
        return {"frechet_real": FrechetDistance()(fake, real)["frechet"]}
