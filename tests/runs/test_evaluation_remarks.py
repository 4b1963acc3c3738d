"""What is said of an evaluation's numbers."""

from __future__ import annotations

import pytest

from otgen.runs import copied, remarks


def test_a_good_evaluation_needs_no_remark() -> None:
    good = {"modes_found": 25.0, "modes_total": 25.0, "modes_spread": 0.97, "modes_share_min": 0.8}
    good |= {"modes_high_quality": 0.95, "modes_high_quality_real": 0.99, "classes_share_min": 0.08}
    good |= {"label_accuracy": 0.95, "label_accuracy_real": 0.99}
    good |= {"copy_close": 0.01, "copy_exact": 0.0, "w1_matched": 0.105, "w1_real": 0.1}
    assert remarks(good, [{"step": 3, "w1_matched": 0.1}]) == []
    assert remarks({}) == []


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"modes_spread": 0.2}, "lie on points: around a mode they spread 0.2 times"),
        ({"modes_spread": 1.5}, "blur the modes"),
        ({"modes_high_quality": 0.3, "modes_high_quality_real": 0.98}, "30 % are near one, and 98 % of real ones"),
        ({"modes_found": 23.0, "modes_total": 25.0}, "no sample lies near 2 of 25."),
        ({"modes_found": 25.0, "modes_total": 25.0, "modes_share_min": 0.1}, "nearly missing: it has 0.1 times"),
        ({"classes_share_min": 0.0}, "no sample is of the rarest one; even shares are 10 %"),
        ({"classes_share_min": 0.015}, "1.5 % of the samples are of the rarest one"),
        ({"copy_close": 0.11, "copy_exact": 0.0}, "nearer to training samples than real ones do."),
        ({"copy_close": 0.01, "copy_exact": 3.0}, "3 are exact copies"),
        ({"w1_matched": 0.08, "w1_real": 0.1}, "is below that between two sets of real samples, 0.1. That is no sign"),
        ({"w1_matched": 0.3, "w1_real": 0.1}, "0.3, is 3 times that"),
    ],
)
def test_each_fault_has_a_sentence_of_its_own(values: dict[str, float], says: str) -> None:
    (found,) = remarks(values)
    assert says in found
    assert found.endswith(".")


def test_a_missing_mode_is_not_also_nearly_missing() -> None:
    (found,) = remarks({"modes_found": 24.0, "modes_total": 25.0, "modes_share_min": 0.0})
    assert found == "Modes are missing: no sample lies near 1 of 25."


def test_a_run_that_became_worse_is_said_to_have() -> None:
    history = [{"step": step, "w1_matched": w1} for step, w1 in ((10, 0.5), (20, 0.1), (30, None))]
    values = {"w1_matched": 0.105, "w1_real": 0.1}
    assert remarks(values, history) == []
    worse = remarks(values | {"w1_matched": 0.2}, history)[-1]
    assert "was 0.1 at step 20, is now 0.2" in worse


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({}, None),
        ({"copy_close": 0.01, "copy_exact": 0.0}, False),
        ({"copy_close": 0.01, "copy_exact": 1.0}, True),
        ({"copy_close": 0.11, "copy_exact": 0.0}, True),
    ],
)
def test_copies_are_told_from_chance(values: dict[str, float], verdict: bool | None) -> None:
    assert copied(values) is verdict
