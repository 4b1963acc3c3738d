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
    result = otgen("verify", "s9", "S1", "--n", "200")
    assert (result.code, result.err) == (0, "")
    assert "1/2  S9    false as printed" in result.out
    assert "2/2  S1    true" in result.out
    assert "stands in:  Sanjabi et al. 2018, Lemma 2.1" in result.out
    assert "2 claims" in result.out
    assert "all verdicts as recorded" in result.out


def test_a_page_has_every_verdict_and_a_plot(otgen: Call) -> None:
    assert otgen("verify", "S1", "S9", "--n", "200", "--html", "page.html").code == 0
    page = Path("page.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "<b>false as printed</b>" in page
    assert "All verdicts are as recorded" in page


def test_another_verdict_than_recorded_is_exit_code_1(otgen: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(GradientAtAccuracy(), power=1.0)
    monkeypatch.setattr(claims, "THEOREMS", (wrong,))
    result = otgen("verify", "--n", "200", "--html", "page.html")
    assert result.code == 1
    assert "NOT AS RECORDED, which is: false as printed" in result.out
    assert "not as recorded: S9" in result.out
    assert "not as recorded (false as printed)" in Path("page.html").read_text()


def test_one_paper(otgen: Call) -> None:
    result = otgen("verify", "--paper", "001", "--n", "200", "S1")
    assert result.code == 0
    assert otgen("verify", "--paper", "004", "--n", "200", "S1").code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("S99",), "there is no claim 'S99'"),
        (("--paper", "007"), "there is no paper '007'; give a code or the first author, of 000"),
        (("--paper", "002", "S7"), "claim 'S7' is of paper 000 (Sanjabi et al. 2018)"),
        (("--n", "199"), "--n must be at least 200"),
        (("--seed", "-1"), "--seed must be at least 0"),
        (("--seed", "9" * 20), "--seed must be at least 0 and below 2^63"),
        (("--html", "missing/page.html"), "--html needs a file in an existing directory"),
    ],
)
def test_what_is_off_is_said_in_a_line(otgen: Call, words: tuple[str, ...], says: str) -> None:
    result = otgen("verify", *words)
    assert result.code == 2
    assert says in result.err
    assert result.err.count("\n") == 1


def test_the_list_checks_nothing(otgen: Call) -> None:
    result = otgen("verify", "--list", "--paper", "Houdard")
    lines = result.out.splitlines()
    assert result.code == 0
    assert lines
    assert all("Houdard et al. 2021" in line for line in lines)


def test_a_claim_that_is_named_twice_is_checked_once(otgen: Call) -> None:
    assert "1 claim, 1 computed" in otgen("verify", "S1", "s1", "--n", "200").out


def test_what_is_quoted_is_not_called_computed(otgen: Call) -> None:
    assert "2 claims, 1 computed, 1 quoted from runs" in otgen("verify", "S1", "B6", "--n", "200").out
