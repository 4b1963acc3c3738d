"""The verdict on few data, and on numbers that their intervals leave open."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from otgen.data import Arrays, Gaussians25, Normal, training_part
from otgen.methods import PixelSinkhorn
from otgen.nets import MlpGenerator
from otgen.runs import Course, FaultKind, Level, Levels, Verdict, copied, verdict
from otgen.runs.verdict_advice import advice
from otgen.runs.verdict_copies import copying_text
from otgen.runs.verdict_distance import distance_of
from otgen.runs.verdict_faults import faults, undecided
from otgen.train import Duration, RunConfig, evaluate
from otgen.train.protocol import Protocol
from otgen.train.ruler import Ruler

POINTS = RunConfig(data=Gaussians25(), generator=MlpGenerator(widths=(8, 16)), method=PixelSinkhorn(), steps=4000)
GOOD = {"energy": 0.001, "energy_real": 0.001, "copy_close": 0.02, "copy_exact": 0.0, "copy_ratio": 1.0}


def _protocol(held_out: int, generated: int = 2000) -> Protocol:
    return Protocol(
        generated=generated,
        real=10 * max(held_out, 3),
        held_out=held_out,
        matched=min(generated, held_out) or generated,
        split="held out by content",
        extractor="identity",
        resizing="none",
    )


def _said(values: dict[str, float], held_out: int, config: RunConfig = POINTS) -> Verdict:
    history = [{"step": k, "energy": 0.001, "energy_real": 0.001, "elapsed": float(k)} for k in (1, 2, 3, 4)]
    return verdict(values, history, config, run=Path("runs/a"), protocol=_protocol(held_out))


@pytest.mark.parametrize(
    ("held_out", "levels"),
    [
        (0, None),
        (3, None),
        (8, None),
        (10, Levels(Level.CLOSE, Level.CLOSE)),
        (99, Levels(Level.CLOSE, Level.CLOSE)),
        (100, Levels(Level.NEAR, Level.NEAR)),
    ],
)
def test_few_held_out_data_cap_the_level(held_out: int, levels: Levels | None) -> None:
    said = _said(GOOD, held_out)
    assert said.levels == levels
    text = "\n".join(said.lines())
    assert ("ready for use" in text) == (held_out >= 100)
    assert ("can be told; that takes" in text) == (held_out < 100)
    assert "left to gain" not in text


def test_few_generated_samples_cap_it_too() -> None:
    said = verdict(GOOD, (), POINTS, protocol=_protocol(500, generated=20))
    assert said.level is Level.CLOSE
    assert any(line.startswith("With 20 samples nothing better than 'close to real'") for line in said.lines())


def test_what_is_far_is_far_by_however_few() -> None:
    for held_out in (0, 8, 40, 500):
        assert _said(GOOD | {"energy": 1.0}, held_out).level is Level.FAR


class _Ring(nn.Module):
    """Normal codes to a ring of this thickness."""

    def __init__(self, thickness: float) -> None:
        super().__init__()
        self.thickness = nn.Parameter(torch.tensor(thickness))

    def forward(self, codes: Tensor) -> Tensor:
        angle, radius = torch.atan2(codes[:, 0], codes[:, 1]), 1 + self.thickness * codes[:, 2]
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


@pytest.mark.parametrize(("count", "thickness", "near"), [(300, 0.1, False), (1500, 0.1, False), (1500, 0.05, True)])
def test_a_ring_twice_as_thick_is_not_near_real(tmp_path: Path, count: int, thickness: float, near: bool) -> None:
    rng = np.random.default_rng(0)
    angle, radius = 2 * math.pi * rng.random(count), 1 + 0.05 * rng.standard_normal(count)
    np.save(tmp_path / "ring.npy", np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32))
    data, ring = training_part(Arrays(path=str(tmp_path / "ring.npy")), 0.1), _Ring(thickness)
    found = evaluate(ring, Normal(dim=3), data, 400, 0)
    small = Ruler(data, 400, 0).measure(found.samples)
    said = verdict(
        small | found.values,
        [small | {"step": k, "elapsed": k} for k in (1, 2)],
        POINTS,
        run=Path("r"),
        protocol=found.protocol,
    )
    assert said.levels is not None
    assert (said.levels.best is Level.NEAR) or not near
    assert (said.levels.worst is not Level.NEAR) or near
    text = " ".join(said.lines())
    assert near or "ready for use" not in text
    assert "left to gain" not in text


@pytest.mark.parametrize("side", ["", "_real"])
def test_a_level_is_told_with_what_its_interval_leaves_open(side: str) -> None:
    """Two runs of a minute on 400 photographs, of 17 and of 19 against 7.5: one word was `some way`, one `far`."""
    wide = {f"frechet_matched{side}_low": -1.5, f"frechet_matched{side}_high": 1.5}
    words = []
    for value in (17.9, 19.3):
        values = {"frechet": 17.0, "frechet_real": 7.5, "frechet_matched": value, "frechet_matched_real": 7.5}
        known = distance_of(values)
        ends = {key: values[f"frechet_matched{side}"] + aside for key, aside in wide.items()}
        found = distance_of(values | ends)
        assert known is not None
        assert found is not None
        assert found.levels.best.rank <= known.levels.best.rank == known.levels.worst.rank <= found.levels.worst.rank
        words.append(found.levels.text())
    assert words == ["some way from real or far from real"] * 2


def test_the_excess_is_told_where_it_is_what_counts() -> None:
    values = {"frechet": 17.0, "frechet_real": 7.5, "frechet_matched": 24.0, "frechet_matched_real": 7.5}
    found = distance_of(values, held_out=41)
    assert found is not None
    told = "(Fréchet 24 / 7.5, of 41 each); with so few held out, what counts is the excess, 16."
    assert found.text() == f"Samples are 3.2 times as far from the images as held-out ones are {told}"
    none = distance_of({"energy": 0.1, "energy_real": 0.2}, held_out=0)
    assert none is not None
    assert none.text().startswith("Samples are no farther from the data than other real ones are (")


def test_points_that_are_off_the_data_are_far_for_a_reason_that_is_told() -> None:
    values = GOOD | {"copy_ratio": 7.7, "copy_ratio_low": 6.0, "copy_ratio_high": 9.0}
    found = distance_of(values)
    assert found is not None
    assert found.levels == (Level.FAR, Level.FAR)
    assert found.text().endswith("; from the nearest training sample 7.7 times as far.")
    assert [fault.kind for fault in faults(values)] == [FaultKind.BETWEEN]
    # The pixels of images say nothing of the kind.
    assert faults(values | {"detail": 1.0}) == []


def test_an_auc_below_chance_is_explained() -> None:
    rows = {"marginal_ks": 0.03, "marginal_ks_real": 0.03, "detection_auc": 0.38}
    below = distance_of(rows, twins=True)
    assert below is not None
    assert "AUC of 0.38 (by chance 0.5; below it, samples are near twins of training rows)" in below.text()
    chance = distance_of(rows | {"detection_auc": 0.48})
    assert chance is not None
    assert "twins" not in chance.text()


LESS = {"recall": 0.03, "recall_matched": 0.2, "recall_real": 0.8, "precision": 0.9, "precision_matched": 0.9}
LESS |= {"precision_real": 0.9, "recall_matched_low": 0.1, "recall_matched_high": 0.3}


def test_a_low_recall_is_told_of_as_many_samples_as_are_held_out() -> None:
    (fault,) = faults(LESS | {"recall_real_low": 0.6, "recall_real_high": 1.0})
    assert (fault.kind, "recall 0.2, of real ones 0.8" in fault.text) == (FaultKind.VARIETY, True)
    # The intervals overlap.
    assert faults(LESS | {"recall_real_low": 0.25, "recall_real_high": 1.0}) == []
    line = _said(LESS | GOOD | {"recall_real_low": 0.25}, 20).lines()
    assert "Too few held-out data to tell: Variety: the samples are of a part of the kinds" in " ".join(line)
    bare = _said({"recall": 0.03} | GOOD, 5).lines()
    assert "Whether kinds of data are missing is not known: recall has no baseline of real samples." in bare


def test_a_forest_on_few_rows_is_undecided_and_told_so() -> None:
    values = {"tstr_auc": 0.43, "trtr_auc": 0.56, "tstr_auc_low": 0.2, "tstr_auc_high": 0.66}
    assert faults(values) == []
    (fault,) = undecided(values)
    assert fault.text.startswith("A model that learnt from samples has an AUC of 0.430 [0.20, 0.66] on real rows, ")
    assert [fault.kind for fault in faults(values | {"tstr_auc_high": 0.5})] == [FaultKind.USE]


@pytest.mark.parametrize(
    ("values", "held_out", "says"),
    [
        (
            {"dcr_copied": 0.23, "dcr_copied_real": 0.1},
            32,
            "Copying: 23 % of the rows copy one training row; 10 %",
        ),
        (
            {"dcr_copied": 0.19, "dcr_copied_low": 0.17, "dcr_copied_real": 0.1},
            32,
            "Little copying: 19 % of the rows copy one training row; 10 % do by chance, and more than 20 % counts as",
        ),
        ({"dcr_copied": 0.11, "dcr_copied_low": 0.09, "dcr_copied_real": 0.1}, 32, "No copying found: 11 % of"),
        (
            {"copy_close": 0.032, "copy_exact": 0.0},
            52,
            "No copying found: 3.2 % of the samples lie nearer to a",
        ),
        ({"copy_close": 0.3, "copy_exact": 0.0}, 500, "Copying: 30 % of the samples lie nearer"),
        ({"copy_close": 0.01, "copy_exact": 3.0}, None, "1 % do by chance; 3 are exact copies."),
        ({}, 500, None),
    ],
    ids=str,
)
def test_copies_are_told_with_the_share_of_chance(
    values: dict[str, float], held_out: int | None, says: str | None
) -> None:
    text = copying_text(values, held_out)
    assert (text is None) == (says is None)
    assert (says or "") in (text or "")
    said = " ".join(_said(values, held_out or 1000).lines())
    # Told once, by the fault or by the note.
    assert said.count(text or "Copying") == (0 if text is None else 1)
    assert not ("Copying: " in said and "No copying" in said)


@pytest.mark.parametrize(
    ("close", "held_out", "copies"),
    [(0.11, None, True), (0.11, 1000, True), (0.11, 20, False), (0.3, 3, False), (0.9, 3, True), (0.09, 1000, False)],
)
def test_the_nearest_of_few_held_out_samples_is_luck(close: float, held_out: int | None, copies: bool) -> None:
    assert copied({"copy_close": close, "copy_exact": 0.0}, held_out) is copies
    assert copied({"copy_close": 0.0, "copy_exact": 1.0}, held_out)
    assert copied({}, held_out) is None


@pytest.mark.parametrize(
    ("config", "run", "out"),
    [
        (POINTS, "runs/a", "--steps 2000 --out runs/a-steps"),
        (POINTS, "runs/a-steps", "--steps 2000 --out runs/a-steps2"),
        (POINTS, "runs/a-steps2", "--steps 2000 --out runs/a-steps3"),
        (replace(POINTS, steps=100), "runs/a", "--generator.widths '[4,8]' --out runs/a-widths"),
        (replace(POINTS, steps=None, budget=Duration(2.5)), "runs/a", "--generator.widths '[4,8]' --out runs/a-widths"),
        (replace(POINTS, steps=None, budget=Duration(60)), "runs/a", "--budget 30s --out runs/a-budget"),
    ],
    ids=str,
)
def test_advice_against_copies_has_an_end(config: RunConfig, run: str, out: str) -> None:
    said = advice(config, Path(run), level=Level.NEAR, course=Course.REACHED, fault=FaultKind.COPIES)
    assert said.command == f"otgen train --config {run}/config.yaml {out}"
