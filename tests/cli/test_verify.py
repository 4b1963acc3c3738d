"""`otgen verify`: a line a claim, its exit code, its page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otgen import claims
from otgen.claims.sanjabi.duality import GradientAtAccuracy

Call = Callable[..., Any]


def test_named_claims_are_shown_whole(otgen: Call) -> None:
    result = otgen("verify", "s9", "S1", "--n", "60")
    assert (result.code, result.err) == (0, "")
    assert "1/2  S9    false as printed" in result.out
    assert "2/2  S1    true" in result.out
    assert "stands in:  Sanjabi et al. 2018, Lemma 2.1" in result.out
    assert "2 claims" in result.out
    assert "all verdicts as recorded" in result.out


def test_a_page_has_every_verdict_and_a_plot(otgen: Call) -> None:
    assert otgen("verify", "S1", "S9", "--n", "60", "--html", "page.html").code == 0
    page = Path("page.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "<b>false as printed</b>" in page
    assert "All verdicts are as recorded" in page


def test_another_verdict_than_recorded_is_exit_code_1(otgen: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(GradientAtAccuracy(), power=1.0)
    monkeypatch.setattr(claims, "CLAIMS", (wrong,))
    result = otgen("verify", "--n", "60", "--html", "page.html")
    assert result.code == 1
    assert "NOT AS RECORDED, which is: false as printed" in result.out
    assert "not as recorded: S9" in result.out
    assert "not as recorded (false as printed)" in Path("page.html").read_text()


def test_one_paper(otgen: Call) -> None:
    result = otgen("verify", "--paper", "001", "--n", "60", "S1")
    assert result.code == 0
    assert otgen("verify", "--paper", "004", "--n", "60", "S1").code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("S99",), "there is no claim 'S99'"),
        (("--paper", "007"), "there is no paper '007'; it must be one of 000"),
        (("--n", "59"), "--n must be at least 60"),
        (("--html", "missing/page.html"), "--html needs a file in an existing directory"),
    ],
)
def test_what_is_off_is_said_in_a_line(otgen: Call, words: tuple[str, ...], says: str) -> None:
    result = otgen("verify", *words)
    assert result.code == 2
    assert says in result.err
    assert result.err.count("\n") == 1
