"""Relations between two sides, and the verdict that they add up to."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from otgen.papers.claim import Status
from otgen.papers.relations import AtMost, Equal, Part, Relation, Slope, Standing, at_most, equal, power_law, straight
from otgen.papers.theorem import judge


def _t(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _at_most(left: float, part: Part = Part.PRINTED, tight: float = 0.0) -> AtMost:
    return AtMost(label="left and right", left=_t(left), right=_t(1.0), part=part, tight=tight)


def test_at_most_holds_up_to_rounding_and_its_worst_instance_counts() -> None:
    relation = AtMost(label="", left=_t(0.5, 1.0 + 1e-10, -3.0), right=_t(1.0, 1.0, 1.0))
    assert (relation.standing, relation.instances) == (Standing.HOLDS, 3)
    assert relation.worst == pytest.approx(1.0)
    assert AtMost(label="", left=_t(0.5, 1.01), right=_t(1.0, 1.0)).standing is Standing.BROKEN


def test_a_bound_of_zero_is_met_by_nothing_positive() -> None:
    assert AtMost(label="", left=_t(0.0, -1.0), right=_t(0.0, 0.0)).standing is Standing.HOLDS
    assert AtMost(label="", left=_t(1e-30), right=_t(0.0)).standing is Standing.BROKEN


def test_a_bound_must_come_as_near_as_recorded() -> None:
    assert _at_most(0.5, tight=0.4).standing is Standing.HOLDS
    assert _at_most(0.3, tight=0.4).standing is Standing.LOOSE


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_never_holds(bad: float) -> None:
    assert _at_most(bad).standing is Standing.BROKEN
    assert Equal(label="", left=_t(bad), right=_t(1.0), tol=1.0).standing is Standing.BROKEN
    assert Slope(label="", x=_t(0, 1, 2), y=_t(0, bad, 2)).standing is Standing.BROKEN


def test_both_sides_need_a_number_an_instance_and_bounds_are_not_negative() -> None:
    refused("one number an instance", AtMost, label="", left=_t(1.0), right=_t(1.0, 2.0))
    refused("one number an instance", Equal, label="", left=_t(), right=_t(), tol=1.0)
    refused(r"must be tensors.* got float and \(1,\)", AtMost, label="", left=1.0, right=_t(1.0))
    refused("negative", AtMost, label="", left=_t(-2.0), right=_t(-1.0))
    refused("3 different places", Slope, label="", x=_t(1.0, 2.0, 2.0), y=_t(1.0, 2.0, 3.0))


def test_equal_is_relative_to_the_right_side_or_to_a_scale() -> None:
    assert Equal(label="", left=_t(101.0, 0.0), right=_t(100.0, 0.0), tol=0.011).standing is Standing.HOLDS
    assert Equal(label="", left=_t(0.1), right=_t(0.0), tol=0.011).standing is Standing.BROKEN
    assert Equal(label="", left=_t(0.1), right=_t(0.0), tol=0.011, scale=_t(10.0)).standing is Standing.HOLDS


def test_a_slope_is_judged_with_its_confidence_interval() -> None:
    x = torch.linspace(0, 4, 9, dtype=torch.float64)
    noise = 0.1 * torch.randn(9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slope = Slope(label="", x=x, y=-x + noise, low=-1.1, high=-0.9)
    value, half = slope.fit
    assert value == pytest.approx(-1, abs=0.1)
    assert 0.01 < half < 0.1
    assert slope.standing is Standing.HOLDS
    assert Slope(label="", x=x, y=-x + noise, low=value - half / 2).standing is Standing.BROKEN


_GOOD, _BAD, _LOOSE = 0.5, 2.0, 0.1


@pytest.mark.parametrize(
    ("relations", "status"),
    [
        ([_at_most(_GOOD)], Status.TRUE),
        ([_at_most(_BAD)], Status.REFUTED),
        ([_at_most(_GOOD), _at_most(_BAD, Part.OUTSIDE)], Status.CONDITIONAL),
        ([_at_most(_GOOD), _at_most(_GOOD, Part.OUTSIDE)], Status.TRUE),
        ([_at_most(_BAD), _at_most(_GOOD, Part.CORRECTED)], Status.FALSE),
        ([_at_most(_GOOD), _at_most(_GOOD, Part.CORRECTED)], Status.TRUE),
        ([_at_most(_BAD), _at_most(_BAD, Part.CORRECTED)], Status.REFUTED),
        ([_at_most(_LOOSE, tight=0.3)], Status.LOOSE),
        ([_at_most(_BAD), _at_most(_LOOSE, Part.CORRECTED, tight=0.3)], Status.LOOSE),
        ([_at_most(_GOOD, Part.CORRECTED)], Status.REFUTED),
    ],
)
def test_relations_add_up_to_a_verdict(relations: list[Relation], status: Status) -> None:
    assert judge(relations) is status


def test_nothing_is_no_verdict() -> None:
    refused("at least one relation", judge, [])


def test_a_relation_says_what_was_allowed() -> None:
    assert _at_most(0.5).detail == "ratio 0.5 (allowed: 1)"
    assert Equal(label="", left=_t(1.1), right=_t(1.0), tol=0.2).detail == "error 1.0e-01 (allowed: 2e-01)"
    x = _t(1.0, 2.0, 3.0)
    for low, high, said in ((0.5, 1.5, "0.5 to 1.5"), (0.5, math.inf, "at least 0.5"), (-math.inf, 1.5, "at most 1.5")):
        assert Slope(label="", x=x, y=x, low=low, high=high).detail.endswith(f"(wanted: {said})")


def test_a_side_may_be_a_number_for_every_instance_or_a_list() -> None:
    bound = at_most("", [_t(0.5, 0.25), 0.75, torch.tensor(1.0)], 1.0, tight=0.9)
    assert (bound.left.tolist(), bound.right.tolist()) == ([0.5, 0.25, 0.75, 1.0], [1.0] * 4)
    assert bound.left.dtype == bound.right.dtype == torch.float64
    assert at_most("", 0.5, _t(0.5, 2.0)).left.tolist() == [0.5, 0.5]
    assert equal("", _t(2.0, 4.0), 3.0, tol=0.3, scale=4.0).errors.tolist() == [0.25, 0.25]
    assert equal("", _t(2.0, 4.0), 4.0, tol=0.3).errors.tolist() == [0.5, 0.0]
    refused("one number an instance", at_most, "", _t(1.0, 2.0), [1.0])


def test_a_line_and_a_power_law_have_their_slope() -> None:
    x = _t(1.0, 2.0, 4.0, 8.0)
    line, law = straight("", x, 3 * x + 1, 3.0, within=0.5), power_law("", x, [2.0, 8.0, 32.0, 128.0], 2.0, within=0.1)
    assert (line.low, line.high) == (2.5, 3.5)
    assert (line.worst, law.worst) == pytest.approx((3.0, 2.0))
    assert line.standing is law.standing is Standing.HOLDS
    assert power_law("", x, x**2, 1.0, within=0.5).standing is Standing.BROKEN
