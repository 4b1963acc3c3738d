"""A Gaussian copula for tables, the method to beat that needs no training.

Each column becomes a normal score: a number by its rank, a category by its place among the cumulative shares of the
levels. The scores have a joint normal law with the correlations of the data. A generated score becomes a value again by
the column's empirical quantiles, so that columns by themselves are almost right; how they depend on each other is right
as far as correlations say it. Whether a value is missing is a column of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Levels:
    """The levels of a category, the most frequent first, and where their shares begin and end."""

    values: NDArray[Any]
    edges: Numbers

    @classmethod
    def of(cls, column: pd.Series[Any]) -> Levels:
        """Those of a column without gaps."""
        shares = column.value_counts(normalize=True)
        return cls(shares.index.to_numpy(), np.concatenate([[0.0], shares.cumsum().to_numpy()]))

    def scores(self, column: pd.Series[Any]) -> Numbers:
        """The normal score of the middle of each level's share."""
        middle = ndtri((self.edges[:-1] + self.edges[1:]) / 2)
        scores: Numbers = column.map(dict(zip(self.values, middle, strict=True))).to_numpy(dtype=float)
        return scores

    def at(self, quantile: Numbers) -> NDArray[Any]:
        """The level at each quantile."""
        return self.values[np.clip(np.searchsorted(self.edges, quantile) - 1, 0, len(self.values) - 1)]


@dataclass(frozen=True)
class Values:
    """The values of a column of numbers, ascending."""

    values: Numbers

    def scores(self, column: pd.Series[Any]) -> Numbers:
        """The normal score of each number's rank, NaN where it is missing; equal numbers share a rank."""
        scores: Numbers = ndtri((column.rank() - 0.5) / column.count()).to_numpy(dtype=float)
        return scores

    def at(self, quantile: Numbers) -> Numbers:
        """The empirical quantiles, interpolated unless most numbers occur several times."""
        shared = len(np.unique(self.values)) < len(self.values) / 5
        return np.quantile(self.values, quantile, method="inverted_cdf" if shared else "linear")


class GaussianCopula:
    """The law of a table's rows.

    Args:
        frame: the training rows. Columns of numbers have a dtype of numbers.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.columns = frame.columns
        self.parts: dict[tuple[str, str], Levels | Values] = {}
        scores = {}
        for name in frame.columns:
            column, gaps = frame[name], frame[name].isna()
            if gaps.any():
                self.parts[name, "gap"] = Levels.of(gaps)
                scores[name, "gap"] = self.parts[name, "gap"].scores(gaps)
            known = column.dropna()
            number = pd.api.types.is_numeric_dtype(column)
            self.parts[name, "value"] = Values(np.sort(known.to_numpy(dtype=float))) if number else Levels.of(known)
            scores[name, "value"] = self.parts[name, "value"].scores(column)
        # Over the rows that have both values; then the nearest correlations that a normal law can have.
        pairwise = pd.DataFrame(scores).corr().fillna(0.0).to_numpy(copy=True)
        np.fill_diagonal(pairwise, 1.0)
        values, vectors = np.linalg.eigh(pairwise)
        root = vectors * np.sqrt(np.maximum(values, 1e-9))
        self.root = root / np.linalg.norm(root, axis=1, keepdims=True)

    def sample(self, n: int, seed: int) -> pd.DataFrame:
        """Draw ``n`` rows."""
        normal = np.random.default_rng(seed).standard_normal((n, len(self.parts)))
        quantiles = dict(zip(self.parts, ndtr(normal @ self.root.T).T, strict=True))
        made = {}
        for name in self.columns:
            made[name] = pd.Series(self.parts[name, "value"].at(quantiles[name, "value"]))
            if (name, "gap") in self.parts:
                made[name] = made[name].mask(self.parts[name, "gap"].at(quantiles[name, "gap"]).astype(bool))
        return pd.DataFrame(made)
