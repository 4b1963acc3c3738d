"""The verdict keeps apart what is wrong from what is chance: blur and copies, few data, columns of many levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otgen.data import Gaussians25, Table
from otgen.methods import PixelSinkhorn
from otgen.nets import DcganGenerator, MlpGenerator
from otgen.ot import KL
from otgen.runs import Course, FaultKind, Level, Verdict, verdict
from otgen.runs.verdict_advice import advice
from otgen.train import RunConfig
from otgen.train.protocol import Protocol

POINTS = RunConfig(
    data=Gaussians25(),
    generator=MlpGenerator(widths=(8, 16)),
    method=PixelSinkhorn(batch=32, reg=KL(eps=0.5)),
    steps=4000,
)
IMAGES = replace(POINTS, generator=DcganGenerator(width=16))


def _said(
    values: dict[str, float], history: Any = (), *, real: int = 358, held_out: int = 41, config: RunConfig = IMAGES
) -> Verdict:
    protocol = Protocol(
        generated=2000,
        real=real,
        held_out=held_out,
        matched=held_out or 2000,
        split="held out by content",
        extractor="identity",
        resizing="none",
    )
    return verdict(values, history, config, run=Path("runs/a"), protocol=protocol)


# Grey fog, as a run of ten seconds made it: near to every photograph, and no copy of any.
FOG = {"copy_close": 0.785, "copy_exact": 0.0, "copy_ratio": 0.53, "w1_matched": 4.98, "w1_real": 5.87}
FOG |= {"pair_ssim": 0.51, "pair_ssim_real": 0.05, "precision": 1.0, "precision_real": 0.49, "recall": 0.0}
FOG |= {"recall_real": 0.73, "coverage": 0.92, "coverage_real": 0.24}


@pytest.mark.parametrize("of_curve", [False, True])
def test_images_without_detail_are_blurred_and_no_copies(of_curve: bool) -> None:
    point = {"step": 50, "energy": 0.76, "energy_real": 0.24, "detail": 0.037, "spread": 0.65, "elapsed": 10.0}
    found = _said(FOG, [point]) if of_curve else _said(FOG | {"detail": 0.037})
    assert found.fault is not None
    assert found.fault.kind is FaultKind.BLUR
    assert "0.037 times those of real images" in found.fault.text
    assert FaultKind.COPIES not in [fault.kind for fault in found.faults]
    lines = "\n".join(found.lines())
    assert "Copying:" not in lines
    assert "Whether there are copies cannot be told: averages of images, without detail, lie near to all" in lines
    assert "copies less" not in found.advice.reason


def test_images_with_detail_that_lie_near_to_data_are_copies() -> None:
    found = _said(FOG | {"detail": 1.0})
    assert found.fault is not None
    assert found.fault.kind is FaultKind.COPIES
    exact = _said(FOG | {"detail": 0.037, "copy_exact": 2.0})
    assert [fault.kind for fault in exact.faults][:2] == [FaultKind.BLUR, FaultKind.COPIES]
    clear = _said(FOG | {"detail": 0.037, "copy_close": 0.01})
    assert any(line.startswith("No copying found") for line in clear.lines())


def test_smooth_images_below_real_to_real_are_blurred_first() -> None:
    found = _said(FOG | {"detail": 0.6, "copy_close": 0.0})
    assert found.fault is not None
    assert found.fault.kind is FaultKind.BLUR


# Two of five photographs stand for new ones.
FIVE = {"frechet": 87.4, "frechet_real": 96.5, "pair_ssim": 0.33, "pair_ssim_real": 0.05, "detail": 1.1}
FIVE_CURVE = [
    {"step": step, "elapsed": float(step), "samples": 500, "references": 3, "matched": 2, "frechet": value}
    | {"frechet_real": 96.5}
    for step, value in ((36, 180.0), (72, 127.0), (112, 100.0), (147, 84.3))
]


def test_hardly_any_real_data_are_no_measure() -> None:
    found = _said(FIVE, FIVE_CURVE, real=5, held_out=0)
    lines = "\n".join(found.lines())
    assert "With 2 other real ones nothing tells how far samples are from the images (Fréchet 87 / 96)" in lines
    assert "no farther" not in lines
    assert "as near as real" not in lines
    assert found.trend.course is Course.UNKNOWN
    assert "not known: they are as near as 2 real ones, too few to tell." in lines
    assert "--generator.width 8" in found.advice.command


@pytest.mark.parametrize(
    ("data", "option", "reason"),
    [
        (5, "--generator.width 8", "5 training data hardly show a law: more of them help most, else a smaller"),
        (40, "--method.batch 40", "a larger batch"),
        (32, "--generator.width 8", "32 training data"),
        (500, "--method.batch 64", "a larger batch"),
        (None, "--method.batch 64", "a larger batch"),
    ],
)
def test_a_batch_holds_no_more_than_there_are_data(data: int | None, option: str, reason: str) -> None:
    said = advice(IMAGES, Path("r"), level=Level.FAR, course=Course.FLAT, fault=FaultKind.COLLAPSE, data=data)
    assert option in said.command
    assert said.reason.startswith(reason)


def test_a_generator_is_not_made_smaller_for_ever() -> None:
    narrow = replace(IMAGES, generator=DcganGenerator(width=6))
    said = advice(narrow, Path("r"), level=Level.FAR, course=Course.FLAT, fault=FaultKind.COLLAPSE, data=5)
    assert "--generator.width" not in said.command


def test_what_is_made_is_named_after_the_run() -> None:
    for data, out in ((Gaussians25(), "cars-samples.npz"), (Table(path="cars.csv"), "cars-rows.csv")):
        config = replace(POINTS, data=data)
        said = advice(config, Path("runs/cars"), level=Level.NEAR, course=Course.REACHED, fault=None)
        assert said.command == f"otgen sample runs/cars --out {out}"


def test_an_auc_below_chance_is_not_called_copying_where_there_is_none() -> None:
    rows = {"marginal_ks": 0.03, "marginal_ks_real": 0.03, "detection_auc": 0.38, "dcr_copied_real": 0.09}
    fine, copies = (_said(rows | {"dcr_copied": share}).lines() for share in (0.1, 0.5))
    assert "below it, it is misled by rows of both sets that lie close by" in fine[0]
    assert "twins" not in "\n".join(fine)
    assert "below it, samples are near twins of training rows" in copies[0]


def test_rows_off_the_data_are_told_as_points_are() -> None:
    rows = {"marginal_ks": 0.03, "marginal_ks_real": 0.03, "detection_auc": 0.55}
    off = _said(rows | {"dcr_ratio": 1.55, "dcr_ratio_low": 1.47, "dcr_ratio_high": 1.64}, held_out=146)
    assert off.level is Level.CLOSE
    assert [fault.kind for fault in off.faults] == [FaultKind.BETWEEN]
    assert off.faults[0].text == (
        "Off the data: the samples lie 1.6 times as far from the nearest training sample as real ones do."
    )
    # The neighbours of the codes of rows say nothing of these.
    fine = {"dcr_ratio": 1.3, "dcr_ratio_low": 1.2, "dcr_ratio_high": 1.4, "copy_ratio": 3.0}
    assert _said(rows | fine, held_out=146).faults == ()


def test_a_column_of_many_levels_is_off_by_chance() -> None:
    rows = {"marginal_ks": 0.03, "marginal_ks_real": 0.03, "detection_auc": 0.55}
    names = {"marginal/name": 0.15, "marginal_chance/name": 0.45, "marginal/age": 0.06, "marginal_chance/age": 0.07}
    assert _said(rows | names).faults == ()
    (fault,) = _said(rows | names | {"marginal/age": 0.12}).faults
    assert fault.text == "The column 'age' is off most: 0.12 in KS or total variation (by chance up to 0.07)."
    (fault,) = _said(rows | names | {"marginal/name": 0.9, "marginal/age": 0.12}).faults
    assert fault.text.startswith("The column 'name' is off most: 0.9 in KS or total variation (by chance up to 0.45)")
    assert fault.text.endswith(", and 1 more column is off by more than 0.1 and by more than chance.")
