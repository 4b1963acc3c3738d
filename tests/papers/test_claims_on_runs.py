"""What a verdict on runs is, to the letter."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from cases.claims import finding
from otgen import papers
from otgen.papers import Bound, Compared, Measure, Outcome, PanelRuns, Results, Scale, Status, Verdict
from otgen.papers.claim import overall
from otgen.papers.figure_metrics import mean_and_range

SCORE = Measure(key="score", label="score", better=papers.Better.HIGHER)
ERROR = Measure(key="error", label="error", better=papers.Better.LOWER)
DIVERGED = None
Values = list[float | None]


def outcome(seed: int, value: float | None, steps: int = 100, **more: Any) -> Outcome:
    if value is DIVERGED:
        return Outcome(seed=seed, steps=3, seconds=1.0, critic_updates=0, values={}, diverged="it did")
    values = {"score": value, "error": -value}
    return Outcome(seed=seed, steps=steps, seconds=1.0, critic_updates=0, values=values, **more)


def results(scale: Scale = Scale.CPU, **panels: list[float | None]) -> Results:
    """Runs as long as the paper's."""
    runs = {name: tuple(outcome(k, v) for k, v in enumerate(values)) for name, values in panels.items()}
    made = {name: PanelRuns(title=name.upper(), runs=runs[name], paper_steps=100) for name in panels}
    return Results(figure="own.toy", scale=scale, panels=made)


def compared(measure: Measure, runs: Results) -> Verdict:
    claim = Compared(statement="a beats b", where="here", measure=measure, pairs=(("a", "b"),))
    (verdict,) = claim.verdicts(runs)
    return verdict


def reached(value: float, runs: Results, *by: str) -> tuple[Verdict, ...]:
    bounds = (Bound(measure=SCORE, value=value),)
    return papers.Reached(statement="they reach it", where="here", bounds=bounds, by=by or ("a",)).verdicts(runs)


def by_status(table: dict[Status, list[Any]]) -> list[Any]:
    """Each case of each status, with that status."""
    return [(*case, status) for status, cases in table.items() for case in cases]


both_ways = pytest.mark.parametrize("measure", [SCORE, ERROR], ids=["higher", "lower"])
BETTER = {
    Status.HOLDS: [([3, 4], [1, 2]), ([2], [1]), ([1, 2], [DIVERGED, DIVERGED]), ([1, 2], [0, DIVERGED])],
    # A tie between two seeds is no win.
    Status.UNDECIDED: [([3, 4], [1, 3]), ([3, 4], [1, 5]), ([1, 5], [2, 3, 4]), ([3, DIVERGED], [1, 2])],
    # Equal is not better.
    Status.FAILS: [([1, 2], [2, 3]), ([1, 2], [3, 4]), ([2, 2], [2, 2]), ([1], [1]), ([DIVERGED], [DIVERGED])],
}
ALIKE = {
    # A tie between two seeds is no win.
    Status.HOLDS: [([1, 3], [2, 4]), ([1, 3], [3, 4]), ([2, 2], [2, 2])],
    Status.FAILS: [([1, 2], [3, 4]), ([3, 4], [1, 2]), ([1, 2], [DIVERGED, DIVERGED])],
    Status.NOT_TESTED: [([1], [1]), ([1, 2], [1])],
}
# The bound itself is enough.
REACHED = {
    Status.HOLDS: [([5, 6],)],
    Status.UNDECIDED: [([5, 4.999],), ([9, DIVERGED],)],
    Status.FAILS: [([4, 3],), ([DIVERGED],)],
}


@both_ways
@pytest.mark.parametrize(("a", "b", "status"), by_status(BETTER), ids=str)
def test_better_means_every_seed_of_one_against_every_seed_of_the_other(
    measure: Measure, a: Values, b: Values, status: Status
) -> None:
    assert compared(measure, results(a=a, b=b)).status is status


@both_ways
@pytest.mark.parametrize(("a", "b", "status"), by_status(ALIKE), ids=str)
def test_alike_means_that_the_seeds_overlap(measure: Measure, a: Values, b: Values, status: Status) -> None:
    claim = papers.Alike(statement="a is like b", where="here", measure=measure, pairs=(("a", "b"),))
    (verdict,) = claim.verdicts(results(a=a, b=b))
    assert verdict.status is status
    assert "; " in verdict.text


def test_the_text_of_a_comparison_has_means_ranges_and_reason() -> None:
    text = compared(SCORE, results(a=[3.0, 4.5], b=[1.0, 2.0])).text
    assert text.startswith("score, higher is better. A: 3.75 (3 to 4.5); B: 1.5 (1 to 2); every seed of the first")
    assert "lower is better. A: -3.75 (-4.5 to -3)" in compared(ERROR, results(a=[3.0, 4.5], b=[1.0, 2.0])).text
    assert compared(SCORE, results(a=[3.0], b=[1.0])).text.endswith("one seed, so the spread is unknown")
    assert "B: 1, 1 of 2 seeds (1 diverged)" in compared(SCORE, results(a=[3.0], b=[1.0, None])).text


@pytest.mark.parametrize(("values", "status"), by_status(REACHED), ids=str)
def test_reaching_means_every_seed(values: list[float | None], status: Status) -> None:
    (verdict,) = reached(5, results(a=values))
    assert verdict.status is status
    met = {Status.HOLDS: len(values), Status.UNDECIDED: 1, Status.FAILS: 0}[status]
    assert f"all met by {met} of {len(values)} seeds" in verdict.text


def test_all_bounds_have_to_be_met_by_the_same_seed() -> None:
    bounds = (Bound(measure=SCORE, value=2.0), Bound(measure=ERROR, value=-3.0))  # score at least 2, and at least 3
    claim = papers.Reached(statement="both", where="here", bounds=bounds, by=("a",))
    (verdict,) = claim.verdicts(results(a=[2.5, 2.9]))
    assert verdict.status is Status.FAILS
    assert "score 2.7 (2.5 to 2.9), at least 2 asked; error -2.7 (-2.9 to -2.5), at most -3 asked" in verdict.text


GROUNDLESS = [(results(Scale.SMOKE, a=[2], b=[1]), "the scale smoke shows that it runs")]
GROUNDLESS += [(results(a=[2]), "b: not run"), (results(a=[2, math.nan], b=[1, 1]), "A: no score with seed 1")]


@pytest.mark.parametrize(("runs", "said"), GROUNDLESS, ids=["smoke", "missing", "nan"])
def test_there_is_no_verdict_without_ground(runs: Results, said: str) -> None:
    verdict = compared(SCORE, runs)
    assert verdict.status is Status.NOT_TESTED
    assert verdict.text.startswith(said)


# Over the last third: from step 67 of 100 on.
def run(seed: int, end: float, *way: tuple[int, float], **more: Any) -> Outcome:
    points = (papers.Point(step=step, seconds=step / 100, values={"score": value}) for step, value in way)
    return outcome(seed, end, history=tuple(points), **more)


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        ([run(0, 5, (50, 4.9), (67, 5.2)), run(1, 6, (67, 5.9))], ""),  # -0.2 and 0.1, of 1 between seeds
        ([run(0, 5, (67, 3)), run(1, 6, (67, 4))], "A: score has not settled (2 over the last third, 1 between seeds)"),
        ([run(0, 5, (68, 5)), run(1, 6, (67, 6))], "without evaluations that show them settled"),
        ([run(0, 5), run(1, 6)], "without evaluations that show them settled"),
        ([run(0, 5, (67, 5))], "A: one seed, shorter than the paper's run"),
        ([run(0, 5, steps=1000), run(1, 6, steps=1000)], ""),  # as long as the paper's
        ([run(0, 5, stopped=True), run(1, 6, stopped=True)], ""),
        ([run(0, 5, stopped=True)], ""),
        ([outcome(0, DIVERGED), outcome(1, DIVERGED)], ""),  # it is not going to change
    ],
)
def test_a_claim_on_quality_needs_runs_that_have_settled(runs: list[Outcome], why: str) -> None:
    panel = PanelRuns(title="A", runs=tuple(runs), paper_steps=1000)
    assert why in panel.unsettled(SCORE)
    assert bool(why) == bool(panel.unsettled(SCORE))
    (verdict,) = reached(4, Results(figure="own.toy", scale=Scale.CPU, panels={"a": panel}))
    assert (verdict.status is Status.NOT_TESTED) is bool(why)
    # What was seen stands beside it.
    assert "at least 4 asked; all met by" in verdict.text


@pytest.mark.parametrize(("seconds", "status"), [(1.0, Status.HOLDS), (0.1, Status.HOLDS), (2.0, Status.NOT_TESTED)])
def test_a_claim_on_speed_needs_equal_time(seconds: float, status: Status) -> None:
    slow = replace(outcome(0, 5.0), seconds=seconds)
    panels = {"a": PanelRuns(title="A", runs=(slow,)), "b": PanelRuns(title="B", runs=(outcome(0, 4.0),))}
    claim = Compared(statement="x", where="y", measure=SCORE, pairs=(("a", "b"),), ground=papers.Ground.SPEED)
    (verdict,) = claim.verdicts(Results(figure="own.toy", scale=Scale.CPU, panels=panels))
    assert verdict.status is status
    assert "A: 5; B: 4; the first is better" in verdict.text
    assert ("A took 2 s and B 1 s" in verdict.text) is (status is Status.NOT_TESTED)


def test_a_figure_without_runs_is_not_tested() -> None:
    claim = Compared(statement="x", where="y", measure=SCORE, pairs=(("a", "b"),), figure="own.nothing")
    assert finding(claim).evidence == ["not tested: no runs of own.nothing are filed"]


def test_what_no_run_can_tell_is_not_tested_by_any() -> None:
    claim = papers.NotMeasured(statement="x", where="y", reason="nobody knows", figure="own.toy")
    assert claim.verdicts(results(a=[1])) == claim.verdicts(None) == (Verdict(Status.NOT_TESTED, "nobody knows"),)
    assert finding(claim).evidence == ["not tested: nobody knows"]


def test_each_part_of_a_claim_has_its_verdict() -> None:
    runs = results(a=[5, 6], b=[5, 1], c=[1, 2])
    assert [v.status for v in reached(5, runs, "a", "b", "c")] == [Status.HOLDS, Status.UNDECIDED, Status.FAILS]
    claim = Compared(statement="x", where="y", measure=SCORE, pairs=(("a", "c"), ("c", "a"), ("a", "d")))
    assert [v.status for v in claim.verdicts(runs)] == [Status.HOLDS, Status.FAILS, Status.NOT_TESTED]


@pytest.mark.parametrize("parts", ["h", "hu", "hun", "hunf"])
def test_a_claim_is_meant_for_all_of_its_parts(parts: str) -> None:
    letters = {"h": Status.HOLDS, "u": Status.UNDECIDED, "n": Status.NOT_TESTED, "f": Status.FAILS}
    verdicts = [Verdict(letters[part], "") for part in parts]
    assert overall(verdicts) is overall(reversed(verdicts)) is letters[parts[-1]]


def test_mean_and_range() -> None:
    assert mean_and_range([], ".1f") == "none"
    assert mean_and_range([1.0], ".1f") == "1.0"
    assert mean_and_range([1.0, 4.0], ".1%", 3) == "250.0% (100.0% to 400.0%), 2 of 3 seeds"
