"""What a verdict on the course of runs is, to the letter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cases.checks import refused
from otgen import papers
from otgen.papers import Better, Bound, Measure, Outcome, PanelRuns, Point, Results, RunClaim, Scale, Status, Verdict

ERROR = Measure(key="error", label="error", better=Better.LOWER)
SCORE = Measure(key="score", label="score", better=Better.HIGHER)
PAIR = {"statement": "a beats b", "where": "here", "pairs": (("a", "b"),)}
FALLEN = papers.FallsApart(statement="a falls apart", where="here", measure=ERROR, by=("a",))


def run(*errors: float, seconds: float = 10.0, diverged: str | None = None) -> Outcome:
    """Evaluated at equal intervals, the last time at the end."""
    each = seconds / len(errors)
    values = [{"error": error, "score": -error} for error in errors]
    points = [Point(step=k, seconds=k * each, values=value) for k, value in enumerate(values, 1)]
    end = {} if diverged else values[-1]
    way = tuple(points if diverged else points[:-1])
    return Outcome(
        seed=0, steps=100, seconds=seconds, critic_updates=0, values=end, history=way, diverged=diverged, stopped=False
    )


def verdict(claim: RunClaim, *panels: Sequence[Outcome]) -> Verdict:
    made = {name: PanelRuns(title=name.upper(), runs=tuple(runs)) for name, runs in zip("ab", panels, strict=False)}
    (found,) = claim.verdicts(Results(figure="own.toy", scale=Scale.CPU, panels=made))
    return found


def sooner(measure: Measure) -> RunClaim:
    return papers.Sooner(measure=measure, **PAIR)


@pytest.mark.parametrize("measure", [ERROR, SCORE], ids=["lower", "higher"])
def test_sooner_is_judged_over_time_and_not_at_the_end(measure: Measure) -> None:
    early, late = run(3, 1, 1, 1, 1), run(3, 3, 3, 3, 0.5)
    assert verdict(sooner(measure), [early], [late]).status is Status.HOLDS
    assert verdict(sooner(measure), [late], [early]).status is Status.FAILS
    # Trapezia over 8 seconds from the first evaluation: 2 + 1 + 1 + 1, and 3 + 3 + 3 + 1.75, each of two seconds.
    text = verdict(sooner(ERROR), [early], [late]).text
    assert text.startswith("error, mean over the time of training, lower is better. A: 1.25; B: 2.69;")


def test_sooner_compares_runs_of_different_lengths_over_the_shorter() -> None:
    # The long run is better in the end, which the short one has no time for.
    short, long = run(2, 1, 1), run(3, 2, 2, 2, 2, 0, 0, 0, seconds=80 / 3)
    assert verdict(sooner(ERROR), [short], [long]).status is Status.HOLDS
    # What diverged has no mean; where all did, nobody is sooner.
    gone = run(1, 1, 1, diverged="it did")
    assert verdict(sooner(ERROR), [short], [gone]).status is Status.HOLDS
    assert verdict(sooner(ERROR), [gone], [gone]).status is Status.FAILS


def test_steadier_is_the_largest_worsening() -> None:
    smooth, rough, better = run(5, 4, 3.5, 3), run(5, 1, 3, 0.5), run(4, 3, 2, 1)
    claim = papers.Steadier(measure=ERROR, **PAIR)
    assert verdict(claim, [smooth], [rough]).status is Status.HOLDS
    assert verdict(claim, [rough], [smooth]).status is Status.FAILS
    assert "A: 0; B: 2" in verdict(claim, [better], [rough]).text
    of_score = papers.Steadier(measure=SCORE, **PAIR)
    assert "lower is better. A: 0; B: 2" in verdict(of_score, [better], [rough]).text
    assert verdict(claim, [rough], [run(1, 1, 1, diverged="it did")]).status is Status.HOLDS


@pytest.mark.parametrize(
    ("runs", "status"),
    [
        ([run(4, 1, 2), run(4, 1, 3)], Status.HOLDS),
        ([run(4, 1, 2), run(4, 1, 1.9)], Status.UNDECIDED),
        ([run(4, 3, 1), run(4, 1, 1.9)], Status.FAILS),
        ([run(4, 3, 1, diverged="it did"), run(4, 1, 2)], Status.HOLDS),
    ],
    ids=["all", "one", "none", "diverged"],
)
def test_what_falls_apart_ends_far_worse_than_it_has_been(runs: list[Outcome], status: Status) -> None:
    found = verdict(FALLEN, runs)
    assert found.status is status
    assert f"of {len(runs)} seeds" in found.text


COURSES = [sooner(ERROR), papers.Steadier(measure=ERROR, **PAIR), FALLEN]


@pytest.mark.parametrize("claim", COURSES, ids=lambda claim: type(claim).__name__)
def test_without_evaluations_on_the_way_nothing_is_said_of_it(claim: RunClaim) -> None:
    found = verdict(claim, [run(2, 1)], [run(2, 1)])
    assert found.status is Status.NOT_TESTED
    assert found.text.startswith("A: fewer than two evaluations on the way. Seen: ")
    assert claim.rule


def test_faster_steps_are_steps_over_seconds() -> None:
    claim = papers.FasterSteps(**PAIR)
    found = verdict(claim, [run(1, seconds=10)], [run(1, seconds=20)])
    assert found.status is Status.HOLDS
    assert "generator steps a second, higher is better. A: 10; B: 5" in found.text


RATIO = Measure(key="ratio", label="ratio", better=Better.NEAR_ONE, form=".2f")


@pytest.mark.parametrize(("one", "other"), [(0.9, 1.2), (1.9, 0.5), (0.6, 0.0), (2.0, math.inf), (0.1, math.nan)])
def test_a_ratio_is_the_better_the_nearer_it_is_to_1(one: float, other: float) -> None:
    assert RATIO.beats(one, other)
    assert not RATIO.beats(other, one)


def test_a_bound_on_a_ratio_has_two_sides() -> None:
    for value in (2.0, 0.5):
        bound = Bound(measure=RATIO, value=value)
        assert [bound.met(ratio) for ratio in (0.49, 0.5, 1.0, 2.0, 2.01)] == [False, True, True, True, False]
        assert bound.text() == "from 0.50 to 2.00"
    assert not RATIO.beats(0.5, 2.0)


@pytest.mark.parametrize(
    "changed", [{"by": ()}, {"measure": SCORE}, {"factor": 1.0}], ids=["nobody", "higher", "no factor"]
)
def test_a_claim_that_cannot_be_judged_is_refused(changed: dict[str, object]) -> None:
    refused("of which less is better, and a factor above 1", replace, FALLEN, **changed)
