"""The verdict on made-up numbers: every level, every fault, every course, and advice that can be typed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from otgen.cli.main import COMMANDS, EXIT_ERROR, main
from otgen.data import Digits, Gaussians25
from otgen.methods import EOTGAN, Method, PixelSinkhorn, SemiDiscreteGAN
from otgen.nets import DcganGenerator, MlpGenerator
from otgen.ot import KL, Relative
from otgen.runs import Advice, Course, FaultKind, Level, Verdict, verdict
from otgen.runs.verdict_advice import advice, duration_text
from otgen.runs.verdict_distance import MEASURES, distance_of, short
from otgen.runs.verdict_faults import faults
from otgen.train import Duration, RunConfig, RunDir

POINTS = RunConfig(
    data=Gaussians25(),
    generator=MlpGenerator(widths=(8, 16)),
    method=PixelSinkhorn(batch=64, reg=KL(eps=0.5)),
    budget=Duration(150),
)
PHOTOS = replace(POINTS, generator=DcganGenerator(width=16))


@dataclass(frozen=True, kw_only=True)
class Plain(Method):
    """A method of somebody else's, without any option."""

    def init(self, *given: Any) -> Any:
        raise NotImplementedError

    def step(self, *given: Any) -> Any:
        raise NotImplementedError


def _curve(*distances: float, key: str = "frechet", real: float = 1.0, samples: int = 500) -> list[dict[str, Any]]:
    """The records of evaluations at even times."""
    parts = [(k + 1) / len(distances) for k in range(len(distances))]
    return [
        {"step": round(100 * t), "elapsed": 150 * t, "samples": samples, key: d, f"{key}_real": real}
        for t, d in zip(parts, distances, strict=True)
    ]


def _said(values: dict[str, float], history: Any = (), config: RunConfig = POINTS) -> Verdict:
    found = verdict(values, history, config, run=Path("runs/a"))
    assert all(line and "\n" not in line for line in found.lines())
    json.dumps(found.as_record(), allow_nan=False)
    return found


LEVELS: list[tuple[dict[str, float], Level]] = [
    # Photographs, as CifarFeatures see them: held-out ones, two generators, another class, an untrained one.
    ({"frechet": 0.57, "frechet_real": 0.57}, Level.NEAR),
    ({"frechet": 1.1, "frechet_real": 0.57}, Level.NEAR),
    ({"frechet": 2.7, "frechet_real": 0.57}, Level.CLOSE),
    ({"frechet": 6.0, "frechet_real": 0.57}, Level.SOME_WAY),
    ({"frechet": 10.3, "frechet_real": 0.57}, Level.FAR),
    ({"frechet": 57.0, "frechet_real": 0.57}, Level.FAR),
    ({"frechet": 3000.0, "frechet_real": 0.57}, Level.FAR),
    # Fifty held-out photographs are far from the training data by chance: bad samples are no better for that.
    ({"frechet": 30.0, "frechet_real": 20.0}, Level.SOME_WAY),
    ({"frechet": 40.0, "frechet_real": 20.0}, Level.FAR),
    ({"frechet": 19.0, "frechet_real": 20.0}, Level.NEAR),
    ({"frechet": 7.0}, Level.SOME_WAY),
    # Of equal numbers of samples, which compare.
    ({"frechet": 9.0, "frechet_real": 0.6, "frechet_matched": 1.0, "frechet_matched_real": 0.6}, Level.NEAR),
    ({"sliced_w1": 0.3, "sliced_w1_real": 0.1}, Level.CLOSE),
    ({"energy": 0.02, "energy_real": 0.001}, Level.SOME_WAY),
    ({"w1_matched": 0.105, "w1_real": 0.1, "modes_total": 8.0}, Level.NEAR),
    ({"w1_matched": 0.2, "w1_real": 0.1}, Level.SOME_WAY),
    ({"w1_matched": 0.4, "w1_real": 0.1}, Level.FAR),
    # What a person sees at once.
    ({"energy": 1.4, "energy_real": 0.05, "detail": 1.0}, Level.FAR),
    ({"sliced_w1": 0.3, "sliced_w1_real": 0.1, "detail": 1.0}, Level.SOME_WAY),
    ({"energy": 0.001, "energy_real": 0.001, "detail": 0.3}, Level.FAR),
    ({"energy": 0.001, "energy_real": 0.001, "detail": 0.7}, Level.SOME_WAY),
    ({"energy": 0.001, "energy_real": 0.001, "detail": 3.0}, Level.FAR),
    ({"energy": 0.001, "energy_real": 0.001, "modes_high_quality": 0.07, "modes_high_quality_real": 0.99}, Level.FAR),
    ({"energy": 0.001, "energy_real": 0.001, "modes_found": 24.0, "modes_total": 25.0}, Level.SOME_WAY),
    ({"energy": 0.001, "energy_real": 0.001, "modes_found": 5.0, "modes_total": 25.0}, Level.FAR),
    # Tables: the worse of the columns and of the classifier.
    ({"marginal_ks": 0.03, "marginal_ks_real": 0.03, "detection_auc": 0.55}, Level.NEAR),
    ({"marginal_ks": 0.03, "marginal_ks_real": 0.03, "detection_auc": 0.7}, Level.CLOSE),
    ({"marginal_ks": 0.03, "marginal_ks_real": 0.03, "detection_auc": 0.99}, Level.FAR),
    ({"marginal_ks": 0.4, "marginal_ks_real": 0.03, "detection_auc": 0.55}, Level.FAR),
    ({"marginal_tv": 0.05, "marginal_tv_real": 0.04}, Level.NEAR),
]


@pytest.mark.parametrize(("values", "level"), LEVELS, ids=str)
def test_the_level(values: dict[str, float], level: Level) -> None:
    found = _said(values)
    assert found.level is level
    assert found.lines()[0].startswith(f"Verdict: {level.value}. Samples are ")


def test_digits_are_recognised_from_farther_than_photographs() -> None:
    values = {"frechet": 7.85, "frechet_real": 0.42}
    assert _said(values, config=replace(POINTS, data=Digits())).level is Level.SOME_WAY
    assert _said(values).level is Level.FAR


def test_the_distance_is_told_in_units_of_real_to_real() -> None:
    line = _said({"frechet": 42.0, "frechet_real": 0.9}).lines()[0]
    told = "Samples are 47 times as far from the images as held-out ones are (Fréchet 42 / 0.9)."
    assert line == f"Verdict: far from real. {told}"
    table = _said({"marginal_ks": 0.16, "marginal_ks_real": 0.05, "detection_auc": 0.93}).lines()[0]
    assert "times as far from the rows as held-out ones are (mean KS of the columns 0.16 / 0.05)" in table
    assert "a classifier tells them from real ones with an AUC of 0.93 (by chance 0.5)" in table
    assert "no farther from the data than held-out ones are" in _said({"energy": 0.5, "energy_real": 1.0}).lines()[0]


def test_a_transport_distance_that_blur_wins_is_not_spoken_of() -> None:
    blurred = _said({"w1_matched": 10.2, "w1_real": 12.1})
    assert (blurred.level, blurred.distance) == (None, None)
    assert "not known how near to real" in blurred.lines()[0]
    assert blurred.fault is not None
    assert blurred.fault.kind is FaultKind.BLUR
    assert _said({"w1_matched": 10.2, "w1_real": 12.1, "frechet": 84.9, "frechet_real": 0.57}).level is Level.FAR


def test_a_transport_distance_of_photographs_says_nothing_near_real() -> None:
    # Grey blots, as found: in 3,072 dimensions everything is as far as real ones are.
    assert _said({"w1_matched": 12.92, "w1_real": 12.25}).level is None


def test_nothing_is_said_of_what_was_not_measured() -> None:
    nothing = _said({})
    assert (nothing.level, nothing.distance, nothing.faults) == (None, None, ())
    assert nothing.trend.course is Course.UNKNOWN
    assert "one evaluation" in _said({"frechet": 2.0}, _curve(2.0)).lines()[1]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.key)
def test_twice_the_distance_is_never_a_better_level(measure: Any) -> None:
    for real in (0.0, 1e-3, 0.3, 1.0, 40.0):
        values = [real * 1.2**k if real else 1.2**k - 1 for k in range(-1, 40)]
        found = [distance_of({measure.key: value, measure.real: real, "modes_total": 1.0}) for value in values]
        ranks = [distance.levels.worst.rank for distance in found if distance is not None]
        assert ranks == sorted(ranks)
        assert ranks[0] == Level.NEAR.rank
        assert ranks[-1] == Level.FAR.rank


GOOD = {"frechet": 0.6, "frechet_real": 0.6, "detail": 1.0, "spread": 1.0, "classes_share_min": 0.08}
GOOD |= {"precision": 0.7, "precision_real": 0.7, "recall": 0.7, "recall_real": 0.7, "coverage": 0.9}
GOOD |= {"coverage_real": 0.9, "pair_ssim": 0.2, "pair_ssim_real": 0.2, "copy_close": 0.01, "copy_exact": 0.0}
GOOD |= {"w1_matched": 1.0, "w1_real": 1.0}
ROWS = {"marginal_ks": 0.03, "marginal_ks_real": 0.03, "detection_auc": 0.55, "spread_ratio": 1.0, "dcr_copied": 0.0}
ROWS |= {"marginal/age": 0.03, "marginal/city": 0.02, "correlation_error": 0.04, "tstr_auc": 0.95, "trtr_auc": 0.96}
ROWS |= {"missing_error": 0.01, "dcr_share": 0.4, "dcr_copied_real": 0.0}
# Of the codes of rows, in which samples lie between the categories.
CODES = {"precision": 0.09, "precision_real": 1.0, "recall": 0.1, "recall_real": 1.0, "spread": 0.4, "copy_close": 0.3}
CODES |= {"w1_matched": 0.1, "w1_real": 0.4}
WORST = {
    f"class/{name}/{key}": value
    for name, of in (("a", 1.0), ("b", 5.0), ("c", 2.0))
    for key, value in (("frechet", 3 * of), ("frechet_real", 3.0))
}
FAULTS: list[tuple[dict[str, float], FaultKind, str]] = [
    (
        GOOD | {"copy_close": 0.3},
        FaultKind.COPIES,
        "lie nearer to a training sample than 99 % of held-out ones; 1 % do",
    ),
    (GOOD | {"copy_exact": 3.0}, FaultKind.COPIES, "3 are exact copies"),
    (GOOD | {"recall": 0.1}, FaultKind.COLLAPSE, "recall 0.1, of real ones 0.7"),
    (GOOD | {"coverage": 0.1}, FaultKind.COLLAPSE, "coverage 0.1, of real ones 0.9"),
    (GOOD | {"coverage": 0.3}, FaultKind.VARIETY, "coverage 0.3, of real ones 0.9"),
    (GOOD | {"recall": 0.3}, FaultKind.VARIETY, "recall 0.3, of real ones 0.7"),
    (GOOD | {"pair_ssim": 0.6}, FaultKind.COLLAPSE, "SSIM 0.6, of real ones 0.2"),
    (GOOD | {"spread": 0.2}, FaultKind.COLLAPSE, "spread 0.2 times as far as the data"),
    (GOOD | {"classes_share_min": 0.0}, FaultKind.CLASSES, "no sample is of the rarest one"),
    (
        GOOD | {"label_accuracy": 0.6, "label_accuracy_real": 0.99},
        FaultKind.LABELS,
        "60 % of the samples are recognised",
    ),
    (
        GOOD | WORST,
        FaultKind.LABELS,
        "Label 'b' is made worst: its Fréchet distance is 5 times that of its real samples",
    ),
    (GOOD | {"w1_matched": 0.8}, FaultKind.BLUR, "is below that between two sets of real samples"),
    (GOOD | {"spread": 0.85}, FaultKind.BLUR, "spread 0.85 times as far as the data"),
    (GOOD | {"detail": 0.5}, FaultKind.BLUR, "neighbouring pixels are 0.5 times those of real images"),
    # Digits after 200 steps, as found: strokes that are no digits yet, and reach few of the data for that reason.
    (
        GOOD | {"precision": 0.4, "recall": 0.0, "coverage": 0.03, "detail": 0.65, "spread": 0.74},
        FaultKind.BLUR,
        "0.65",
    ),
    (GOOD | {"detail": 2.0}, FaultKind.NOISE, "neighbouring pixels are 2 times those of real images"),
    (GOOD | {"spread": 1.5}, FaultKind.NOISE, "spread 1.5 times as far as the data"),
    (GOOD | {"precision": 0.1, "recall": 0.1}, FaultKind.BETWEEN, "precision 0.1, of real ones 0.7"),
    ({"modes_found": 23.0, "modes_total": 25.0}, FaultKind.MODES, "no sample lies near 2 of 25"),
    ({"modes_spread": 0.2}, FaultKind.POINTS, "lie on points"),
    ({"modes_spread": 1.5}, FaultKind.BLUR, "blur the modes"),
    ({"modes_high_quality": 0.1, "modes_high_quality_real": 0.9, "modes_spread": 1.5}, FaultKind.BETWEEN, "10 % are"),
    (ROWS | {"marginal/city": 0.31, "marginal/age": 0.2}, FaultKind.COLUMN, "'city' is off most: 0.31"),
    (ROWS | {"spread_ratio": 0.8}, FaultKind.BLUR, "spread 0.8 times"),
    (ROWS | {"dcr_copied": 0.3}, FaultKind.COPIES, "30 % of the rows copy one training row; 0 % do by chance"),
    (ROWS | {"correlation_error": 0.4}, FaultKind.TOGETHER, "correlations are off by 0.4"),
    (ROWS | {"missing_error": 0.2}, FaultKind.GAPS, "missing values are off by 0.2"),
    (ROWS | {"tstr_auc": 0.8}, FaultKind.USE, "an AUC of 0.800 on real rows"),
]


@pytest.mark.parametrize(("values", "kind", "says"), FAULTS, ids=[f"{kind}-{says[:20]}" for _, kind, says in FAULTS])
def test_what_is_wrong_most(values: dict[str, float], kind: FaultKind, says: str) -> None:
    found = _said(values)
    assert found.fault is not None
    assert found.fault.kind is kind
    (line,) = [line for line in found.lines() if line.startswith("Wrong most: ")]
    assert says in line


def test_every_fault_has_its_case() -> None:
    assert {kind for _, kind, _ in FAULTS} == set(FaultKind)


def test_a_forest_on_few_held_out_rows_is_no_fault() -> None:
    values = ROWS | {"tstr_auc": 0.6, "trtr_auc": 0.8}
    assert [fault.kind for fault in faults(values)] == [FaultKind.USE]
    assert not faults(values | {"tstr_auc_low": 0.3, "tstr_auc_high": 0.9})


@pytest.mark.parametrize(
    "values",
    [GOOD, ROWS, ROWS | CODES, ROWS | {"dcr_copied": 0.3, "dcr_copied_real": 0.3, "copy_close": 0.5}],
    ids=str,
)
def test_nothing_is_wrong_with_what_is_as_good_as_real(values: dict[str, float]) -> None:
    found = _said(values)
    assert found.faults == ()
    assert found.level is Level.NEAR
    assert not [line for line in found.lines() if line.startswith(("Wrong", "Also", "Nothing stands out"))]


def test_no_fault_is_told_twice() -> None:
    worst = GOOD | {"copy_exact": 1.0, "recall": 0.0, "coverage": 0.0, "spread": 0.1, "detail": 0.1, "w1_matched": 0.1}
    kinds = [fault.kind for fault in faults(worst)]
    assert len(kinds) == len(set(kinds))
    lines = _said(worst).lines()
    assert len(lines) == len(set(lines))
    # Images without any detail show no classes and no kinds: that they are blurred comes first.
    assert [fault.kind for fault in faults({"detail": 0.1, "classes_share_min": 0.0})][0] is FaultKind.BLUR
    assert [fault.kind for fault in faults({"detail": 0.7, "classes_share_min": 0.0})][0] is FaultKind.CLASSES


COURSES: list[tuple[tuple[float, ...], Course, str]] = [
    ((), Course.UNKNOWN, "no evaluation"),
    ((5.0,), Course.UNKNOWN, "one evaluation"),
    ((9.0, 5.0), Course.FALLING, "too few evaluations to say what twice the budget promises"),
    ((20.0, 12.0, 9.0, 7.5), Course.FALLING, "Twice the budget promises Fréchet"),
    ((9.0, 2.0, 1.5, 0.9), Course.REACHED, "that distance cannot tell more"),
    ((9.0, 5.0, 5.0, 5.0), Course.FLAT, "more of the same promises none"),
    ((9.0, 2.0, 4.0, 5.0), Course.RISING, "2.5 times the least one"),
]


@pytest.mark.parametrize(("distances", "course", "says"), COURSES, ids=str)
def test_the_course_of_a_run(distances: tuple[float, ...], course: Course, says: str) -> None:
    values = {"frechet": distances[-1], "frechet_real": 1.0} if distances else {}
    found = _said(values, _curve(*distances))
    assert found.trend.course is course
    assert says in found.lines()[1]


# What a new run has in its configuration by the option that advice changes.
CHANGED = {
    "--method.batch": r"\n    batch: 128\n",
    "--method.reg.eps": r"eps: (0\.25|0\.025\*mean)\n",
    "--method.generator_optimizer.lr": r"\n +lr: (0\.0005|0\.0001|5\.0?e-05)\n",
    "--generator.widths": r"widths:\n    - (4|16)\n    - (8|32)\n",
    "--generator.width": r"width: (8|32)\n",
    "--budget": r"budget: (75|300)\.0s\n",
    "--steps": r"steps: (4|14)\n",
    "--seed": r"seed: 1\n",
}
ADVISED = [
    POINTS,
    replace(POINTS, method=PixelSinkhorn(reg=KL(eps=Relative(0.05))), budget=None, steps=7),
    replace(PHOTOS, method=EOTGAN(), generator=DcganGenerator(width=16)),
    replace(POINTS, method=SemiDiscreteGAN(), generator=MlpGenerator(widths=())),
    replace(POINTS, method=Plain(), generator=MlpGenerator(widths=())),
    replace(POINTS, init_from="runs/other"),
]


def _advice() -> Iterator[tuple[RunConfig, Advice]]:
    """All that the code can say, on runs of several kinds."""
    for config in ADVISED:
        said = set[Advice]()
        flags = [False, True], [False, True]
        for level, course, fault, settled, few in product([*Level, None], Course, [*FaultKind, None], *flags):
            run = Path("runs/my run")
            said.add(advice(config, run, level=level, course=course, fault=fault, settled=settled, few=few))
        yield from ((config, one) for one in sorted(said, key=lambda one: one.command))


def test_all_advice_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the code can advise is read by the parser of its own command, and changes what it says it does."""
    monkeypatch.chdir(tmp_path)
    run, tried = RunDir(Path("runs/my run")), set[tuple[str, ...]]()
    run.path.mkdir(parents=True)
    for config, said in _advice():
        program, name, *words = shlex.split(said.command)
        assert (program, name in COMMANDS) == ("otgen", True)
        assert said.reason
        if name == "sample":
            # Its words are understood: what is missing is a run.
            assert main([name, *words]) == EXIT_ERROR
            continue
        ((option, value),) = [(o, v) for o, v in pairwise(words) if o in CHANGED]
        # Networks of other sizes cannot start from the other run's weights.
        started = config.init_from is not None and option.startswith("--generator.")
        assert ("--init_from" in words) == started
        # Each option in each form of its value is parsed once, which takes a fifth of a second.
        form = (words[0], option, re.sub(r"\d+", "0", value), str(started))
        if form in tried:
            continue
        tried.add(form)
        run.write_config(config if config.method != Plain() else POINTS)
        assert main([name, *words, "--print_config"]) == 0, said.command
        printed = capsys.readouterr().out
        assert re.search(CHANGED[option], printed), said.command
        assert not started or "init_from: null\n" in printed
    assert {option for _, option, *_ in tried} == set(CHANGED)


def test_a_run_that_still_improves_is_to_be_continued() -> None:
    values, history = {"frechet": 7.5, "frechet_real": 1.0}, _curve(20.0, 12.0, 9.0, 7.5)
    going = verdict(values, history, POINTS, run=Path("runs/a"))
    assert going.advice.command == "otgen train --resume --out runs/a --budget 5m"
    settled = verdict(values, history, POINTS, run=Path("runs/a"), settled=True)
    assert "--resume" not in settled.advice.command
    ready = verdict({"frechet": 1.0, "frechet_real": 1.0}, _curve(9.0, 1.0, 1.0, 1.0), POINTS, run=Path("runs/a"))
    assert ready.advice.command == "otgen sample runs/a --out a-samples.npz"
    copying = verdict(values | {"copy_close": 0.5}, history, POINTS, run=Path("runs/a"))
    assert "--budget 75s" in copying.advice.command


@pytest.mark.parametrize(
    ("seconds", "text"), [(90, "90s"), (300, "5m"), (7200, "2h"), (0.1, "0.1s"), (2e-5, "0.001s"), (61.5, "61.5s")]
)
def test_a_length_is_written_as_an_option(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
    assert Duration.parse(text) == pytest.approx(max(seconds, 0.001))


@pytest.mark.parametrize(
    ("number", "text"), [(46.4, "46"), (149.0, "150"), (5263.0, "5,300"), (0.8712, "0.87"), (99.6, "100")]
)
def test_a_number_is_short(number: float, text: str) -> None:
    assert short(number) == text
