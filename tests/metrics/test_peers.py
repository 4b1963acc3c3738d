"""On fixed features the metrics equal those of torch-fidelity and of prdc."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch

from otgen.metrics import Features, FrechetDistance, PrecisionRecall, kernel_distance

_EQUAL = 1e-6


class Case(NamedTuple):
    """Seeds and sizes of two normal samples in 8 dimensions, and what the peers say of them.

    Measured with torch-fidelity 0.4.0 and prdc 0.2, in float64: the Fréchet distance, KID of the first 250 of each in
    one subset, precision and recall (3 neighbours; the two peers agree), density and coverage (5 neighbours).
    """

    seeds: tuple[int, int]
    sizes: tuple[int, int]
    shift: float
    scale: float
    frechet: float
    kid: float
    precision: float
    recall: float
    density: float
    coverage: float


CASES = [
    Case((0, 1), (300, 400), 0.0, 1.0, 0.1438928119, 0.0107195079, 0.8933333333, 0.8725, 0.9773333333, 0.9375),
    Case((0, 1), (300, 400), 0.4, 0.7, 2.0059705195, 0.6250984216, 0.9766666666, 0.38, 1.41, 0.7825),
    Case((0, 1), (250, 250), -0.2, 1.5, 2.6588481460, 0.8070618099, 0.408, 0.992, 0.276, 0.656),
    Case((8, 9), (300, 400), 0.0, 1.0, 0.1125533097, -0.0235347475, 0.8333333333, 0.8875, 0.9546666666, 0.9325),
    Case((8, 9), (300, 400), 0.4, 0.7, 1.8617607088, 0.5314094492, 0.9733333333, 0.455, 1.502, 0.7875),
    Case((8, 9), (250, 250), -0.2, 1.5, 2.9718641232, 0.9433466474, 0.452, 1.0, 0.2944, 0.684),
]  # fmt: skip
each = pytest.mark.parametrize("case", CASES)


def features(case: Case) -> tuple[Features, Features]:
    drawn = []
    for seed, n in zip(case.seeds, case.sizes, strict=True):
        rng = torch.Generator().manual_seed(seed)
        drawn.append(torch.randn(n, 8, dtype=torch.float64, generator=rng))
    x, y = case.shift + case.scale * drawn[0], drawn[1]
    return Features(values=x, name="fixed"), Features(values=y, name="fixed")


def ours(case: Case) -> dict[str, float]:
    x, y = features(case)
    whole = torch.arange(250)[None]
    kid = kernel_distance(x.values[:250], y.values[:250], whole, whole)
    return FrechetDistance()(x, y) | PrecisionRecall()(x, y) | {"kid": kid.item()}


@each
def test_what_the_peers_said(case: Case) -> None:
    found = ours(case)
    for key in ("frechet", "kid", "precision", "recall", "density", "coverage"):
        assert found[key] == pytest.approx(getattr(case, key), rel=_EQUAL, abs=_EQUAL), key


def peer(module: str, package: str) -> ModuleType:
    """A module of a peer; without it, or without what it needs, the test is skipped."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        pytest.skip(f"{package} cannot be imported: {error}")


KID: dict[str, Any] = {
    "kid_kernel": "poly",
    "kid_kernel_poly_degree": 3,
    "kid_kernel_poly_gamma": None,
    "kid_kernel_poly_coef0": 1,
    "verbose": False,
}


@each
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torch_fidelity_says_so_now(case: Case) -> None:
    fid = peer("torch_fidelity.metric_fid", "torch-fidelity")
    prc = peer("torch_fidelity.metric_prc", "torch-fidelity")
    kid = peer("torch_fidelity.metric_kid", "torch-fidelity")
    (x, y), found = features(case), ours(case)
    statistics = [fid.fid_features_to_statistics(part.values) for part in (x, y)]
    theirs = fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert found["frechet"] == pytest.approx(theirs, abs=_EQUAL)
    theirs = prc.prc_features_to_metric(
        x.values, y.values, prc_neighborhood=3, prc_batch_size=100, save_cpu_ram=False, verbose=False
    )
    assert found["precision"] == pytest.approx(theirs["precision"], abs=_EQUAL)
    assert found["recall"] == pytest.approx(theirs["recall"], abs=_EQUAL)
    # The same subsets as theirs.
    import numpy as np

    rng = np.random.RandomState(2020)  # noqa: NPY002
    drawn = [[rng.choice(n, 100, replace=False) for n in case.sizes] for _ in range(5)]
    of_x, of_y = (torch.from_numpy(np.stack(rows)) for rows in zip(*drawn, strict=True))
    theirs = kid.kid_features_to_metric(x.values, y.values, kid_subsets=5, kid_subset_size=100, rng_seed=2020, **KID)
    mine = kernel_distance(x.values, y.values, of_x, of_y)
    assert mine.mean().item() == pytest.approx(theirs["kernel_inception_distance_mean"], abs=_EQUAL)
    assert mine.std(correction=0).item() == pytest.approx(theirs["kernel_inception_distance_std"], abs=_EQUAL)


@each
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_prdc_says_so_now(case: Case) -> None:
    prdc = peer("prdc", "prdc")
    (x, y), found = features(case), ours(case)
    few, more = (prdc.compute_prdc(y.values.numpy(), x.values.numpy(), nearest_k=k) for k in (3, 5))
    assert found["precision"] == pytest.approx(few["precision"], abs=_EQUAL)
    assert found["recall"] == pytest.approx(few["recall"], abs=_EQUAL)
    assert found["density"] == pytest.approx(more["density"], abs=_EQUAL)
    assert found["coverage"] == pytest.approx(more["coverage"], abs=_EQUAL)
