from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from otgen.metrics import ClassifierCard, cifar_classifier_card, digit_classifier_card

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_example_prints_what_the_page_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (said,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    found, expected = (dict(line.split() for line in text.strip().splitlines()) for text in (printed.getvalue(), said))
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert abs(float(found[key]) - float(value)) < 2e-3, key  # a machine that rounds otherwise may differ a bit


@pytest.mark.parametrize(
    ("card", "reference", "section"),
    [
        (digit_classifier_card(), "60,000 train", "### The digit classifier"),
        (cifar_classifier_card(), "50,000 train", "### The CIFAR classifier"),
    ],
)
def test_the_tables_are_those_of_the_cards(card: ClassifierCard, reference: str, section: str) -> None:
    page = PAGE.read_text(encoding="utf-8").split(section)[1].split("\n(")[0]
    small = {row["fake"]: row for row in card.baselines if row["real"] == "5,000 train"}
    for row in card.baselines:
        if row["real"] == reference:
            fake, frechet, score = row["fake"], row["frechet"], row["classifier_score"]
            assert f"| {fake} | {frechet:.2f} | {small[fake]['frechet']:.2f} | {score:.2f} |" in page
    assert f"{100 * card.test_accuracy:.2f} %" in page
    assert f"{card.parameters:,} parameters" in page
