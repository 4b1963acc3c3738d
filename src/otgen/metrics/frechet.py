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
    # An eigenvalue below the roundoff of the largest one is a zero perturbed by roundoff, of either sign. Its root
    # would be 1e8 times too large.
    floor = values.abs().max() * len(values) * torch.finfo(values.dtype).eps
    root = torch.where(values > floor, values, 0.0).sqrt()
    out: Tensor = (vectors * root) @ vectors.T
    return out


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
    fidelity = torch.linalg.svdvals(_root(a.covariance) @ _root(b.covariance)).sum()
    covariances = (a.covariance.trace() + b.covariance.trace() - 2 * fidelity).item()
    return means, max(covariances, 0.0)  # 0 for equal covariances; roundoff may make it negative


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """The squared Wasserstein-2 distance between Gaussians, the sum of :func:`frechet_terms`."""
    return sum(frechet_terms(a, b))


@dataclass(frozen=True, kw_only=True)
class FrechetDistance(ClassifierMetric):
    """The distance of the mean and the covariance of the generated features from those of the real ones.

    It is the formula of the Fréchet inception distance (Heusel et al. 2017), applied to the given features. It is
    computed in float64, symmetric, 0 for equal sets, and independent of the order of the samples.

    It is biased upward by about 1/n: two finite samples of one law have a positive distance, the larger the fewer
    they are. Compare only numbers of equal n, and compare them with real against real at that n
    (``digit_classifier_card().baselines`` has these for digits). With ``n <= k`` samples the covariance is singular,
    which is allowed here, but the bias then dominates.

    Keys: ``frechet``; its two terms ``frechet_mean`` and ``frechet_covariance``. Range: [0, inf), 0 the best.
    """

    labels = {"frechet": Label("Fréchet distance, classifier features (0 is best)", 0)}

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 2 samples of each."""
        check_pair(fake, real, least=2)
        means, covariances = frechet_terms(fake.gaussian, real.gaussian)
        return {"frechet": means + covariances, "frechet_mean": means, "frechet_covariance": covariances}


@dataclass(frozen=True, kw_only=True)
class RealFrechet(Metric):
    """The Fréchet distance of held-out real samples from the real samples: what a perfect generator would have.

    Keys: ``frechet_real``. Range: [0, inf).
    """

    labels = {"frechet_real": Label("  of real, held-out images", 1)}

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if there is a classifier of the data and some data are held out."""
        sets = given.classified
        return {} if sets is None or sets.held_out is None else cls()(sets.held_out, sets.real)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; ``fake`` are held-out samples. Needs 2 of each."""
        return {"frechet_real": FrechetDistance()(fake, real)["frechet"]}
