"""What the theorems assume, read off a run's lines."""

from __future__ import annotations

from typing import Any

import pytest

from otgen.methods import SWGAN, WGAN, PixelSinkhorn, SelfTerms, SeqSGDA, SWGANSinkhorn
from otgen.methods.base import Method
from otgen.ot import KL, L1, PNorm, SqEuclidean
from otgen.runs import Assumption, assumptions


def _found(method: Method, records: list[dict[str, Any]]) -> dict[str, Assumption]:
    return {assumption.name: assumption for assumption in assumptions(method, records)}


def _lines(key: str, *values: float | None) -> list[dict[str, Any]]:
    return [{"step": step, key: value} for step, value in enumerate(values, 1)]


def test_a_smooth_cost_passes_and_one_with_kinks_fails() -> None:
    smooth, kinked = (_found(SWGAN(cost=cost), [])["smooth cost"] for cost in (SqEuclidean(), L1()))
    assert smooth.met is True
    assert kinked.met is False
    assert "L1" in kinked.quantity


def test_a_divergence_needs_a_positive_definite_kernel() -> None:
    name = "kernel of the cost, so that S >= 0"
    assert _found(PixelSinkhorn(reg=KL(eps=0.1)), [])[name].met is True
    assert _found(SeqSGDA(cost=PNorm(p=3.0)), [])[name].met is False
    assert _found(SWGANSinkhorn(), [])[name].met is True
    for terms, is_told in {SelfTerms.SAME: False, SelfTerms.INDEPENDENT: True}.items():
        found = _found(PixelSinkhorn(reg=KL(eps=0.1), self_terms=terms), [])[name]
        assert ("a minibatch's loss may be negative" in found.quantity) is is_told
    assert name not in _found(SWGAN(), [])


def test_accuracy_is_that_of_the_potentials_where_it_is_reported_else_of_the_loss() -> None:
    name = "accuracy of the inner problem"
    good, bad = _lines("rel_gap", 0.5, 0.01, 0.02), _lines("rel_gap", 0.5, 0.4, 0.02)
    assert _found(SWGAN(), good)[name].met is True
    assert _found(SWGAN(), bad)[name].met is False
    reported = [*good, {"step": 4, "dual_gap": 1.0, "value": 2.0, "rel_gap": 1e-6}]
    assert _found(SWGAN(), reported)[name].met is False
    assert "0.5 at the median" in _found(SWGAN(), reported)[name].quantity
    assert name not in _found(WGAN(), _lines("critic_loss", 1.0))


@pytest.mark.parametrize(("bound", "met"), [(0.9, True), (1.1, False)])
def test_the_gradient_error_is_compared_in_the_mean_of_squares(bound: float, met: bool) -> None:
    records = [{"gradient_error_bound": bound, "gradient_norm": 1.0}, {"gradient_error_bound": bound}]
    assert _found(SWGAN(), records)["gradient error delta below the gradient"].met is met


def test_a_critic_of_wgan_must_have_lipschitz_constant_1_at_the_end() -> None:
    name = "critic with Lipschitz constant 1"
    assert _found(WGAN(), _lines("critic_lipschitz", 3.0, 0.9))[name].met is True
    assert _found(WGAN(), _lines("critic_lipschitz", 0.9, 3.0))[name].met is False


@pytest.mark.parametrize(
    ("slopes", "met"),
    [((1.0, 3.0, 3.0, 3.1), True), ((1.0, 2.0, 4.0, 8.0), False), ((1.0,), None), ((1.0, None, 1.5), True)],
)
def test_a_constant_that_still_grows_is_not_bounded(slopes: tuple[float | None, ...], met: bool | None) -> None:
    for player in ("generator", "critic"):
        found = _found(SeqSGDA(), _lines(f"{player}_lipschitz", *slopes))
        assert found[f"bounded Lipschitz constant of the {player}"].met is met


def test_a_run_without_lines_says_only_what_the_method_says() -> None:
    assert {assumption.name for assumption in assumptions(WGAN(), [])} == set()
