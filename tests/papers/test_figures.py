"""What a verdict is, to the letter; and that the figures of the package hang together."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from cases.figures import TOY, W1
from cases.images import write_cifar, write_mnist, write_photographs
from cases.kinds import kind
from otgen import recipes
from otgen.data import Cifar10, Digits, ImageFolder, Mnist
from otgen.errors import InputError
from otgen.recipes import (
    Alike,
    Better,
    Bound,
    Claim,
    ClaimStatus,
    Compared,
    Figure,
    Measure,
    Outcome,
    Panel,
    Reached,
    Results,
    Scale,
)
from otgen.recipes.verdicts import Verdict, mean_and_range, overall
from otgen.runs import Plan, reproduce
from otgen.train import RunConfig

ALL = recipes.all_figures()
SCORE = Measure(key="score", label="score", better=Better.HIGHER)
ERROR = Measure(key="error", label="error", better=Better.LOWER)
DIVERGED = None


def outcome(seed: int, value: float | None) -> Outcome:
    if value is DIVERGED:
        return Outcome(seed=seed, steps=3, seconds=1.0, critic_updates=0, values={}, diverged="it did")
    values = {"score": value, "error": -value}
    return Outcome(seed=seed, steps=100, seconds=1.0, critic_updates=0, values=values)


def results(scale: Scale = Scale.CPU, least_steps: int = 0, **panels: list[float | None]) -> Results:
    runs = {name: tuple(outcome(k, v) for k, v in enumerate(values)) for name, values in panels.items()}
    return Results(scale=scale, titles={name: name.upper() for name in "abcd"}, runs=runs, least_steps=least_steps)


def compared(measure: Measure, runs: Results) -> Verdict:
    claim = Compared(text="a beats b", source="here", measure=measure, pairs=(("a", "b"),))
    (verdict,) = claim.verdicts(runs)
    return verdict


def reached(value: float, runs: Results, *by: str) -> tuple[Verdict, ...]:
    bounds = (Bound(measure=SCORE, value=value),)
    return Reached(text="they reach it", source="here", bounds=bounds, by=by or ("a",)).verdicts(runs)


@pytest.mark.parametrize("measure", [SCORE, ERROR], ids=["higher", "lower"])
@pytest.mark.parametrize(
    ("a", "b", "status"),
    [
        ([3, 4], [1, 2], ClaimStatus.HOLDS),
        ([3, 4], [1, 3], ClaimStatus.UNDECIDED),  # a tie between two seeds is no win
        ([3, 4], [1, 5], ClaimStatus.UNDECIDED),
        ([1, 5], [2, 3, 4], ClaimStatus.UNDECIDED),
        ([1, 2], [2, 3], ClaimStatus.FAILS),
        ([1, 2], [3, 4], ClaimStatus.FAILS),
        ([2, 2], [2, 2], ClaimStatus.FAILS),  # equal is not better
        ([2], [1], ClaimStatus.HOLDS),
        ([1], [1], ClaimStatus.FAILS),
        ([1, 2], [DIVERGED, DIVERGED], ClaimStatus.HOLDS),
        ([1, 2], [0, DIVERGED], ClaimStatus.HOLDS),
        ([3, DIVERGED], [1, 2], ClaimStatus.UNDECIDED),
        ([DIVERGED], [DIVERGED], ClaimStatus.FAILS),
    ],
    ids=str,
)
def test_better_means_every_seed_of_one_against_every_seed_of_the_other(
    measure: Measure, a: list[float | None], b: list[float | None], status: ClaimStatus
) -> None:
    assert compared(measure, results(a=a, b=b)).status is status


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [
        ([1, 3], [2, 4], ClaimStatus.HOLDS),
        ([1, 3], [3, 4], ClaimStatus.HOLDS),  # a tie between two seeds is no win
        ([2, 2], [2, 2], ClaimStatus.HOLDS),
        ([1, 2], [3, 4], ClaimStatus.FAILS),
        ([3, 4], [1, 2], ClaimStatus.FAILS),
        ([1, 2], [DIVERGED, DIVERGED], ClaimStatus.FAILS),
        ([1], [1], ClaimStatus.NONE),
        ([1, 2], [1], ClaimStatus.NONE),
    ],
)
@pytest.mark.parametrize("measure", [SCORE, ERROR], ids=["higher", "lower"])
def test_alike_means_that_the_seeds_overlap(
    measure: Measure, a: list[float | None], b: list[float | None], status: ClaimStatus
) -> None:
    claim = Alike(text="a is like b", source="here", measure=measure, pairs=(("a", "b"),))
    (verdict,) = claim.verdicts(results(a=a, b=b))
    assert verdict.status is status
    assert "; " in verdict.text


def test_the_text_of_a_comparison_has_means_ranges_and_reason() -> None:
    text = compared(SCORE, results(a=[3.0, 4.5], b=[1.0, 2.0])).text
    assert text.startswith("score, higher is better. A: 3.75 (3 to 4.5); B: 1.5 (1 to 2); every seed of the first")
    assert "lower is better. A: -3.75 (-4.5 to -3)" in compared(ERROR, results(a=[3.0, 4.5], b=[1.0, 2.0])).text
    assert compared(SCORE, results(a=[3.0], b=[1.0])).text.endswith("one seed, so the spread is unknown")
    assert "B: 1, 1 of 2 seeds (1 diverged)" in compared(SCORE, results(a=[3.0], b=[1.0, None])).text


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([5, 6], ClaimStatus.HOLDS),  # the bound itself is enough
        ([5, 4.999], ClaimStatus.UNDECIDED),
        ([4, 3], ClaimStatus.FAILS),
        ([9, DIVERGED], ClaimStatus.UNDECIDED),
        ([DIVERGED], ClaimStatus.FAILS),
    ],
    ids=str,
)
def test_reaching_means_every_seed(values: list[float | None], status: ClaimStatus) -> None:
    (verdict,) = reached(5, results(a=values))
    assert verdict.status is status
    met = {ClaimStatus.HOLDS: len(values), ClaimStatus.UNDECIDED: 1, ClaimStatus.FAILS: 0}[status]
    assert f"all met by {met} of {len(values)} seeds" in verdict.text


def test_all_bounds_have_to_be_met_by_the_same_seed() -> None:
    bounds = (Bound(measure=SCORE, value=2.0), Bound(measure=ERROR, value=-3.0))  # score at least 2, and at least 3
    claim = Reached(text="both", source="here", bounds=bounds, by=("a",))
    (verdict,) = claim.verdicts(results(a=[2.5, 2.9]))
    assert verdict.status is ClaimStatus.FAILS
    assert "score 2.7 (2.5 to 2.9), at least 2 asked; error -2.7 (-2.9 to -2.5), at most -3 asked" in verdict.text


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (results(Scale.SMOKE, a=[2], b=[1]), "the scale smoke shows that it runs"),
        (results(a=[2]), "B: not run"),
        (results(least_steps=101, a=[2], b=[1]), "A: 100 steps with seed 0, fewer than 101"),
        (results(a=[2, math.nan], b=[1, 1]), "A: no score with seed 1"),
    ],
    ids=["smoke", "missing", "short", "nan"],
)
def test_there_is_no_verdict_without_ground(runs: Results, said: str) -> None:
    verdict = compared(SCORE, runs)
    assert verdict.status is ClaimStatus.NONE
    assert verdict.text.startswith(said)


def test_a_run_that_diverged_early_is_ground_all_the_same() -> None:
    assert compared(SCORE, results(least_steps=100, a=[2], b=[DIVERGED])).status is ClaimStatus.HOLDS


def test_each_part_of_a_claim_has_its_verdict() -> None:
    runs = results(a=[5, 6], b=[5, 1], c=[1, 2])
    assert [v.status for v in reached(5, runs, "a", "b", "c")] == [
        ClaimStatus.HOLDS,
        ClaimStatus.UNDECIDED,
        ClaimStatus.FAILS,
    ]
    claim = Compared(text="x", source="y", measure=SCORE, pairs=(("a", "c"), ("c", "a"), ("a", "d")))
    assert [v.status for v in claim.verdicts(runs)] == [ClaimStatus.HOLDS, ClaimStatus.FAILS, ClaimStatus.NONE]


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ("hh", ClaimStatus.HOLDS),
        ("hu", ClaimStatus.UNDECIDED),
        ("hun", ClaimStatus.NONE),
        ("hunf", ClaimStatus.FAILS),
    ],
)
def test_a_claim_is_meant_for_all_of_its_parts(parts: str, whole: ClaimStatus) -> None:
    letters = {"h": ClaimStatus.HOLDS, "u": ClaimStatus.UNDECIDED, "n": ClaimStatus.NONE, "f": ClaimStatus.FAILS}
    assert overall(Verdict(letters[p], "") for p in parts) is whole
    assert overall(Verdict(letters[p], "") for p in reversed(parts)) is whole


def test_mean_and_range() -> None:
    assert mean_and_range([], ".1f") == "none"
    assert mean_and_range([1.0], ".1f") == "1.0"
    assert mean_and_range([1.0, 4.0], ".1%", 3) == "250.0% (100.0% to 400.0%), 2 of 3 seeds"


def test_a_figure_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(InputError, match="has no panel 'nobody'; its panels are transport, adversarial"):
        replace(TOY, main="nobody")
    astray = Compared(text="x", source="y", measure=W1, pairs=(("transport", "ghost"),))
    with pytest.raises(InputError, match="has no panel 'ghost'"):
        replace(TOY, claims=(astray,))
    with pytest.raises(InputError, match="names of their own"):
        replace(TOY, panels=(TOY.panels[0], TOY.panels[0]))
    with pytest.raises(InputError, match="columns and seeds must be at least 1"):
        replace(TOY, columns=0)
    with pytest.raises(InputError, match="letters, digits, dots and hyphens, got 'a/b'"):
        Panel(name="a/b", title="t", build=TOY.panels[0].build)
    with pytest.raises(InputError, match="compares no panels"):
        Compared(text="x", source="y", measure=W1, pairs=())
    with pytest.raises(InputError, match="asks nothing of anyone"):
        Reached(text="x", source="y", bounds=(), by=("transport",))


def test_figures_are_found_and_guessed() -> None:
    assert [f.name for f in ALL] == sorted(f.name for f in ALL)
    assert recipes.find_figure("swgan.fig3") is recipes.SWGAN_FIG3
    with pytest.raises(InputError, match=r"there is no figure 'swgan.fig33'; did you mean 'swgan.fig3'\? the figures"):
        recipes.find_figure("swgan.fig33")


@pytest.mark.parametrize("figure", ALL, ids=lambda f: f.name)
def test_a_figure_is_a_recipe_by_its_main_panel(figure: Figure) -> None:
    assert recipes.find(figure.name).build is figure.panel(figure.main).build
    claims: tuple[Claim, ...] = figure.claims
    assert claims
    assert all(claim.text and claim.source for claim in claims)


@pytest.mark.parametrize("figure", ALL, ids=lambda f: f.name)
def test_scales_of_a_panel_differ_in_cost_and_not_in_kind(figure: Figure) -> None:
    for panel in figure.panels:
        configs = {scale: panel.build(scale) for scale in Scale}
        assert len({kind(c) for c in configs.values()}) == 1
        assert (configs[Scale.SMOKE].steps or 1000) <= 50
        assert {c.seed for c in configs.values()} == {0}


# Powers above 2, which a paper takes; batches of 200 and 300, of the few digits here.
@pytest.mark.filterwarnings("ignore::otgen.errors.NegativeDivergenceWarning", "ignore::otgen.errors.FewDataWarning")
@pytest.mark.parametrize("figure", ALL, ids=lambda f: f.name)
def test_a_figure_runs_at_smoke_scale_and_has_all_that_it_shows(figure: Figure, tmp_path: Path) -> None:
    cifar, mnist = write_cifar(tmp_path / "cifar"), write_mnist(tmp_path / "mnist", each=100)
    photographs = write_photographs(tmp_path / "photographs")

    def quick(config: RunConfig) -> RunConfig:
        if isinstance(config.data, Cifar10):
            config = replace(config, data=Cifar10(folder=str(cifar)))
        if isinstance(config.data, ImageFolder):
            config = replace(config, data=replace(config.data, folder=str(photographs)))
        if isinstance(config.data, Digits):  # 5,000 of them, which every evaluation classifies
            config = replace(config, data=Mnist(folder=str(mnist)))
        return replace(config, trainer=replace(config.trainer, eval_samples=100, threads=1), steps=2)

    done = reproduce(Plan(figure=figure, out=tmp_path / "out", scale=Scale.SMOKE, edit=quick))
    shown = {m for claim in figure.claims for m in claim.measures()} | set(figure.measures)
    for panel in figure.panels:
        (run,) = done.results.runs[panel.name]
        assert run.diverged is None
        assert {m.key for m in shown} <= run.values.keys()
    # Judged as if the runs had been long enough, and two: every claim finds what it rests on.
    twice = {name: (*runs, replace(runs[0], seed=1)) for name, runs in done.results.runs.items()}
    ground = replace(done.results, scale=Scale.CPU, least_steps=0, runs=twice)
    assert ClaimStatus.NONE not in {v.status for claim in figure.claims for v in claim.verdicts(ground)}
