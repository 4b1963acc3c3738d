"""Metrics of tables: laws that all of them obey, values with known answers, and tables of a known fault."""

from __future__ import annotations

import builtins
import dataclasses
import datetime
import itertools
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score

from cases.checks import refused
from otgen import metrics
from otgen.data import ColumnKind
from otgen.data.holdout import split_by_content
from otgen.errors import MissingDependency
from otgen.metrics import (
    ClosestRecord,
    CorrelationError,
    Dependence,
    Detection,
    EvaluationInput,
    FeatureSets,
    Identity,
    Marginals,
    MissingRates,
    RowSets,
    SpreadRatio,
    TableMetric,
    TrainOnSynthetic,
)
from otgen.metrics.table_models import mean_auc

KINDS = {
    "height": ColumnKind.NUMBER,
    "weight": ColumnKind.NUMBER,
    "children": ColumnKind.INTEGER,
    "born": ColumnKind.DATE,
    "smokes": ColumnKind.BOOLEAN,
    "town": ColumnKind.CATEGORY,
    "id": ColumnKind.COUNTER,
    "planet": ColumnKind.CONSTANT,
}
METRICS: list[TableMetric] = [
    Marginals(),
    CorrelationError(),
    SpreadRatio(),
    MissingRates(),
    TrainOnSynthetic(trees=20),
    Detection(rounds=15),
    Dependence(trees=4),
    ClosestRecord(),
]
every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: type(metric).__name__)


def people(n: int, seed: int) -> pd.DataFrame:
    """Rows of one law whose columns depend on each other, with gaps in two of them."""
    rng = np.random.default_rng(seed)
    tall = rng.normal(size=n)
    town = np.array(["Bonn", "Köln", "Ulm"], dtype=object)[np.clip(np.round(tall + 1), 0, 2).astype(int)]
    frame = pd.DataFrame(
        {
            "height": 170 + 10 * tall,
            "weight": 70 + 8 * tall + rng.normal(size=n),
            "children": rng.poisson(1.5, n),
            "born": pd.Timestamp("1980-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), unit="D"),
            "smokes": tall + 0.3 * rng.normal(size=n) > 0,
            "town": town,
            "id": np.arange(n),
            "planet": "earth",
        }
    )
    frame.loc[rng.random(n) < 0.1, "weight"] = np.nan
    frame.loc[rng.random(n) < 0.1, "town"] = None
    return frame


REAL, HELD_OUT = people(200, 0), people(100, 1)


def sets(fake: pd.DataFrame, **changes: Any) -> RowSets:
    given = {"fake": fake, "real": REAL, "held_out": HELD_OUT, "kinds": KINDS, "target": "smokes"}
    return RowSets(**(given | changes))


def all_numbers(rows: RowSets) -> dict[str, float]:
    return {key: value for metric in METRICS for key, value in metric(rows).items()}


@cache
def honest_by_metric() -> list[dict[str, float]]:
    return [metric(sets(people(150, 2))) for metric in METRICS]


def honest() -> dict[str, float]:
    return {key: value for found in honest_by_metric() for key, value in found.items()}


def shuffled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame.sample(frac=1, random_state=seed)


# --- laws of all of them


def test_all_that_are_exported_are_tested() -> None:
    exported = {value for value in vars(metrics).values() if isinstance(value, type) and issubclass(value, TableMetric)}
    assert {type(metric) for metric in METRICS} == exported - {TableMetric}


def test_numbers_are_finite_floats_and_no_two_metrics_share_a_key() -> None:
    found = honest_by_metric()
    assert all(found)
    assert all(type(value) is float and math.isfinite(value) for one in found for value in one.values())
    keys = [key for one in found for key in one]
    assert len(keys) == len(set(keys))


def test_labels_are_of_keys_and_share_no_place() -> None:
    by_class, by_number = honest(), METRICS[4](sets(people(150, 2), target="height"))
    for metric in METRICS:
        assert metric.labels.keys() <= by_class.keys() | by_number.keys()
    places = [label.place for metric in METRICS for label in metric.labels.values()]
    assert len(places) == len(set(places))
    others = [kind for kind in vars(metrics).values() if isinstance(kind, type) and issubclass(kind, metrics.Metric)]
    assert not {label.place for kind in others for label in kind.labels.values()} & set(places)


@every_metric
def test_the_order_of_rows_and_the_random_state_do_not_matter(metric: TableMetric) -> None:
    fake, before = people(150, 2), torch.get_rng_state()
    expected = metric(sets(fake))
    assert torch.equal(torch.get_rng_state(), before)
    assert metric(sets(shuffled(fake, 1), real=shuffled(REAL, 2), held_out=shuffled(HELD_OUT, 3))) == expected


@every_metric
def test_metrics_are_frozen(metric: TableMetric) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        metric.anything = 1  # type: ignore[attr-defined]


def test_a_value_lies_in_its_interval_and_in_its_range() -> None:
    found = honest()
    known = [key for key in found if f"{key}_low" in found]
    assert {"marginal_ks", "marginal_tv", "correlation_error", "spread_ratio", "missing_error"} < set(known)
    assert {"tstr_auc", "trtr_auc", "detection_auc", "dcr_ratio", "dcr_share"} < set(known)
    for key in known:
        assert found[f"{key}_low"] <= found[key] <= found[f"{key}_high"]
        assert found[f"{key}_low"] >= 0
    for key in ("marginal_ks", "detection_auc", "tstr_auc", "dcr_share"):
        assert found[f"{key}_high"] <= 1


def test_an_interval_holds_the_value_of_other_rows_of_the_law() -> None:
    found = [Marginals()(sets(people(150, seed)))["marginal_ks"] for seed in range(2, 12)]
    assert honest()["marginal_ks_low"] < np.mean(found) < honest()["marginal_ks_high"]
    # The interval is about four standard deviations wide.
    width = honest()["marginal_ks_high"] - honest()["marginal_ks_low"]
    assert 2 < width / np.std(found) < 9


# --- known answers


def test_the_distance_of_numbers_is_scipys() -> None:
    fake = people(150, 2)
    found = Marginals()(sets(fake))
    for name in ("height", "weight", "children"):
        one, other = fake[name].dropna(), REAL[name].dropna()
        assert found[f"marginal/{name}"] == pytest.approx(stats.ks_2samp(one, other).statistic, abs=1e-12)
    days = [frame["born"].astype("int64") for frame in (fake, REAL)]
    assert found["marginal/born"] == pytest.approx(stats.ks_2samp(*days).statistic, abs=1e-12)
    numbers = [found[f"marginal/{name}"] for name in ("height", "weight", "children", "born")]
    assert found["marginal_ks"] == pytest.approx(np.mean(numbers))
    assert not {"marginal/id", "marginal/planet"} & found.keys()


def test_the_distance_of_categories_counts_gaps_as_a_level() -> None:
    real = pd.DataFrame({"c": ["a", "a", "b", None]})
    fake = pd.DataFrame({"c": ["a", "c", "c", "c", None, None, None, None]})
    found = Marginals()(RowSets(fake=fake, real=real, held_out=None, kinds={"c": ColumnKind.CATEGORY}, target=None))
    # a: 1/8 for 1/2; b: 0 for 1/4; c: 3/8 for 0; missing: 1/2 for 1/4.
    assert found["marginal/c"] == found["marginal_tv"] == pytest.approx((3 / 8 + 1 / 4 + 3 / 8 + 1 / 4) / 2)
    assert "marginal_ks" not in found


def association(one: pd.Series[Any], other: pd.Series[Any]) -> float:
    """Of two columns of people without gaps, by the book."""
    numeric = [name in ("height", "weight", "children", "born") for name in (one.name, other.name)]
    if all(numeric):
        return float(stats.spearmanr(one.astype("float64"), other.astype("float64")).statistic)
    if not any(numeric):
        counts = pd.crosstab(one, other).to_numpy()
        chi_square = stats.chi2_contingency(counts, correction=False).statistic
        return math.sqrt(chi_square / counts.sum() / (min(counts.shape) - 1))
    number, level = (one, other) if numeric[0] else (other, one)
    ranks = pd.Series(stats.rankdata(number), index=number.index)
    groups = ranks.groupby(level.astype(str))
    between = (groups.size() * (groups.mean() - ranks.mean()) ** 2).sum()
    return math.sqrt(between / ((ranks - ranks.mean()) ** 2).sum())


def test_associations_are_those_of_the_book() -> None:
    fake, real = people(150, 2).dropna(), REAL.dropna()
    fake, real = (frame.assign(born=frame["born"].astype("int64")) for frame in (fake, real))
    found = CorrelationError()(sets(fake, real=real))["correlation_error"]
    names = [name for name in KINDS if name not in ("id", "planet")]
    errors = [
        abs(association(fake[one], fake[other]) - association(real[one], real[other]))
        for one, other in itertools.combinations(names, 2)
    ]
    assert found == pytest.approx(np.mean(errors), rel=1e-9)


def test_cramers_v_by_hand() -> None:
    # Counts ((2, 0), (1, 1)): chi^2 / n = 4/6 + 0 + 1/6 + 1/2 - 1 = 1/3.
    real = pd.DataFrame({"a": list("xxyy"), "b": list("pppq")})
    fake = pd.DataFrame({"a": list("xxyy"), "b": list("ppqq")})  # V = 1
    kinds = dict.fromkeys("ab", ColumnKind.CATEGORY)
    found = CorrelationError()(RowSets(fake=fake, real=real, held_out=None, kinds=kinds, target=None))
    assert found["correlation_error"] == pytest.approx(1 - math.sqrt(1 / 3))


def test_correlations_leave_out_rows_with_a_gap() -> None:
    x = np.arange(40.0)
    real = pd.DataFrame({"a": x, "b": x})
    fake = pd.DataFrame({"a": np.where(x < 20, np.nan, x), "b": np.where(x < 20, -x, x)})
    kinds = dict.fromkeys("ab", ColumnKind.NUMBER)
    found = CorrelationError()(RowSets(fake=fake, real=real, held_out=None, kinds=kinds, target=None))
    assert found["correlation_error"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_area_under_the_curve_is_scikit_learns(classes: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, 200)
    scores = rng.dirichlet(np.ones(classes), 200).round(1) + 1e-3 * (truth[:, None] == np.arange(classes))
    scores /= scores.sum(1, keepdims=True)
    counts = rng.multinomial(200, np.full(200, 1 / 200), size=3)
    areas = mean_auc(scores, truth, np.concatenate([np.ones((1, 200)), counts]))
    for weights, area in zip([np.ones(200, dtype=int), *counts], areas, strict=True):
        y, s = truth.repeat(weights), scores.repeat(weights, axis=0)
        known = roc_auc_score(y, s[:, 1]) if classes == 2 else roc_auc_score(y, s, multi_class="ovr")
        assert area == pytest.approx(known, abs=1e-12)


def test_spreads_and_missing_rates_by_hand() -> None:
    real = pd.DataFrame({"a": [0.0, 2.0, 4.0, None], "b": [1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3], "c": [5.0] * 4})
    fake = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1e9, 1e9 + 2, 1e9 + 4, 1e9 + 6], "c": [1.0, 2, 3, 4]})
    rows = RowSets(fake=fake, real=real, held_out=None, kinds=dict.fromkeys("abc", ColumnKind.NUMBER), target=None)
    found = SpreadRatio()(rows)
    least = fake["a"].std() / 2.0
    assert found["spread_ratio_min"] == pytest.approx(least)
    assert found["spread_ratio_max"] == pytest.approx(2)
    assert found["spread_ratio"] == pytest.approx((2 + least) / 2)
    assert MissingRates()(rows)["missing_error"] == pytest.approx(1 / 4)


def test_a_number_is_predicted_as_a_number_and_a_code_as_a_class() -> None:
    by_number = TrainOnSynthetic(trees=20)(sets(people(150, 2), target="height"))
    assert by_number.keys() >= {"tstr_r2", "trtr_r2"}
    assert 0.7 < by_number["tstr_r2_low"] < by_number["tstr_r2"] < by_number["tstr_r2_high"] <= 1
    assert TrainOnSynthetic(trees=20)(sets(people(150, 2), target="children")).keys() >= {"tstr_auc", "trtr_auc"}
    towns = TrainOnSynthetic(trees=20)(sets(people(150, 2), target="town"))
    assert towns["tstr_auc"] == pytest.approx(towns["trtr_auc"], abs=0.1)


def test_scikit_learn_says_nothing_of_many_classes() -> None:
    """It warns of a target with more classes than half of the rows: once a forest, in lines that nobody can act on."""
    frame = pd.DataFrame({"x": np.linspace(0, 1, 60), "name": [f"n{k % 40}" for k in range(60)]})
    kinds = {"x": ColumnKind.NUMBER, "name": ColumnKind.CATEGORY}
    rows = RowSets(fake=frame, real=frame, held_out=frame, kinds=kinds, target="name")
    # A warning is an error here.
    assert TrainOnSynthetic()(rows)["trtr_auc"] > 0.5


def test_a_class_that_was_never_generated_has_no_score() -> None:
    fake = people(150, 2)
    some = TrainOnSynthetic(trees=20)(sets(fake[fake["town"] != "Ulm"], target="town"))
    assert some["tstr_auc"] < some["trtr_auc"]
    one = TrainOnSynthetic(trees=20)(sets(fake[fake["smokes"]]))
    assert one["tstr_auc"] == 0.5


# --- tables of a known fault


def test_rows_of_the_law_are_like_held_out_ones() -> None:
    many = sets(people(2000, 2), real=people(2000, 3), held_out=people(1000, 4))
    for metric in (Marginals(), CorrelationError(), SpreadRatio(), MissingRates()):
        found = metric(many)
        for key in (name.removesuffix("_real") for name in found if name.endswith("_real")):
            assert found[f"{key}_matched"] == pytest.approx(found[f"{key}_real"], abs=0.02), key
    found = honest()
    assert found["spread_ratio"] == pytest.approx(1, abs=0.15)
    for key in ("detection_auc", "detection_auc_matched", "detection_auc_real"):
        assert found[key] == pytest.approx(0.5, abs=0.1)
    assert found["tstr_auc"] == pytest.approx(found["trtr_auc"], abs=0.05)
    assert found["dcr_ratio"] == pytest.approx(1, abs=0.3)
    assert found["dcr_share"] < 0.08
    assert found["dcr_exact"] == 0
    copied = ClosestRecord()(many)
    assert copied["dcr_copied"] == pytest.approx(copied["dcr_copied_real"], abs=0.03)


def test_copies_are_found() -> None:
    found = all_numbers(sets(REAL))
    assert found["dcr_exact"] == found["dcr_share"] == found["dcr_copied"] == 1
    assert found["dcr_ratio"] == found["dcr_exact_real"] == 0
    assert found["marginal_ks"] == found["correlation_error"] == found["missing_error"] == 0
    # In single precision, as a generator writes them.
    close = REAL.assign(height=REAL["height"].astype("float32").astype("float64"))
    assert ClosestRecord()(sets(close))["dcr_exact"] == 1
    near = REAL.assign(height=REAL["height"] + 0.1)
    found = ClosestRecord()(sets(near))
    assert found["dcr_exact"] == 0
    assert found["dcr_share"] > 0.9
    assert found["dcr_copied"] > 0.9


def test_averages_are_no_copies() -> None:
    def blurred(n: int, seed: int, k: int) -> pd.DataFrame:
        values = np.random.default_rng(seed).normal(size=(k, n, 6)).mean(0)
        return pd.DataFrame(values, columns=list("abcdef"))

    kinds = dict.fromkeys("abcdef", ColumnKind.NUMBER)
    real = blurred(300, 0, 1)
    for k in (2, 5):
        found = ClosestRecord()(RowSets(fake=blurred(300, 1, k), real=real, held_out=None, kinds=kinds, target=None))
        assert found["dcr_ratio"] < 0.9
        assert found["dcr_copied"] <= found["dcr_copied_real"] + 0.05
    mixed = pd.concat([blurred(200, 1, 1), real.iloc[:100] + 0.05])
    found = ClosestRecord()(RowSets(fake=mixed, real=real, held_out=None, kinds=kinds, target=None))
    assert found["dcr_copied"] == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("values", [4, 30])
def test_rows_that_repeat_in_the_data_are_no_copies(values: int) -> None:
    # Held out by content, equal rows stay together: no held-out row equals a training row, as a fresh one may.
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame({name: rng.integers(0, values, n).astype(str) for name in "ab"}) for n in (900, 500)]
    out = split_by_content(frames[0].astype(int).to_numpy(), 0.1)
    kinds = dict.fromkeys("ab", ColumnKind.CATEGORY)
    rows = RowSets(fake=frames[1], real=frames[0][~out], held_out=frames[0][out], kinds=kinds, target=None)
    found = ClosestRecord()(rows)
    assert found["dcr_exact"] > 0.5
    assert found["dcr_exact"] < found["dcr_exact_real"] + 0.05
    assert found["dcr_share"] == pytest.approx(0.01, abs=0.003)
    assert found["dcr_copied"] < found["dcr_copied_real"] + 0.05
    copies = RowSets(fake=rows.real, real=rows.real, held_out=rows.held_out, kinds=kinds, target=None)
    assert ClosestRecord()(copies)["dcr_exact"] == 1


def test_chance_copies_of_a_table_of_few_values_are_no_copies() -> None:
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame({name: rng.integers(0, 4, n).astype(str) for name in "abc"}) for n in (900, 300, 200)]
    kinds = dict.fromkeys("abc", ColumnKind.CATEGORY)
    found = ClosestRecord()(RowSets(fake=frames[1], real=frames[0], held_out=frames[2], kinds=kinds, target=None))
    assert found["dcr_exact"] == found["dcr_exact_real"] == 1
    assert found["dcr_share"] == pytest.approx(0.01)
    assert "dcr_ratio" not in found


def test_columns_that_were_shuffled_keep_their_laws_and_nothing_else() -> None:
    fake = pd.DataFrame({name: shuffled(REAL[name], seed).to_numpy() for seed, name in enumerate(REAL)})
    found = all_numbers(sets(fake))
    for key in ("marginal_ks", "marginal_tv", "missing_error"):
        assert found[key] == pytest.approx(0, abs=1e-12)
    assert found["spread_ratio"] == pytest.approx(1)
    assert found["correlation_error"] > 3 * found["correlation_error_real"]
    assert found["detection_auc"] > 0.9
    assert found["tstr_auc"] < 0.7


def test_a_collapsed_set_has_no_spread() -> None:
    found = all_numbers(sets(pd.concat([people(1, 2)] * 150)))
    assert found["spread_ratio"] == found["spread_ratio_max"] == 0
    assert found["marginal_ks"] > 0.4
    assert found["detection_auc"] > 0.9


# --- what real tables have


@pytest.mark.parametrize(
    "make",
    [
        lambda frame: frame.iloc[:1],
        lambda frame: frame.assign(height=1.0, town="Bonn", smokes=True),
        lambda frame: frame.assign(weight=np.nan, town=None, born=pd.NaT),
    ],
    ids=["one row", "constant", "missing"],
)
@pytest.mark.parametrize("which", ["fake", "real", "held_out"])
def test_degenerate_sets_do_not_crash(make: Callable[[pd.DataFrame], pd.DataFrame], which: str) -> None:
    given = {"fake": people(30, 2), "real": REAL.iloc[:40], "held_out": HELD_OUT.iloc[:20]}
    given[which] = make(given[which])
    found = all_numbers(sets(**given))
    assert found
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("name", ["height", "town"])
def test_a_table_of_one_column_can_be_measured(name: str) -> None:
    found = all_numbers(sets(people(30, 2), kinds={name: KINDS[name]}, target=None))
    assert f"marginal/{name}" in found
    assert "correlation_error" not in found


def test_a_table_without_held_out_rows_has_no_baselines() -> None:
    found = all_numbers(sets(people(30, 2), held_out=None))
    baselines = {key for key in found if key.endswith(("_real", "_matched"))}
    assert baselines == {"dcr_exact_real", "dcr_copied_real"}
    assert {"marginal_ks", "correlation_error", "detection_auc", "dcr_ratio"} < found.keys()


def test_a_table_without_columns_to_measure_gives_nothing() -> None:
    assert all_numbers(sets(people(30, 2), kinds={"id": KINDS["id"]}, target=None)) == {}


def test_text_of_dates_numbers_and_levels_is_read_as_it_is_meant() -> None:
    texts = REAL.assign(
        born=REAL["born"].dt.strftime("%Y-%m-%d"),
        height=REAL["height"].map(repr),
        smokes=REAL["smokes"].map(str),
    )
    assert all(value == 0 for key, value in Marginals()(sets(texts)).items() if key.startswith("marginal/"))
    codes = [pd.DataFrame({"c": [1, 2, 3]}), pd.DataFrame({"c": [1.0, 2.0, 3.0]}), pd.DataFrame({"c": list("123")})]
    for fake, real in itertools.permutations(codes, 2):
        rows = RowSets(fake=fake, real=real, held_out=None, kinds={"c": ColumnKind.CATEGORY}, target=None)
        assert Marginals()(rows)["marginal_tv"] == 0


def test_columns_of_every_dtype_are_read() -> None:
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=k % 7) for k in range(40)]
    frame = pd.DataFrame(
        {
            "day": days,
            "zone": pd.date_range("2020-01-01", periods=40, tz="Europe/Berlin"),
            "whole": pd.array([k % 5 for k in range(40)], dtype="Int64"),
            "single": np.arange(40, dtype=np.float32),
            "flag": pd.array([k % 2 == 0 for k in range(40)], dtype="boolean"),
            "text": pd.array(["a", "b"] * 20, dtype="string"),
            "level": pd.Categorical(["x", "y"] * 20),
        }
    )
    kinds = dict.fromkeys(("day", "zone"), ColumnKind.DATE) | {"whole": ColumnKind.INTEGER, "single": ColumnKind.NUMBER}
    kinds |= {"flag": ColumnKind.BOOLEAN, "text": ColumnKind.CATEGORY, "level": ColumnKind.CATEGORY}
    gaps = frame.copy()
    for row, name in enumerate(frame.columns):
        gaps.loc[row, name] = None
    rows = RowSets(fake=gaps, real=frame, held_out=None, kinds=kinds, target=None)
    assert np.isnan(rows.fake_rows.numbers).sum(0).tolist() == [1, 1, 1, 1]
    assert not np.isnan(rows.real_rows.numbers).any()
    assert rows.levels == (("", "False", "True"), ("", "a", "b"), ("", "x", "y"))
    assert MissingRates()(rows)["missing_error"] == pytest.approx(1 / 40)
    assert all(value < 0.05 for key, value in Marginals()(rows).items() if key.startswith("marginal/"))


def test_many_levels_are_grouped() -> None:
    def frame(n: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        return pd.DataFrame({"a": rng.integers(0, 200, n).astype(str), "b": rng.normal(size=n)})

    kinds = {"a": ColumnKind.CATEGORY, "b": ColumnKind.NUMBER}
    rows = RowSets(fake=frame(90, 0), real=frame(100, 1), held_out=frame(50, 2), kinds=kinds, target="b")
    found = all_numbers(rows)
    assert found["detection_auc"] == pytest.approx(0.5, abs=0.2)
    assert found["correlation_error"] < 0.3


# --- what an evaluation does


def evaluation(rows: RowSets | None) -> EvaluationInput:
    points = Identity()(torch.zeros(2, 1))
    return EvaluationInput(
        points=FeatureSets(points, points, None), classified=None, mixture=None, parameters=None, rows=rows
    )


@every_metric
def test_an_evaluation_measures_tables_only(metric: TableMetric) -> None:
    rows = sets(people(20, 2), real=REAL.iloc[:60], held_out=HELD_OUT.iloc[:20])
    assert metric.evaluate(evaluation(None)) == {}
    assert metric.evaluate(evaluation(rows)).keys() == metric(rows).keys()


def test_without_scikit_learn_a_line_names_the_extra_and_the_rest_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "sklearn":
            raise ImportError(name)
        return real_import(name, *rest)

    rows = sets(people(60, 2))
    monkeypatch.setattr(builtins, "__import__", without)
    for metric in METRICS:
        if isinstance(metric, TrainOnSynthetic | Detection | Dependence):
            with pytest.raises(MissingDependency, match=r"otgen\[tables\]"):
                metric(rows)
            with pytest.warns(UserWarning, match=r"need scikit-learn.*pip install 'otgen\[tables\]'"):
                assert metric.evaluate(evaluation(rows)) == {}
        else:
            assert metric.evaluate(evaluation(rows))


def test_wrong_sets_are_refused() -> None:
    refused("no generated rows", sets, REAL.iloc[:0])
    refused("generated rows lack 1 of 8 columns: got no 'town'", sets, REAL.drop(columns="town"))
    refused("no column that can be predicted: got 'smoke'.*did you mean 'smokes'", sets, REAL, target="smoke")
    refused("no column that can be predicted: got 'planet'", sets, REAL, target="planet")
    refused("trees must be at least 1; got 0", TrainOnSynthetic, trees=0)
    refused("rounds must be at least 1; got 0", Detection, rounds=0)
