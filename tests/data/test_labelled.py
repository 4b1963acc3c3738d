"""The laws of pairs: what is appended, at which length, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from cases.errors import input_error
from cases.labelled import Labelled
from otgen.data import Gaussians8, LabelCode, Normal
from otgen.data.labelled import LabelledData, LabelledLatent


def code_of(data: Labelled, weight: float = 1.0) -> LabelCode:
    code = LabelCode.of(data, weight)
    assert code is not None
    return code


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(3,), (2, 5, 4)])
def test_a_wrong_label_costs_the_mean_squared_distance_of_two_samples(size: tuple[int, ...]) -> None:
    data = Labelled(counts=(12, 8, 5), size=size)
    points = data.support().flatten(1)
    typical = float(torch.cdist(points, points).square().mean())
    for weight in (1.0, 2.0):
        pairs = LabelledData(source=data, code=code_of(data, weight)).support().flatten(1)
        far = torch.cdist(pairs, pairs).square() - torch.cdist(points, points).square()
        same = data.classes().index[:, None] == data.classes().index[None, :]
        torch.testing.assert_close(far[same], torch.zeros(int(same.sum())), atol=2e-4, rtol=0)
        torch.testing.assert_close(
            far[~same], torch.full((int((~same).sum()),), weight**2 * typical), rtol=1e-3, atol=0
        )


def test_coordinates_of_a_vector_and_planes_of_an_image() -> None:
    code = LabelCode(names=("a", "b", "c"), shares=(0.5, 0.25, 0.25), length=6.0)
    vectors = code.append(torch.ones(2, 2), code.one_hot(torch.tensor([2, 0])))
    assert vectors.tolist() == [[1, 1, 0, 0, 6], [1, 1, 6, 0, 0]]
    images = code.append(torch.ones(1, 1, 2, 2), code.one_hot(torch.tensor([1])))
    assert images.shape == (1, *code.shape((1, 2, 2)))
    assert images[0].flatten(1).tolist() == [[1] * 4, [0] * 4, [3] * 4, [0] * 4]


def test_what_is_drawn_is_what_is_there() -> None:
    data = Labelled(counts=(7, 5))
    law = LabelledData(source=data, code=code_of(data))
    assert (law.count, law.shape, law.value_range) == (12, (4,), None)
    assert torch.equal(law.take(torch.arange(12)), law.support())
    drawn = law.sample(12, rng())
    labels, points = drawn[:, 2:].argmax(1), drawn[:, :2]
    assert torch.equal(points.mean(1).round().long(), labels)
    assert torch.equal(points, data.sample(12, rng()))


def test_labels_are_drawn_by_the_datas_shares() -> None:
    data = Labelled(counts=(30, 10, 60))
    latent = LabelledLatent(latent=Normal(dim=3), code=code_of(data))
    codes = latent.sample(4000, rng())
    assert codes.shape == (4000, *latent.shape)
    torch.testing.assert_close(codes[:, 3:].sum(1), torch.ones(4000))
    torch.testing.assert_close(codes[:, 3:].mean(0), torch.tensor([0.3, 0.1, 0.6]), atol=0.03, rtol=0)
    assert torch.equal(codes[:, 3:].argmax(1), latent.labels_of(codes))


def test_one_label_alone_and_the_same_vectors_for_each() -> None:
    latent = LabelledLatent(latent=Normal(dim=3), code=code_of(Labelled()))
    one, other = (latent.only(k).sample(5, rng()) for k in (0, 1))
    assert torch.equal(one[:, :3], other[:, :3])
    assert torch.equal(one[:, :3], Normal(dim=3).sample(5, rng()))
    assert latent.only(0).labels_of(one).tolist() == [0] * 5
    assert latent.only(1).labels_of(other).tolist() == [1] * 5


def test_a_label_without_a_sample_is_left_out() -> None:
    data = Labelled(counts=(4, 0, 6))
    code = code_of(data)
    assert (code.names, code.shares) == (("a", "c"), (0.4, 0.6))
    assert LabelledData(source=data, code=code).index.tolist() == [0] * 4 + [1] * 6


def test_data_without_labels_have_no_code() -> None:
    assert LabelCode.of(Gaussians8(), 1.0) is None


def test_samples_that_coincide_get_a_code_of_some_length() -> None:
    data = Labelled(counts=(1, 1), span=(5.0, 5.0))
    assert code_of(data, 2.0).length == 2.0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Labelled(counts=(5,)), r"labels need at least two classes, got 1 \('a'\)"),
        (Labelled(counts=(0, 5)), r"labels need at least two classes, got 1 \('b'\)"),
        (Labelled(counts=(1,)), r"labels need at least two classes, got 1 \('a'\)"),
        (Labelled(counts=(1,) * 1001, names=tuple(map(str, range(1001)))), "more than 1,000 classes are not supp"),
        (
            Labelled(size=(3, 4)),
            r"images \(channels, height, width\), got samples of shape \(3, 4\)",
        ),
        (
            Labelled(counts=(1,) * 600, names=tuple(map(str, range(600))), size=(1, 30, 30)),
            r"600 classes are too many for samples of shape \(1, 30, 30\): their codes would add 540,000 numbers",
        ),
    ],
)
def test_what_cannot_condition_a_generator_is_refused(data: Labelled, said: str) -> None:
    input_error(said, LabelCode.of, data, 1.0)


def test_a_thousand_classes_of_points_are_no_trouble() -> None:
    data = Labelled(counts=(2,) * 1000, names=tuple(map(str, range(1000))))
    assert LabelledData(source=data, code=code_of(data)).sample(10, rng()).shape == (10, 1002)


def test_a_name_that_is_none_gets_the_names_and_a_suggestion() -> None:
    code = LabelCode(names=("cat", "dog"), shares=(0.5, 0.5), length=1.0)
    assert code.index_of("dog") == 1
    input_error("no label is called 'cta'; the 2 labels are: cat, dog; did you mean 'cat'", code.index_of, "cta")
    many = LabelCode(names=tuple(map(str, range(30))), shares=(1 / 30,) * 30, length=1.0)
    input_error("the 30 labels are: 0, 1, .*, 19, ...", many.index_of, "x")


def test_a_code_is_read_back_from_json() -> None:
    code = code_of(Labelled(counts=(3, 4)))
    assert LabelCode.read(json.loads(json.dumps(dataclasses.asdict(code)))) == code


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": ["a"], "shares": [1.0]}, "2 to 1,000 labels"),
        ({"names": "ab"}, "2 to 1,000 labels"),
        ({"names": ["a", 1]}, "different texts"),
        ({"names": ["a", "a"]}, "different texts"),
        ({"shares": [1.0]}, "a positive number for each"),
        ({"shares": [1.0, float("nan")]}, "a positive number for each"),
        ({"shares": [1.0, True]}, "a positive number for each"),
        ({"length": 0}, "length must be a positive number, got 0"),
        ({"length": float("inf")}, "length must be a positive number"),
        ({"more": 1}, "a table of names, shares and length"),
    ],
)
def test_a_code_that_is_none_is_refused(change: dict[str, object], said: str) -> None:
    table = {"names": ["a", "b"], "shares": [0.5, 0.5], "length": 1.0}
    with pytest.raises(ValueError, match=said):
        LabelCode.read(table | change)
