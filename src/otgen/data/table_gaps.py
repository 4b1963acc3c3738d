"""Fills in coordinates of samples whose values are missing, so that they lie where such rows may lie."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

_ROUNDS = 3
_RIDGE = 0.05
# Beyond so many coordinates a regression of each on all others costs more than it tells.
_MOST = 300


def fill(samples: NDArray[np.float32]) -> None:
    """Replace what is NaN in samples.

    What is missing gets the value that a linear regression on the row's other coordinates predicts, and a normal
    residual of the size that the regression leaves: neither the spread nor the correlations of a column shrink. In
    tables of very many columns it is a normal number of the column's mean and spread. The draws have a fixed seed.

    Args:
        samples: ``(n, k)``, NaN where a value is missing; overwritten.
    """
    gaps = np.isnan(samples)
    counts = np.maximum(len(samples) - gaps.sum(axis=0), 1)
    held = np.where(gaps, 0, samples)
    mean = held.sum(axis=0, dtype=np.float64) / counts
    spread = np.sqrt(np.maximum((held.astype(np.float64) ** 2).sum(axis=0) / counts - mean**2, 0)) + 1e-12
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(int(gaps.sum()), generator=rng, dtype=torch.float64).numpy()
    rows, places = gaps.nonzero()
    if samples.shape[1] > _MOST or len(samples) < 3:
        samples[gaps] = mean[places] + spread[places] * noise
        return
    scaled = np.where(gaps, 0, (samples - mean) / spread)
    ridge = _RIDGE * np.eye(samples.shape[1])
    for left in range(_ROUNDS - 1, -1, -1):
        precision = np.linalg.inv(scaled.T @ scaled / len(scaled) + ridge)
        diagonal = np.diag(precision)
        step = scaled @ precision / diagonal
        scaled[gaps] -= step[gaps]
        if left == 0:
            scaled[gaps] += noise / np.sqrt(diagonal[places])
    samples[gaps] = scaled[gaps] * spread[places] + mean[places]
