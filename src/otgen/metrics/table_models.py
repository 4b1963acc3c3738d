"""What models learn from generated rows: to predict a column, and to tell them from real rows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from otgen.errors import quiet
from otgen.metrics.base import Label
from otgen.metrics.table_associations import frequent_levels
from otgen.metrics.table_design import Design
from otgen.metrics.table_metric import (
    LearntTableMetric,
    Numbers,
    require_count,
    require_sklearn,
    resampled,
    with_interval,
)
from otgen.metrics.table_sets import MISSING, Rows, RowSets

# Rows of each set that a model is trained on, and bootstrap draws of the rows it is tested on.
_MOST, _DRAWS = 5000, 200
# Levels of a column that models tell apart; integers with as many values or fewer are predicted as classes.
_LEVELS, _CLASSES = 30, 10
# Rows of each set that are told apart, the fewest of them, and the parts that are scored in turn.
_DETECTED, _LEAST, _FOLDS = 2500, 10, 5
# Pairs of subsets of as many rows as are held out.
_PARTS = 4


@dataclass(frozen=True, kw_only=True)
class TrainOnSynthetic(LearntTableMetric):
    """How well a forest that is trained on generated rows predicts the target column of held-out rows.

    The same forest (of scikit-learn, seeded) is trained on generated and on training rows, equally many of
    each, and tested on the held-out rows. Rows without a target take no part. Booleans, categories, and integers of at
    most 10 values are classes; other numbers, integers and dates are predicted as numbers.

    Keys, for classes:
        ``tstr_auc``, ``trtr_auc``: the area under the ROC curve of the forest trained on generated (synthetic) and of
            that trained on real rows; of more than two classes the mean over each class against the rest. In [0, 1];
            0.5 is chance.
    For numbers:
        ``tstr_r2``, ``trtr_r2``: the share of the variance that is explained, at most 1; 0 for a constant guess.
    All with ``*_low`` and ``*_high``, for the chance in which rows are held out; the forests stay as they are. No key
    without a target, without held-out rows, or where the held-out rows are all of one class or value.

    Attributes:
        trees: number of trees.
    """

    labels = {
        "tstr_auc": Label("AUC on held-out rows of a forest trained on generated rows", 73),
        "trtr_auc": Label("  trained on real rows", 74),
        "tstr_r2": Label("R2 on held-out rows of a forest trained on generated rows", 75),
        "trtr_r2": Label("  trained on real rows", 76),
    }

    trees: int = 100

    def __post_init__(self) -> None:
        require_count("trees", self.trees, 100)

    @override
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure."""
        if rows.target is None or rows.held_out_rows is None:
            return {}
        require_sklearn()
        design = Design.fitted(rows, most_levels=_LEVELS, without=rows.target)
        by_classes, sets = _targets(rows, rows.target)
        sets = [(one.first(_MOST), y[:_MOST]) for one, y in sets]
        n = min(len(sets[0][1]), len(sets[1][1]))
        test, truth = design(sets[2][0]), sets[2][1]
        if n == 0 or len(np.unique(truth)) < 2 or test.shape[1] == 0:
            return {}
        weights = np.concatenate([np.ones((1, len(truth))), resampled(len(truth), _DRAWS, 0)])
        found: dict[str, float] = {}
        for name, (some, y) in zip(("tstr", "trtr"), sets[:2], strict=True):
            # A target of many classes is told where it is chosen, and not by each of the forests.
            with quiet("sklearn", logging.ERROR):
                model = self._forest(design(some)[:n], y[:n], by_classes=by_classes)
                points = _said(model, test, np.unique(truth)) if by_classes else model.predict(test)[:, None]
            scores = np.asarray(points)
            values = mean_auc(scores, truth, weights) if by_classes else _r2(scores[:, 0], truth, weights)
            key, bounds = (f"{name}_auc", (0.0, 1.0)) if by_classes else (f"{name}_r2", (-np.inf, 1.0))
            found |= with_interval(key, float(values[0]), values[1:], bounds)
        return found

    def _forest(self, points: Numbers, y: NDArray[Any], *, by_classes: bool) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        if by_classes:
            return RandomForestClassifier(self.trees, random_state=0).fit(points, y)
        return RandomForestRegressor(self.trees, random_state=0, max_features=1 / 3).fit(points, y)


@dataclass(frozen=True, kw_only=True)
class Detection(LearntTableMetric):
    """How well a classifier tells generated from training rows.

    Gradient-boosted trees of scikit-learn, seeded, are trained on four fifths of equally many generated and training
    rows, and score the fifth that is left; five times.

    Keys: ``detection_auc``, the area under the ROC curve over all rows: 0.5 for rows that cannot be told apart, 1 for
    rows that always can, well below 0.5 where generated rows are copies of training rows; with ``*_low`` and
    ``*_high``. ``detection_auc_matched`` and ``detection_auc_real``: of as many generated rows as are held out, and of
    the held-out rows, means over up to 4 subsets of the training rows. No key for fewer than 10 rows.

    Attributes:
        rounds: rounds of boosting.
    """

    labels = {
        "detection_auc": Label("AUC of telling generated from real rows (0.5: cannot)", 77),
        "detection_auc_matched": Label("  of as many rows as are held out", 78),
        "detection_auc_real": Label("  of held-out rows", 79),
    }

    rounds: int = 60

    def __post_init__(self) -> None:
        require_count("rounds", self.rounds, 60)

    @override
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure."""
        groups = frequent_levels(rows, _LEVELS)
        fake, real = (_columns(some.first(_DETECTED), groups) for some in (rows.fake_rows, rows.real_rows))
        if min(len(fake), len(real)) < _LEAST or fake.shape[1] == 0:
            return {}
        require_sklearn()
        levels = len(groups)
        values = _detection(fake, real, levels, self.rounds)
        found = with_interval("detection_auc", float(values[0]), values[1:], (0, 1))
        if rows.held_out_rows is not None and len(rows.held_out_rows) >= _LEAST:
            held_out = _columns(rows.held_out_rows.first(_DETECTED), groups)
            h = min(len(held_out), len(fake), len(real))
            pairs = {"matched": _parts(fake, real, h), "real": _parts(held_out[:h], real, h)}
            for name, each in pairs.items():
                areas = [_detection(one, other, levels, self.rounds)[0] for one, other in each]
                found[f"detection_auc_{name}"] = float(np.mean(areas))
        return found


def mean_auc(scores: Numbers, truth: NDArray[Any], weights: Numbers) -> Numbers:
    """The area under the ROC curve for each of B weightings, shape ``(B,)``; the mean over classes against the rest.

    Args:
        scores: a column for each class of ``truth``, in ascending order, shape ``(n, K)``.
        truth: the classes, shape ``(n,)``.
        weights: of the rows, shape ``(B, n)``.
    """
    classes = np.unique(truth)
    areas = [_auc(scores[:, k], truth == label, weights) for k, label in enumerate(classes)]
    # NaN for a draw that lacks a class.
    mean: Numbers = np.mean(areas, 0)
    return mean


def _auc(scores: Numbers, positive: NDArray[np.bool_], weights: Numbers) -> Numbers:
    """The probability that a positive row scores above a negative one, ties by half; NaN where a side is empty."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] > ordered[:-1]]))
    above, below = (np.add.reduceat(weights[:, order] * side[order], starts, axis=1) for side in (positive, ~positive))
    pairs = above.sum(1) * below.sum(1)
    won = (above * (below.cumsum(1) - below / 2)).sum(1)
    area: Numbers = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return area


def _r2(guess: Numbers, truth: Numbers, weights: Numbers) -> Numbers:
    share = weights / weights.sum(1, keepdims=True)
    variance = share @ truth**2 - (share @ truth) ** 2
    explained = variance - share @ (guess - truth) ** 2
    r2: Numbers = np.divide(explained, variance, out=np.full(len(share), np.nan), where=variance > 0)
    return r2


def _targets(rows: RowSets, target: str) -> tuple[bool, list[tuple[Rows, NDArray[Any]]]]:
    """Whether the target is one of classes; and the generated, training and held-out rows that have it, with it."""
    assert rows.held_out_rows is not None
    sets = [rows.fake_rows, rows.real_rows, rows.held_out_rows]
    if target in rows.level_names:
        j = rows.level_names.index(target)
        known = [
            one.codes[:, j] != (rows.levels[j].index(MISSING) if MISSING in rows.levels[j] else -1) for one in sets
        ]
        return True, [(_only(one, keep), one.codes[keep, j]) for one, keep in zip(sets, known, strict=True)]
    j = rows.number_names.index(target)
    known = [~np.isnan(one.numbers[:, j]) for one in sets]
    real = sets[1].numbers[known[1], j]
    whole = bool((real == real.round()).all()) and len(np.unique(real)) <= _CLASSES
    # Generated rows are of the class that is nearest.
    return whole, [
        (_only(one, keep), one.numbers[keep, j].round() if whole else one.numbers[keep, j])
        for one, keep in zip(sets, known, strict=True)
    ]


def _only(rows: Rows, keep: NDArray[np.bool_]) -> Rows:
    return Rows(numbers=rows.numbers[keep], codes=rows.codes[keep])


def _said(model: Any, test: Numbers, classes: NDArray[Any]) -> Numbers:
    """The probability of each class that a forest gives the test points; 0 for a class that it has never seen."""
    said = np.asarray(model.predict_proba(test), dtype=np.float64)
    column = {label: k for k, label in enumerate(model.classes_.tolist())}
    return np.stack([said[:, column[c]] if c in column else np.zeros(len(test)) for c in classes.tolist()], 1)


def _columns(rows: Rows, groups: list[NDArray[np.int64]]) -> Numbers:
    """The numbers, NaN where missing, then the group of each level."""
    grouped = [group[codes].astype(np.float64) for group, codes in zip(groups, rows.codes.T, strict=True)]
    return np.concatenate([rows.numbers, *(each[:, None] for each in grouped)], 1)


def _parts(one: Numbers, real: Numbers, h: int) -> list[tuple[Numbers, Numbers]]:
    """Some pairs of ``h`` rows of each set, so that a small number of rows is not told apart by chance."""
    count = max(1, min(_PARTS, len(real) // h, _DETECTED // h))
    shifts = [(k * h % (len(one) - h + 1), k * h) for k in range(count)]
    return [(one[a : a + h], real[b : b + h]) for a, b in shifts]


def _detection(fake: Numbers, real: Numbers, levels: int, rounds: int) -> Numbers:
    """The area under the curve, then those of bootstrap draws of the scored rows; the last columns are levels."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    n = min(len(fake), len(real))
    points, is_fake = np.concatenate([fake[:n], real[:n]]), np.arange(2 * n) < n
    # The rows of each set come in a shuffled order, so every fifth is a fold; both sets are equally many in each.
    fold = np.concatenate([np.arange(n), np.arange(n)]) % _FOLDS
    scores, is_level = np.empty(2 * n), np.arange(points.shape[1]) >= points.shape[1] - levels
    for k in range(_FOLDS):
        model = HistGradientBoostingClassifier(
            max_iter=rounds, early_stopping=False, random_state=0, categorical_features=is_level
        )
        with quiet("sklearn", logging.ERROR):
            model.fit(points[fold != k], is_fake[fold != k])
            scores[fold == k] = model.predict_proba(points[fold == k])[:, 1]
    weights = np.concatenate([np.ones((1, 2 * n)), resampled(2 * n, _DRAWS, 0)])
    return _auc(scores, is_fake, weights)
