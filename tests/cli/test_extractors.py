from __future__ import annotations

import json
from pathlib import Path

import pytest

from cases.runs import Call, contains
from otgen.cli.extractors import WORDS, extractor_of
from otgen.metrics import CifarFeatures, DigitFeatures, Identity, InceptionFeatures, TorchFileFeatures


def test_words_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.pt").touch()
    assert extractor_of("cifar") == CifarFeatures(resized=True)
    assert extractor_of("digits") == DigitFeatures()
    assert extractor_of("pixels") == Identity()
    assert extractor_of("inception:some.pth") == InceptionFeatures(weights="some.pth")
    assert extractor_of(str(tmp_path / "net.pt")) == TorchFileFeatures(path=str(tmp_path / "net.pt"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert extractor_of("~/net.pt") == TorchFileFeatures(path="~/net.pt")
    assert {type(extractor_of(word)) for word in WORDS} == {CifarFeatures, DigitFeatures, Identity}


def test_another_word_is_refused_with_the_nearest(trained: Path, refused: Call) -> None:
    line = refused("eval", trained, "--extractor", "pixel", code=2)
    contains(line, "must be cifar, digits, pixels, inception:WEIGHTS or a file, got 'pixel'; did you mean 'pixels'?")
    line = refused("eval", trained, "--extractor", "./net.pt", code=2)
    contains(line, "--extractor: there is no file ./net.pt; check the path")


def test_a_law_has_no_use_for_one(trained: Path, refused: Call) -> None:
    """Points of a law are their own features."""
    line = refused("eval", trained, "--extractor", "pixels", code=1)
    contains(line, "an extractor needs a data set", "evaluate without one")


def test_the_protocol_is_shown(trained: Path, otgen: Call) -> None:
    result = otgen("eval", trained)
    assert result.code == 0
    contains(result.out, "Protocol: ", " samples against ", "features identity", "[low, high]")
    stored = json.loads(next((trained / "eval").glob("step_*.json")).read_text())
    assert {"protocol_generated", "protocol_split", "precision_low"} <= stored.keys()
