"""How the generated samples are distributed over the modes of a known mixture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import EvaluationInput, Label, Metric, check_pair
from otgen.metrics.features import Features
from otgen.metrics.intervals import interval
from otgen.metrics.statistics import blocks

_HALVINGS = 50
_ROWS = 8192  # number of samples compared with all modes at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class ModeAssignment:
    """Which mode each sample belongs to.

    Attributes:
        nearest: the index of the nearest mode, shape ``(n,)``, int64.
        high_quality: whether the sample lies within the radius of that mode, shape ``(n,)``, bool.
    """

    nearest: Tensor
    high_quality: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class ModeCoverage(Metric):
    r"""How many modes of a mixture a generator finds, and how evenly it covers them.

    The modes of the mixture have equal weights and are isotropic. A sample belongs to its nearest mode. It is of high
    quality if it lies within ``radius`` standard deviations of that mode. With :math:`h_j` the share of all generated
    samples that belong to mode j, of K modes:

    .. math:: \mathrm{KL} = \sum_j h_j \log (K h_j) \in [0, \log K]

    Keys:
        ``modes_found``: number of modes with a high-quality sample; in 0..K.
        ``modes_high_quality``: the share of generated samples of high quality; in [0, 1].
        ``modes_share_min``, ``modes_share_max``: the smallest and the largest :math:`K h_j`; 1 and 1 if the
            modes are covered evenly.
        ``modes_kl``: the KL above, in nats; 0 if the modes are covered evenly.
        ``modes_total``: K.
        ``modes_spread``: the standard deviation of high-quality samples around the mean of those of their mode,
            relative to that of the mixture's own samples within the radius; 0 if each mode is a point, 1 for the
            mixture. Missing if no mode has two such samples.
        ``modes_width``: the standard deviation of Gaussian modes that would have this spread, relative to the
            mixture's own; 1 for the mixture, 0 if each mode is a point, ``radius`` for that and everything wider.
            Missing where the spread is.
        ``modes_high_quality_real``, ``modes_kl_real``: the same for the real samples, the best that a generator can
            be expected to reach.
        ``modes_high_quality_low``, ``modes_high_quality_high``, ``modes_kl_low``, ``modes_kl_high``: their intervals.

    Read the shares together with the quality: samples that lie between the modes may be spread evenly over them
    without one of high quality. A finite sample of an even law has a KL of about (K - 1) / (2 n).

    Attributes:
        centres: means of the modes, shape ``(K, d)``.
        std: standard deviation of each mode, in each coordinate.
        radius: largest distance of a high-quality sample from its mode, in standard deviations. In two dimensions
            98.9 % of a Gaussian mode lies within 3; in d dimensions the typical distance is sqrt(d): raise it with d.
        min_share: a mode counts as found if it has at least one high-quality sample and if its high-quality samples
            are at least this share of all generated samples.
    """

    labels = {
        "modes_found": Label("modes found", 5),
        "modes_high_quality": Label("share of samples within 3 std of a mode", 7),
        "modes_spread": Label("spread around a mode (the mixture's own: 1)", 8),
    }

    centres: Tensor
    std: float
    radius: float = 3.0
    min_share: float = 0.0

    def __post_init__(self) -> None:
        if self.centres.dim() != 2 or self.centres.numel() == 0 or not self.centres.isfinite().all():
            raise InputError(
                f"centres must be a finite tensor of shape (modes, d); got shape "
                f"{tuple(self.centres.shape)}; pass one row a mode"
            )
        for name, value in (("std", self.std), ("radius", self.radius)):
            if not 0 < value < math.inf:
                raise InputError(f"{name} must be positive and finite; got {value}; see the mixture's definition")
        if not 0 <= self.min_share < 1:
            raise InputError(
                f"min_share is a share of the samples, in [0, 1); got {self.min_share}; 0 asks for one sample"
            )

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if the data are a mixture."""
        if given.mixture is None:
            return {}
        centres, std = given.mixture
        return cls(centres=centres, std=std)(given.points.fake, given.points.real)

    def assign(self, features: Features) -> ModeAssignment:
        """The mode of each sample, and whether the sample is of high quality. Ties go to the first mode."""
        if features.values.shape[1] != self.centres.shape[1]:
            raise InputError(
                f"the modes lie in {self.centres.shape[1]} dimensions, the features ({features.name}) in "
                f"{features.values.shape[1]}; modes live where the samples do: extract with Identity"
            )
        centres = self.centres.double().cpu()
        nearest, near = [], []
        for rows in blocks(len(features), _ROWS):
            points = features.values[rows].detach().double().cpu()
            # Differences, not inner products: modes may lie far from the origin and close together.
            distances = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")
            least, index = distances.min(1)
            nearest.append(index)
            near.append(least <= self.radius * self.std)
        return ModeAssignment(nearest=torch.cat(nearest), high_quality=torch.cat(near))

    def _spread(self, features: Features, assigned: ModeAssignment) -> float | None:
        """The standard deviation around the modes' means, relative to a Gaussian's within the radius."""
        values = features.values.detach().double().cpu()[assigned.high_quality]
        nearest, modes, d = assigned.nearest[assigned.high_quality], *self.centres.shape
        counts = nearest.bincount(minlength=modes).double()
        freedom = float((counts - 1).clamp(min=0).sum())
        if freedom == 0:
            return None
        # Differences from the centres first, which lose no digits if modes lie far from the origin.
        away = values - self.centres.double().cpu()[nearest]
        means = torch.zeros(modes, d, dtype=torch.float64).index_add_(0, nearest, away) / counts.clamp(min=1)[:, None]
        squares = float((away - means[nearest]).square().sum()) / freedom
        return math.sqrt(squares / (self.std**2 * d * _variance_within(self.radius, d)))

    def _width(self, spread: float) -> float:
        """The width of the modes that have this spread, which grows with it; at most the radius."""
        d, low, high = self.centres.shape[1], 0.0, self.radius
        whole = _variance_within(self.radius, d)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            seen = middle * math.sqrt(_variance_within(self.radius / middle, d) / whole)
            low, high = (middle, high) if seen < spread else (low, middle)
        return high if low else 0.0

    def _shares(self, nearest: Tensor) -> Tensor:
        """K times the share of each mode, all 1 if the modes are covered evenly. Shape ``(K,)``, float64."""
        modes = len(self.centres)
        return nearest.bincount(minlength=modes).double() * modes / len(nearest)

    def _kl(self, shares: Tensor) -> float:
        return max(torch.xlogy(shares, shares).mean().item(), 0.0)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 1 sample of each."""
        check_pair(fake, real)
        assigned, assigned_real = self.assign(fake), self.assign(real)
        good = assigned.nearest[assigned.high_quality].bincount(minlength=len(self.centres))
        is_found = (good >= 1) & (good.double() / len(fake) >= self.min_share)
        shares, spread = self._shares(assigned.nearest), self._spread(fake, assigned)
        good_share = interval(assigned.high_quality.double().mean().item(), assigned.high_quality, bounds=(0.0, 1.0))
        # To first order a sample of mode j moves the KL by log(K h_j).
        kl = interval(self._kl(shares), shares.log()[assigned.nearest], bounds=(0.0, math.log(len(self.centres))))
        return {
            "modes_found": float(is_found.sum()),
            "modes_total": float(len(self.centres)),
            **({} if spread is None else {"modes_spread": spread, "modes_width": self._width(spread)}),
            **good_share.under("modes_high_quality"),
            "modes_share_min": shares.min().item(),
            "modes_share_max": shares.max().item(),
            **kl.under("modes_kl"),
            "modes_high_quality_real": assigned_real.high_quality.double().mean().item(),
            "modes_kl_real": self._kl(self._shares(assigned_real.nearest)),
        }


def _variance_within(radius: float, d: int) -> float:
    """The mean of ``|z|^2 / d`` over ``|z| <= radius``, from two chi-square laws; z standard normal in d dimensions."""
    half = torch.tensor([d / 2 + 1, d / 2], dtype=torch.float64)
    above, below = torch.special.gammainc(half, torch.full_like(half, radius**2 / 2)).tolist()
    return float(above / below)
