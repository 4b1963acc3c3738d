from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from otgen import metrics
from otgen.cli.report import metrics_lines
from otgen.data import Arrays, Cifar10, Digits, Gaussian2D, Gaussians25, Normal, Uniform
from otgen.metrics import EvaluationInput, Features, Label, Metric
from otgen.nets import LocationScaleMap
from otgen.seeding import named_stream
from otgen.train import RunConfig, evaluate, generate
from otgen.train.evaluation import Evaluation
from otgen.train.pictures import save_picture

LAW = Gaussian2D(mean=(2.0, -1.0), std=(0.5, 1.0))


class _Affine(nn.Module):
    """G(z) = a + b z, with batch statistics in the way."""

    def __init__(self, shift: tuple[float, float], scale: tuple[float, float]) -> None:
        super().__init__()
        self.shift, self.scale = nn.Parameter(torch.tensor(shift)), nn.Parameter(torch.tensor(scale))
        self.norm = nn.BatchNorm1d(len(shift), affine=False, eps=0.0)

    def forward(self, z: Tensor) -> Tensor:
        return self.shift + self.scale * self.norm(z)


def test_generate_uses_and_touches_no_batch_statistics() -> None:
    module = _Affine((1.0, 2.0), (3.0, 4.0)).train()
    samples = generate(module, Normal(dim=2), 7, named_stream(0, "x"))
    expected = torch.tensor([1.0, 2.0]) + torch.tensor([3.0, 4.0]) * Normal(dim=2).sample(7, named_stream(0, "x"))
    torch.testing.assert_close(samples, expected)
    assert module.training
    assert int(module.norm.num_batches_tracked) == 0
    assert not samples.requires_grad


def test_generate_does_not_depend_on_its_batches() -> None:
    module = nn.Linear(2, 2)
    codes = Normal(dim=2).sample(1203, named_stream(0, "x"))
    torch.testing.assert_close(generate(module, Normal(dim=2), 1203, named_stream(0, "x")), module(codes).detach())


def test_generate_gives_the_mode_back_after_an_error() -> None:
    class Fails(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise ZeroDivisionError

    module = Fails(2, 2)
    with pytest.raises(ZeroDivisionError):
        generate(module, Normal(dim=2), 3, named_stream(0, "x"))
    assert module.training


@pytest.fixture
def perfect() -> Evaluation:
    return evaluate(_Affine(LAW.mean, LAW.std), Normal(dim=2), LAW, 500, 0)


def test_a_perfect_generator_is_as_good_as_data(perfect: Evaluation) -> None:
    assert perfect.values["w1_matched"] < 1.5 * perfect.values["w1_real"]
    assert perfect.values["modes_found"] == 1
    assert perfect.values["modes_high_quality"] > 0.95
    assert perfect.values["w1_lower"] <= perfect.values["w1"] <= perfect.values["w1_upper"]
    assert perfect.neighbours is None


def test_a_poor_generator_is_not(perfect: Evaluation) -> None:
    poor = evaluate(_Affine((8.0, -1.0), LAW.std), Normal(dim=2), LAW, 500, 0)
    assert poor.values["w1"] == pytest.approx(6.0, abs=0.2)
    assert poor.values["modes_high_quality"] < 0.1


def test_an_evaluation_is_a_function_of_its_seed() -> None:
    law, module = Gaussians25(), _Affine((0.0, 0.0), (1.0, 1.0))
    torch.manual_seed(0)
    one = evaluate(module, Normal(dim=2), law, 60, 3)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    same, other = evaluate(module, Normal(dim=2), law, 60, 3), evaluate(module, Normal(dim=2), law, 60, 4)
    assert one.values == same.values
    assert torch.equal(one.samples, same.samples)
    assert one.values["w1"] != other.values["w1"]
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn from the global stream


def test_a_data_set_is_compared_whole_and_its_neighbours_shown(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.save(tmp_path / "points.npy", points)
    source = Arrays(path=str(tmp_path / "points.npy"))
    result = evaluate(nn.Linear(2, 3), Normal(dim=2), source, 40, 0)
    assert result.neighbours is not None
    nearest = ((result.samples[:32, None] - torch.from_numpy(points)[None]) ** 2).sum(-1).argmin(1)
    assert torch.equal(result.neighbours, torch.from_numpy(points)[nearest])
    assert "modes_found" not in result.values
    assert all(np.isfinite(v) for v in result.values.values())


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_tiny_data_set_is_evaluated_too(rows: int, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(rows, 2)))
    result = evaluate(nn.Linear(2, 2), Normal(dim=2), Arrays(path=str(tmp_path / "points.npy")), 10, 0)
    assert result.values["w1"] > 0


def test_samples_are_clamped_to_the_datas_range() -> None:
    result = evaluate(nn.Linear(2, 2), Normal(dim=2), Uniform(dim=2, low=-0.1, high=0.1), 50, 0)
    assert float(result.samples.abs().max()) == pytest.approx(0.1)


class _Copies(nn.Module):
    """Puts out points of a bank."""

    def __init__(self, bank: Tensor) -> None:
        super().__init__()
        self.bank = nn.Parameter(bank)

    def forward(self, z: Tensor) -> Tensor:
        return self.bank[: len(z)]


@pytest.mark.parametrize("padding", [0, 2])
def test_copies_of_digits_are_found_out(padding: int) -> None:
    """Padded digits are judged without their border."""
    data = Digits(padding=padding)

    result = evaluate(_Copies(data.support()[::45]), Normal(dim=2), data, 100, 0).values
    assert result["copy_exact"] == 100
    assert result["frechet"] < 5
    assert result["classifier_score"] > 8
    assert result["classes_share_min"] >= 0.05


def test_cifar_is_measured_in_its_own_features(tmp_path: Path) -> None:
    records = np.random.default_rng(0).integers(0, 256, (120, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    for i, name in enumerate([*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]):
        (tmp_path / name).write_bytes(records[20 * i : 20 * (i + 1)].tobytes())

    copies = _Copies(Cifar10(folder=str(tmp_path)).support())
    result = evaluate(copies, Normal(dim=2), Cifar10(folder=str(tmp_path)), 100, 0).values
    assert result["frechet"] == pytest.approx(0, abs=1e-6)
    assert result["frechet_real"] > 1e-3
    assert result["classifier_score"] == pytest.approx(result["classifier_score_real"])
    assert result["classes_share_max"] >= 0.1
    assert result["copy_exact"] == 100
    symmetric = Cifar10(folder=str(tmp_path), pixel_range="symmetric")
    same = evaluate(_Copies(symmetric.support()), Normal(dim=2), symmetric, 100, 0).values
    assert same["frechet_real"] == pytest.approx(result["frechet_real"], rel=1e-3)
    assert result["frechet_matched"] > 0  # of as many as are held out


def test_pictures_of_images_have_a_cell_an_image(tmp_path: Path) -> None:
    from PIL import Image

    images = torch.zeros(5, 1, 28, 28)
    images[3] = 1
    assert save_picture(images, tmp_path / "grid.png", value_range=(0.0, 1.0))
    with Image.open(tmp_path / "grid.png") as grid:
        pixels = np.asarray(grid)
    # Three columns and two rows of 84 pixels, gaps of 2; image 3 begins the second row.
    assert pixels.shape == (2 * 86 + 2, 3 * 86 + 2)
    assert (pixels[88 : 88 + 84, 2:86] == 255).all()
    assert (pixels[2:86, 2:86] == 0).all()
    assert (pixels[88 : 88 + 84, 2 + 2 * 86 : -2] == 64).all()  # no sixth image


@pytest.mark.parametrize(("shape", "drawn"), [((4, 3, 8, 8), True), ((4, 2, 8, 8), False), ((4, 3), False)])
def test_what_can_be_drawn(shape: tuple[int, ...], drawn: bool, tmp_path: Path) -> None:
    assert save_picture(torch.rand(shape), tmp_path / "x.png", value_range=None) == drawn
    assert [p.name for p in tmp_path.iterdir()] == (["x.png"] if drawn else [])


def test_images_without_contrast_are_drawn(tmp_path: Path) -> None:
    assert save_picture(torch.full((2, 1, 4, 4), 0.3), tmp_path / "x.png", value_range=None)


def test_the_run_configuration_of_an_evaluation_is_not_needed(tiny: RunConfig) -> None:
    # Every kind of law has something to say, and always the distance.
    for law in (tiny.data, Uniform(dim=2), Gaussians25()):
        assert "w1" in evaluate(_Affine((0.0, 0.0), (1.0, 1.0)), tiny.latent, law, 30, 0).values


@dataclass(frozen=True, kw_only=True)
class Spread(Metric):
    """A metric of this file alone."""

    labels = {"spread": Label("spread of the points")}

    @classmethod
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        return {} if given.mixture is None else cls()(given.points.fake, given.points.real)

    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        return {"spread": fake.values.std().item(), "spread_real": real.values.std().item()}


def _shown(values: dict[str, float]) -> list[str]:
    return [line.split("  ")[0] for line in metrics_lines(values)[1:]]


def test_a_metric_is_found_computed_and_shown_once_it_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _Affine((0.0, 0.0), (1.0, 1.0))
    before = evaluate(module, Normal(dim=2), Gaussians25(), 30, 0)
    monkeypatch.setattr(metrics, "Spread", Spread, raising=False)
    result = evaluate(module, Normal(dim=2), Gaussians25(), 30, 0)
    assert result.values["spread"] == pytest.approx(float(result.samples.std()))
    assert list(result.values) == [*before.values, "spread", "spread_real"]
    assert _shown(result.values) == [*_shown(before.values), "spread of the points"]
    assert "spread" not in evaluate(module, Normal(dim=2), Uniform(dim=2), 30, 0).values


def test_what_is_kept_and_what_is_shown_have_their_orders() -> None:
    """Of a fitted law, and of images with a classifier: between them they have every key."""
    fitted = LocationScaleMap(torch.tensor([2.5, -1.0]), torch.tensor([-0.5, 1.0]))
    points = evaluate(fitted, Normal(dim=2), LAW, 20, 0).values
    distance = [f"{order}{end}" for order in ("w1", "w2_squared") for end in ("", *_OF_DISTANCE)]
    modes = [
        "found",
        "total",
        "spread",
        "width",
        "high_quality",
        "share_min",
        "share_max",
        "kl",
        "high_quality_real",
        "kl_real",
    ]
    near = [f"{key}{real}" for real in ("", "_real") for key in ("precision", "recall", "density", "coverage")]
    sliced = ["sliced_w1", "sliced_w1_real"]
    assert _measured(points) == [*(f"modes_{key}" for key in modes), "parameter_error", *near, *sliced, *distance]
    assert points["parameter_error"] == 0.5
    assert _shown(points) == [
        "modes found",
        "largest error of a parameter",
        "share of samples within 3 std of a mode",
        "spread around a mode (the mixture's own: 1)",
        "Wasserstein-1 distance to real samples, exact",
        *_NEAR,
    ]
    digits = evaluate(nn.Sequential(nn.Linear(2, 784), nn.Unflatten(1, (1, 28, 28))), Normal(dim=2), Digits(), 20, 0)
    score = ["classifier_score", "classifier_score_mean", "classifier_score_std", "classifier_score_real"]
    classes = [*score, "classes_share_min", "classes_share_max", "frechet_real"]
    copies = [
        f"{prefix}_{key}"
        for prefix in ("copy", "copy_features")
        for key in ("median", "median_real", "ratio", "close", "exact")
    ]
    frechet = [f"frechet{end}" for end in ("", "_mean", "_covariance", "_matched", "_matched_real")]
    kid = ["kid", "kid_std", "kid_real", "kid_std_real"]
    alike = ["pair_ssim", "pair_ssim_real"]
    assert _measured(digits.values) == [*frechet, *classes, *kid, *near, *sliced, *alike, *copies, *distance]
    assert _shown(digits.values) == [
        "Fréchet distance of features (0 is best)",
        "classifier score (10 is best)",
        "smallest share of a class (even: 0.1)",
        "Wasserstein-1 distance to real samples, exact",
        "distance to training set / held-out ones' (1: same)",
        "share nearer than 99 % of held-out ones (chance: 0.01; of few, more)",
        "exact copies of training samples",
        *_NEAR,
        "similarity (SSIM) of pairs of samples",
    ]
    assert len(_shown(digits.values)) <= 14
    # What real data get stands in the same line.
    beside = {line.split("  ")[0]: line.split()[-2:] for line in metrics_lines(digits.values)}
    score = [f"{digits.values[key]:.4g}" for key in ("classifier_score", "classifier_score_real")]
    assert beside["classifier score (10 is best)"] == score
    assert beside["exact copies of training samples"][-1] == f"{digits.values['copy_exact']:.4g}"


def test_what_as_many_samples_get_stands_beside_what_real_ones_get() -> None:
    values = {"marginal_ks": 0.02, "marginal_ks_matched": 0.1612, "marginal_ks_real": 0.1675, "spread_ratio": 1.0}
    rows = [re.split(r"  +", line) for line in metrics_lines(values | {"spread_ratio_min": 0.9})]
    assert [row[1:] for row in rows] == [
        ["samples", "real data", "as many samples"],
        ["0.02", "0.1675", "0.1612"],
        ["1"],
        ["least", "0.9"],
    ]


def test_intervals_stand_behind_the_numbers_and_the_features_have_their_name() -> None:
    values = {"frechet": 12.125, "frechet_low": 10.4, "frechet_high": 14.0, "frechet_real": 7.5}
    (_, bare), (_, named) = (metrics_lines(values), metrics_lines(values, features="identity", intervals=True))
    assert bare.split("  ")[0] == "Fréchet distance of features (0 is best)"
    assert named.startswith("Fréchet distance of features identity (0 is best)  12.12 [10.4, 14]  7.5")


def test_of_a_table_what_its_codes_measure_is_not_shown() -> None:
    rows = {"dcr_exact": 0.0, "precision": 0.9, "precision_real": 1.0, "w1_matched": 1.0, "w1_real": 1.0}
    assert _shown(rows | {"spread_ratio": 1.0, "spread_ratio_min": 0.9}) == [
        "spread of the columns over the real one, median (1: same)",
        "share of rows that equal a training row",
    ]


_OF_DISTANCE = ("_lower", "_upper", "_points", "_matched", "_real")
_NEAR = [
    "precision: share of samples among real ones (1 is best)",
    "recall: share of real ones among samples (1 is best)",
]


def _measured(values: dict[str, float]) -> list[str]:
    """The keys without those of the ends of intervals, which are there in pairs."""
    ends = {f"{key}{end}" for key in values for end in ("_low", "_high") if {f"{key}_low", f"{key}_high"} <= {*values}}
    return [key for key in values if key not in ends]


def test_another_extractor_takes_the_place_of_the_usual_one() -> None:
    data = Digits(split="test")
    usual = evaluate(_Copies(data.support()), Normal(dim=2), data, 40, 0)
    pixels = evaluate(_Copies(data.support()), Normal(dim=2), data, 40, 0, extractor=metrics.Identity())
    assert (usual.protocol.extractor, pixels.protocol.extractor) == (metrics.DigitFeatures().name, "identity")
    assert pixels.values["w1"] == usual.values["w1"]
    assert pixels.values["frechet"] != usual.values["frechet"]
    assert "classifier_score" not in pixels.values
    # The test split has nothing held out of it.
    assert "precision" in usual.values
    assert not {"precision_real", "kid_real", "frechet_real", "frechet_matched", "copy_features_ratio"} & {
        *usual.values
    }
