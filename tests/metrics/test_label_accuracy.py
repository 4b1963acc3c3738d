from __future__ import annotations

import pytest
import torch

from cases.errors import input_error
from otgen.metrics import Features, LabelAccuracy


def features(classes: list[int], probabilities: bool = True) -> Features:
    index = torch.tensor(classes)
    certain = torch.nn.functional.one_hot(index, 3).float() if probabilities else None
    return Features(values=torch.zeros(len(index), 2), probabilities=certain, name="x")


def test_it_counts_what_is_recognised_as_asked() -> None:
    metric = LabelAccuracy(asked=torch.tensor([0, 1, 2, 2]), actual=torch.tensor([1, 1]))
    values = metric(features([0, 1, 1, 2]), features([1, 1]))
    assert values == {"label_accuracy": 0.75, "label_accuracy_real": 1.0}


@pytest.mark.parametrize("fake", [features([0, 1], probabilities=False), features([0, 1, 1])])
def test_it_needs_a_classifier_and_a_label_for_each_sample(fake: Features) -> None:
    metric = LabelAccuracy(asked=torch.tensor([0, 1]), actual=torch.tensor([0]))
    input_error("needs class probabilities and a label for each sample", metric, fake, features([0]))
