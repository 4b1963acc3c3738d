"""What is held out of a data set: by content, so that it stays held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cases.errors import input_error
from otgen.data import Arrays, Classes, Digits, FiniteSource, ImageFolder, Split, training_part
from otgen.data.holdout import LEAST_SPLIT, split_by_content
from otgen.data.source import Part


def _rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


def _saved(folder: Path, rows: np.ndarray, **options: object) -> Arrays:
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, rows)
    return Arrays(path=str(path), **options)  # type: ignore[arg-type]


def _held_out(source: FiniteSource, share: float = 0.1) -> set[bytes]:
    unseen = training_part(source, share).held_out()
    assert unseen is not None
    return {row.numpy().tobytes() for row in unseen.support()}


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_the_share_is_about_what_was_asked(share: float) -> None:
    count = split_by_content(_rows(4000), share).sum()
    assert abs(count - 4000 * share) < 4 * (4000 * share * (1 - share)) ** 0.5


def test_the_two_parts_are_the_whole(tmp_path: Path) -> None:
    rows = _rows(200)
    part = training_part(_saved(tmp_path, rows), 0.2)
    unseen = part.held_out()
    assert unseen is not None
    both = np.concatenate([part.support().numpy(), unseen.support().numpy()])
    assert (part.count, unseen.held_out()) == (len(part.support()), None)
    np.testing.assert_array_equal(both[np.lexsort(both.T)], rows[np.lexsort(rows.T)])


@pytest.mark.parametrize("standardise", [False, True])
def test_a_longer_file_and_another_order_keep_what_is_held_out(tmp_path: Path, standardise: bool) -> None:
    rows = _rows(300)
    more = np.concatenate([100 * _rows(200, seed=1), rows])[::-1]
    before = training_part(_saved(tmp_path, rows, standardise=standardise), 0.1)
    after = training_part(_saved(tmp_path, more, standardise=standardise), 0.1)
    assert isinstance(before, Part)
    assert isinstance(after, Part)
    assert before.rest is not None
    assert after.rest is not None
    kept_out = {row.tobytes() for row in more[after.rest.numpy()]}
    assert {row.tobytes() for row in rows[before.rest.numpy()]} <= kept_out


def test_equal_points_stay_together(tmp_path: Path) -> None:
    rows = np.repeat(_rows(50), 4, axis=0)
    part = training_part(_saved(tmp_path, rows), 0.3)
    seen = {row.numpy().tobytes() for row in part.support()}
    assert not seen & _held_out(_saved(tmp_path, rows), 0.3)


def test_nothing_is_held_out_of_few_points_nor_of_a_single_repeated_one(tmp_path: Path) -> None:
    few = _saved(tmp_path, _rows(LEAST_SPLIT - 1))
    same = _saved(tmp_path, np.ones((200, 2), dtype=np.float32))
    for source in (few, same):
        assert training_part(source, 0.1) is source
        assert source.held_out() is None


def test_a_test_split_is_kept_and_all_the_splits_are_whole() -> None:
    train, everything = Digits(), Digits(split=Split.ALL)
    assert training_part(train, 0.1) is train
    assert training_part(everything, 0.1) is everything


def test_images_are_split_by_their_bytes(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(3)
    for k in range(80):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    unit, symmetric = (
        training_part(ImageFolder(folder=str(tmp_path), size=8, pixel_range=span), 0.2)  # type: ignore[arg-type]
        for span in ("unit", "symmetric")
    )
    assert isinstance(unit, Part)
    assert isinstance(symmetric, Part)
    assert unit.index.tolist() == symmetric.index.tolist()
    assert (unit.shape, unit.value_range, symmetric.value_range) == ((3, 8, 8), (0.0, 1.0), (-1.0, 1.0))


def test_a_share_outside_of_its_range_is_refused(tmp_path: Path) -> None:
    for share in (-0.1, 1.0, float("nan")):
        input_error("holdout is the share", training_part, _saved(tmp_path, _rows(60)), share)


class _Numbers(FiniteSource):
    """0 to 119, each with the class of its parity."""

    def support(self) -> torch.Tensor:
        return torch.arange(120.0)[:, None]

    def classes(self) -> Classes:
        return Classes(names=("even", "odd"), index=torch.arange(120) % 2)


def test_classes_follow_their_points() -> None:
    part = training_part(_Numbers(), 0.3)
    unseen = part.held_out()
    assert unseen is not None
    for some in (part, unseen):
        classes = some.classes()
        assert classes is not None
        assert classes.index.tolist() == (some.support().flatten() % 2).int().tolist()


@pytest.mark.parametrize(("names", "index"), [(("a", "a"), [0]), (("a", "b"), [2]), (("a",), [-1])])
def test_labels_without_a_class_are_refused(names: tuple[str, ...], index: list[int]) -> None:
    input_error("class", Classes, names=names, index=torch.tensor(index))
