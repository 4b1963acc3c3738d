"""The report of a demonstration, written from its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from studies.yours.synthesisers import SYNTHESISERS
from studies.yours.tables import Demonstration

Values = Mapping[str, float]
# From a method to its runs, from a seed to one.
Runs = Mapping[str, Mapping[str, Mapping[str, Any]]]


def _laws(values: Values) -> float:
    """The mean over all columns: KS of numbers, total variation of categories."""
    return fmean(value for key, value in values.items() if key.startswith("marginal/"))


def _laws_of_test_rows(values: Values, table: Demonstration) -> float:
    """The same of the test rows, from the two means."""
    columns = [key for key in values if key.startswith("marginal/")]
    categories = len(table.kinds)
    numbers = len(columns) - categories
    return (numbers * values["marginal_ks_real"] + categories * values["marginal_tv_real"]) / len(columns)


@dataclass(frozen=True)
class Measured:
    """A measure of the comparison.

    Attributes:
        title: in the table.
        of: its value of a run.
        real: that of real rows.
        higher: whether higher is better.
        chance: values beyond it are as good: they are chance.
    """

    title: str
    of: Callable[[Values], float]
    real: Callable[[Values, Demonstration], float]
    higher: bool = False
    chance: float | None = None

    def compared(self, values: Values) -> float:
        """The value to compare."""
        return self.of(values) if self.chance is None else max(self.of(values), self.chance)


MEASURES = (
    Measured("columns' laws: mean KS or TV", _laws, _laws_of_test_rows),
    Measured("correlation error", lambda v: v["correlation_error"], lambda v, _: v["correlation_error_real"]),
    Measured("train on synthetic, test on real: AUC", lambda v: v["tstr_auc"], lambda v, _: v["trtr_auc"], higher=True),
    Measured("real or synthetic: AUC", lambda v: v["detection_auc"], lambda v, _: v["detection_auc_real"], chance=0.5),
    Measured("closer than 99 % of real rows", lambda v: v["dcr_share"], lambda v, _: 0.01, chance=0.02),
)
# Shown without a comparison.
BESIDE = {
    "spread_ratio": "spread, median",
    "missing_error": "error of missing shares",
    "dcr_ratio": "closest-row ratio",
}


def report(table: Demonstration, runs: Runs) -> str:
    """Markdown: a row a method, the mean over the seeds and the least and the largest value."""
    methods = [name for name in SYNTHESISERS if name in runs]
    seeds = sorted({int(seed) for method in methods for seed in runs[method]})
    budgets = sorted({run["budget"] for method in methods for run in runs[method].values()})
    lines = [f"# {table.title}", ""]
    lines += [
        f"Seeds {', '.join(map(str, seeds))}, each with its own split ({100 * table.held_out:.0f} % test rows); "
        f"{' and '.join(f'{budget:g}' for budget in budgets)} seconds of one core. Mean (least to most).",
        "",
        "| | " + " | ".join(measure.title for measure in MEASURES) + " |",
        "| --- |" + " --- |" * len(MEASURES),
    ]
    for method in methods:
        of = [[measure.of(run["values"]) for run in runs[method].values()] for measure in MEASURES]
        lines.append(f"| {SYNTHESISERS[method].title} | " + " | ".join(map(_span, of)) + " |")
    first = [run["values"] for run in runs[methods[0]].values()]
    of = [[measure.real(values, table) for values in first] for measure in MEASURES]
    lines += ["| real test rows | " + " | ".join(map(_span, of)) + " |", ""]
    lines += _beside(methods, runs)
    for ours in ("otgen", "otgen-label"):
        if ours in runs and "copula" in runs:
            lines += ["", _verdict(ours, runs)]
    return "\n".join(lines) + "\n"


def _beside(methods: list[str], runs: Runs) -> list[str]:
    keys = [key for key in BESIDE if all(key in run["values"] for m in methods for run in runs[m].values())]
    lines = ["| | " + " | ".join(BESIDE[key] for key in keys) + " |", "| --- |" + " --- |" * len(keys)]
    for method in methods:
        spans = (_span([run["values"][key] for run in runs[method].values()]) for key in keys)
        lines.append(f"| {SYNTHESISERS[method].title} | " + " | ".join(spans) + " |")
    return lines


def _verdict(ours: str, runs: Runs) -> str:
    """On how many measures ours is better than the copula, or within an interval that overlaps with its."""
    won, even = [], []
    for measure in MEASURES:
        one, other = ([measure.compared(run["values"]) for run in runs[m].values()] for m in (ours, "copula"))
        if min(one) <= max(other) and min(other) <= max(one):
            even.append(measure.title)
        elif (fmean(one) > fmean(other)) == measure.higher:
            won.append(measure.title)
    held = len(won) + len(even) >= 3
    words = f"better on {len(won)} of 5 measures, within overlapping intervals on {len(even)}"
    return f"{SYNTHESISERS[ours].title} against the copula: {words}: {'PASS' if held else 'FAIL'} (at least 3 in all)."


def _span(values: list[float]) -> str:
    return f"{fmean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
