from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from otgen.data import Arrays, Digits, Gaussians8, training_part
from otgen.metrics import CifarFeatures, Features, FeatureSets
from otgen.train.protocol import Protocol, protocol_of


def sets(fake: int, real: int, held_out: int | None) -> FeatureSets:
    def of(n: int) -> Features:
        return Features(values=torch.zeros(n, 2), name="net-123")

    return FeatureSets(of(fake), of(real), None if held_out is None else of(held_out))


def test_it_says_what_was_compared(tmp_path: Path) -> None:
    found = protocol_of(Digits(), sets(2000, 4500, 500), None)
    assert found == Protocol(
        generated=2000,
        real=4500,
        held_out=500,
        matched=500,
        split="train and test",
        extractor="net-123",
        resizing="none",
    )
    none = protocol_of(Digits(split="test"), sets(20, 30, None), None)
    assert (none.split, none.matched, none.compared) == ("none held out", 20, 0)
    assert (found.compared, protocol_of(Digits(), sets(20, 30, 500), None).compared) == (500, 20)
    assert protocol_of(Gaussians8(), sets(20, 30, 20), None).split == "fresh samples of the law"
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(300, 2)))
    part = training_part(Arrays(path=str(tmp_path / "points.npy")), 0.1)
    assert protocol_of(part, sets(20, 270, 30), None).split == "held out by content"


def test_resizing_is_said() -> None:
    class Large(Gaussians8):
        @property
        def shape(self) -> tuple[int, ...]:
            return (3, 64, 64)

    found = protocol_of(Large(), sets(200, 300, None), CifarFeatures(resized=True))
    assert found.resizing == "to 32 x 32, bilinear with antialiasing"
    line = found.line()
    assert line.startswith(
        "200 samples against 300 real ones and 0 held out (fresh samples of the law), features net-123"
    )
    assert ", resized to 32 x 32, bilinear with antialiasing" in line


def test_an_evaluation_of_an_earlier_version_has_none() -> None:
    record = protocol_of(Digits(), sets(2000, 4500, 500), None).record()
    found = Protocol.of({"step": 3, "w1": 0.5} | record)
    assert found is not None
    assert found.record() == record
    assert "resized" not in found.line()
    assert Protocol.of({"step": 3, "w1": 0.5}) is None
    assert Protocol.of({key: value for key, value in record.items() if key != "protocol_split"}) is None
