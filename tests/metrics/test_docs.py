from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from otgen.metrics import digit_classifier_card

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


def test_the_table_is_that_of_the_card() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for row in digit_classifier_card().baselines:
        if row["real"] == "60,000 train":
            assert f"| {row['fake']} | {row['frechet']:.2f} |" in page
    assert f"{100 * digit_classifier_card().test_accuracy:.2f} %" in page
