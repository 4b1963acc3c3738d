"""Whether each column follows from the others as it does in the real rows."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from otgen.errors import quiet
from otgen.metrics.base import Label
from otgen.metrics.table_associations import associations, frequent_levels
from otgen.metrics.table_design import Design
from otgen.metrics.table_metric import LearntTableMetric, Numbers, require_count, require_sklearn
from otgen.metrics.table_sets import Rows, RowSets

# Rows of each set, and the fewest rows that have the column.
_MOST, _LEAST = 1000, 30
# Columns that are looked at, levels of one that are told apart, and coordinates that a split of a tree chooses from.
_COLUMNS, _LEVELS, _CHOSEN = 12, 30, 20
# Standard deviations of a difference that pass for chance: many columns are looked at.
_ASIDE = 4.0


@dataclass(frozen=True, kw_only=True)
class Dependence(LearntTableMetric):
    r"""How much of a column the other columns explain, in generated and in real rows.

    For each column a forest of scikit-learn, seeded, learns it from the others in the training rows. What it explains
    is :math:`1 - e / e_0` with e the mean error and :math:`e_0` that of a constant guess on training rows: of numbers
    and dates the squared error of the ranks among the training rows, of categories and booleans the share of wrong
    guesses. In training rows each tree guesses only rows that it has not learnt from.

    It sees relations of several columns, such as a sum or a product, which no correlation shows. It does not see those
    that give a column no best guess, such as points on a ring, nor those of levels that occur a few times only.

    Keys, all at most 1; 1 if the column follows from the others, 0 or below if it does not:
        ``explained/COLUMN``, ``explained_real/COLUMN``: of generated and of training rows.
        ``explained_chance/COLUMN``: by how much these differ by chance at most, 4 standard deviations.
        ``explained_by/COLUMN/OTHER``: for the other column that the forest uses most, its share in what is explained.
        ``explained_lost``: the largest difference of the first two, over the columns; 0 if there is none.
    No key for a table of one column, or of fewer than 30 rows in a set. Of more than 12 columns those are looked at
    that have the strongest associations with others; 1,000 rows of each set are used.

    Attributes:
        trees: number of trees; with fewer than 20 there are training rows that none of them guesses.
    """

    labels = {"explained_lost": Label("what columns follow less from the others than real ones (0: no less)", 86)}

    trees: int = 40

    def __post_init__(self) -> None:
        require_count("trees", self.trees, 40)

    @override
    def __call__(self, rows: RowSets) -> dict[str, float]:
        """Measure."""
        if len(rows.number_names) + len(rows.level_names) < 2:
            return {}
        require_sklearn()
        found, lost = dict[str, float](), list[float]()
        for name in _strongest(rows):
            one = _explained(rows, name, self.trees)
            found |= one
            lost += [one[f"explained_real/{name}"] - one[f"explained/{name}"]] if one else []
        return found | {"explained_lost": max(0.0, *lost)} if lost else {}


def _strongest(rows: RowSets) -> list[str]:
    """The columns with the strongest associations with others."""
    names = [*rows.number_names, *rows.level_names]
    if len(names) <= _COLUMNS:
        return names
    some, groups = rows.real_rows.first(_MOST), frequent_levels(rows, _LEVELS)
    found = associations(some, groups, np.ones((1, len(some))))[0]
    np.fill_diagonal(found, 0.0)
    return [names[j] for j in np.argsort(-(found**2).sum(1), kind="stable")[:_COLUMNS]]


def _explained(rows: RowSets, name: str, trees: int) -> dict[str, float]:
    """The keys of one column; none where it is constant or has few values."""
    design = Design.fitted(rows, most_levels=_LEVELS, without=name)
    (x, truth), (fake, fake_truth) = (
        _with_target(rows, some, design, name) for some in (rows.real_rows, rows.fake_rows)
    )
    by_classes = name in rows.level_names
    if min(len(x), len(fake)) < _LEAST or len(np.unique(truth)) < 2:
        return {}
    if by_classes:
        constant = 1 - float(np.unique(truth, return_counts=True)[1].max()) / len(truth)
    else:
        ordered = np.sort(truth)
        truth, fake_truth = _ranks(truth, ordered), _ranks(fake_truth, ordered)
        constant = float(truth.var())
    model = _forest(x, truth, trees, by_classes=by_classes)
    if by_classes:
        unseen = model.classes_[model.oob_decision_function_.argmax(1)]
        errors, fake_errors = (unseen != truth) * 1.0, (model.predict(fake) != fake_truth) * 1.0
    else:
        errors, fake_errors = (model.oob_prediction_ - truth) ** 2, (model.predict(fake) - fake_truth) ** 2
    chance = _ASIDE * math.sqrt(errors.var() / len(errors) + fake_errors.var() / len(fake_errors))
    other, share = _most_used(rows, design, model.feature_importances_)
    return {
        f"explained/{name}": 1 - float(fake_errors.mean()) / constant,
        f"explained_real/{name}": 1 - float(errors.mean()) / constant,
        f"explained_chance/{name}": chance / constant,
        f"explained_by/{name}/{other}": share,
    }


def _with_target(rows: RowSets, some: Rows, design: Design, name: str) -> tuple[Numbers, NDArray[Any]]:
    """Points of the other columns, and the column: the number, or the group of its level; of rows that have it."""
    some = some.first(_MOST)
    points = design(some)
    if name in rows.level_names:
        j = rows.level_names.index(name)
        return points, frequent_levels(rows, _LEVELS)[j][some.codes[:, j]]
    values = some.numbers[:, rows.number_names.index(name)]
    there = ~np.isnan(values)
    return points[there], values[there]


def _ranks(values: Numbers, ordered: Numbers) -> Numbers:
    """The places of values among ordered ones, in [0, 1]; equal ones share the middle of theirs."""
    ends = [np.searchsorted(ordered, values, side) for side in ("left", "right")]
    ranks: Numbers = (ends[0] + ends[1]) / (2 * len(ordered))
    return ranks


def _forest(points: Numbers, truth: NDArray[Any], trees: int, *, by_classes: bool) -> Any:
    """A forest that learnt the column, with what it guesses of rows that its trees have not seen."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    chosen = min(1.0, _CHOSEN / points.shape[1])
    kind = RandomForestClassifier if by_classes else RandomForestRegressor
    # Codes of many levels are told where they are chosen, and not by each of the forests.
    with quiet("sklearn", logging.ERROR):
        return kind(trees, max_features=chosen, oob_score=True, random_state=0).fit(points, truth)


def _most_used(rows: RowSets, design: Design, importances: Numbers) -> tuple[str, float]:
    """The column whose coordinates a forest uses most, and its share."""
    owners = [rows.number_names[j] for j in (*design.numbers, *design.gaps)]
    for j, group in zip(design.categories, design.groups, strict=True):
        owners += [rows.level_names[j]] * (int(group.max()) + 1)
    shares = dict.fromkeys(owners, 0.0)
    for owner, importance in zip(owners, importances, strict=True):
        shares[owner] += float(importance)
    other = max(shares, key=lambda name: shares[name])
    return other, shares[other]
