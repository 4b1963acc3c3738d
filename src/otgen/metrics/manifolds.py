"""Precision, recall, density and coverage: which samples of one set lie near the other set, by nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import EvaluationInput, Label, Metric, check_pair, with_baseline
from otgen.metrics.distances import distances
from otgen.metrics.features import Features
from otgen.metrics.intervals import IntervalEstimate, interval

_UNIT = (0.0, 1.0)


class Balls(NamedTuple):
    """A ball around each sample of a set, which reaches to its k-th nearest neighbour in the set.

    Attributes:
        nearest: the k nearest neighbours, without the sample itself, shape ``(m, k)``.
        radius: distance to the k-th one, shape ``(m,)``.
        wider: distance to the next one: the radius if one of the k were missing.
    """

    nearest: Tensor
    radius: Tensor
    wider: Tensor


def balls(within: Tensor, k: int) -> Balls:
    """The balls of a set, from the distances ``(m, m)`` between its samples, ``m >= k + 2``."""
    others = within.clone().fill_diagonal_(torch.inf)
    least = others.topk(k + 1, dim=1, largest=False)
    return Balls(least.indices[:, :k], least.values[:, k - 1], least.values[:, k])


def share_inside(across: Tensor, owners: Balls) -> IntervalEstimate:
    """The share of queries that lie in at least one ball (Kynkäänniemi et al. 2019).

    Args:
        across: distances ``(m, n)`` from the balls' centres to the queries.
        owners: the balls.
    """
    m, n = across.shape
    inside = across <= owners.radius[:, None]
    count = inside.sum(0)
    # What leaving a ball's sample out changes: queries in no other ball are lost; the balls that the sample bounds
    # grow to their next neighbour, and queries in no other ball may be gained.
    alone = inside & (count == 1)
    grown, query = ((across <= owners.wider[:, None]) & ~inside & (count <= 1)).nonzero(as_tuple=True)
    left_out = owners.nearest[grown]
    pairs = torch.unique(left_out * n + query[:, None])
    left_out, query = pairs // n, pairs % n
    gains = left_out[(count[query] == 0) | alone[left_out, query]]
    lost = alone.sum(1) - gains.bincount(minlength=m)
    covered = (count > 0).double()
    return interval(covered.mean().item(), covered, (m - 1) / n * lost.double(), bounds=_UNIT)


def balls_a_query(across: Tensor, owners: Balls) -> IntervalEstimate:
    """The mean number of balls that a query lies in, over k, the number expected of the law itself (Naeem et al. 2020).

    Args:
        across: distances ``(m, n)`` from the balls' centres to the queries.
        owners: the balls.
    """
    (m, n), k = across.shape, owners.nearest.shape[1]
    inside = across <= owners.radius[:, None]
    ring = (across <= owners.wider[:, None]).sum(1) - inside.sum(1)
    gained = torch.zeros(m, dtype=torch.int64).index_add_(0, owners.nearest.flatten(), ring.repeat_interleave(k))
    count = inside.sum(0).double() / k
    lost = (inside.sum(1) - gained).double()
    return interval(count.mean().item(), count, (m - 1) / (n * k) * lost, bounds=(0.0, float(m) / k))


def share_reached(across: Tensor, owners: Balls) -> IntervalEstimate:
    """The share of balls that hold at least one query (Naeem et al. 2020).

    Args:
        across: distances ``(m, n)`` from the balls' centres to the queries, ``n >= 2``.
        owners: the balls.
    """
    (m, n), k = across.shape, owners.nearest.shape[1]
    least = across.topk(2, dim=1, largest=False)
    first, second = least.values.unbind(1)
    reached = first <= owners.radius
    lost = least.indices[reached & (second > owners.radius), 0].bincount(minlength=n)
    growing = (~reached & (first <= owners.wider)).long()
    gained = torch.zeros(m, dtype=torch.int64).index_add_(0, owners.nearest.flatten(), growing.repeat_interleave(k))
    of_owners, of_queries = reached.double() - gained.double(), (n - 1) / m * lost.double()
    return interval(reached.double().mean().item(), of_queries, of_owners, bounds=_UNIT)


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall(Metric):
    """Whether the generated samples lie among the real ones (precision, density), and reach all (recall, coverage).

    A set's manifold is the union of balls around its samples that reach to the k-th nearest neighbour in the set
    (Kynkäänniemi et al. 2019). Precision is the share of generated samples in the real manifold, recall the share of
    real samples in the generated one. Density counts in how many real balls a generated sample lies, over k; coverage
    is the share of real balls that hold a generated sample (Naeem et al. 2020). A collapsed generator has a high
    precision and a low recall, one that is too wide the reverse. The boundary of a ball belongs to it.

    They depend on the numbers of samples: compare sets of equal sizes, and compare with ``*_real``, in an evaluation,
    where held-out samples take the place of generated ones, as many of them; where fewer than 50 are held out, compare
    ``*_matched`` with it. Recall is generous to outliers: one sample far away has a large ball. Coverage and density
    have no such flaw on that side.

    Keys: ``precision``, ``recall``, ``density``, ``coverage``, each with the interval ``*_low`` and ``*_high``. Range:
    [0, 1], the density [0, inf); near 1 is good; the baseline of real samples is the most that can be expected.

    Attributes:
        k: neighbours that bound a ball, for precision and recall.
        k_density: the same for density and coverage.
        max_points: at most this many samples of each set are used, picked by a shuffle that is always the same for the
            same set.
    """

    labels = {
        "precision": Label("precision: share of samples among real ones (1 is best)", 40),
        "precision_matched": Label("  of as many as are held out", 41),
        "precision_real": Label("  of real, held-out ones", 42),
        "recall": Label("recall: share of real ones among samples (1 is best)", 43),
        "recall_matched": Label("  of as many as are held out", 44),
        "recall_real": Label("  of real, held-out ones", 45),
    }

    k: int = 3
    k_density: int = 5
    max_points: int = 2000

    def __post_init__(self) -> None:
        if not 1 <= min(self.k, self.k_density) <= max(self.k, self.k_density) <= self.max_points - 2:
            raise InputError(
                f"k and k_density must be at least 1, and max_points at least 2 more; got {self.k}, {self.k_density} "
                f"and {self.max_points}; customary are 3 and 5"
            )

    @property
    def least(self) -> int:
        """The number of samples that each set needs."""
        return max(self.k, self.k_density) + 2

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, for all data."""
        metric = cls()
        return with_baseline(metric, given.compared, least=metric.least, most=metric.max_points)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs k + 2 samples of each."""
        check_pair(fake, real, least=self.least)
        x, y = (features.first(self.max_points).values for features in (fake, real))
        across, of_fake, of_real = distances(y, x), distances(x, x), distances(y, y)
        real_balls = balls(of_real, self.k)
        denser = balls(of_real, self.k_density)
        return {
            **share_inside(across, real_balls).under("precision"),
            **share_inside(across.T, balls(of_fake, self.k)).under("recall"),
            **balls_a_query(across, denser).under("density"),
            **share_reached(across, denser).under("coverage"),
        }
