"""`otgen verify`: a line a claim, its exit code, its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.runs import Call, Says, contains
from otgen import papers
from otgen.cli.verify import _FORMER
from otgen.errors import RenamedWarning


def test_named_claims_are_shown_whole(succeeds: Says) -> None:
    out = succeeds("verify", "s9", "S1", "sco.fig3.1", "s1", "--n", "200")
    contains(out, "1/3  S9                  false as printed", "2/3  S1                  true")
    contains(out, "3/3  sco.fig3.1          holds", "stands in:  Sanjabi et al. 2018, Lemma 2.1")
    contains(out, "at most 0.0050 asked; all met by 3 of 3 seeds", "3 claims", "all theorems as recorded")


def test_a_figure_stands_for_its_claims_and_has_no_instances(otgen: Call) -> None:
    out = otgen("verify", "swgan.fig3", "--n", "200").out
    assert "7/7  swgan.fig3.7" in out
    assert "instances" not in out


def test_a_page_has_every_status_and_a_plot(otgen: Call) -> None:
    assert otgen("verify", "S1", "S9", "swgan.fig2.1", "--n", "200", "--html", "page.html").code == 0
    page = Path("page.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    contains(page, "<b>false as printed</b>", "<b>not tested</b>", "All theorems are as recorded")


def test_another_status_than_recorded_is_exit_code_1(otgen: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = next(theorem for theorem in papers.all_theorems() if theorem.key == "S9").changed(power=1.0)
    monkeypatch.setattr("otgen.papers.all_claims", lambda: [wrong])
    result = otgen("verify", "--n", "200", "--html", "page.html")
    assert result.code == 1
    contains(result.out, "NOT AS RECORDED", "not as recorded: S9")
    assert "not as recorded" in Path("page.html").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("S99",), "there is no claim 'S99'"),
        (("--paper", "sko"), "there is no paper 'sko'; did you mean 'sco'?"),
        (("--paper", "007"), "give one of swgan (Sanjabi et al. 2018), seqsgda (Adnan et al. 2021)"),
        (("--paper", "seqsgda", "S7"), "claim 'S7' is of swgan (Sanjabi et al. 2018)"),
        (("--n", "199"), "--n must be at least 200"),
        (("--seed", "-1"), "--seed must be at least 0"),
        (("--seed", "9" * 20), "--seed must be at least 0 and below 2^63"),
        (("--html", "missing/page.html"), "--html needs a file in an existing directory"),
    ],
)
def test_what_is_off_is_said_in_a_line(otgen: Call, words: tuple[str, ...], says: str) -> None:
    result = otgen("verify", *words)
    assert result.code in (1, 2)
    assert says in result.err
    assert result.err.count("\n") == 1


def test_the_list_checks_nothing(succeeds: Says) -> None:
    lines = succeeds("verify", "--list", "--paper", "semidiscrete").splitlines()
    assert {line.split()[0] for line in lines} >= {"C1", "semidiscrete.fig2.1"}
    assert all("Houdard et al. 2021" in line for line in lines)


@pytest.mark.parametrize(
    ("former", "says", "claim"),
    [
        (("--paper", "001"), "the paper '001' is now 'swgan'", "S7 "),
        (("--paper", "Houdard"), "the paper 'Houdard' is now 'semidiscrete'", "C1 "),
        (("--paper", "oracles"), "the paper 'oracles' is now 'own'", "O1 "),
        (("AE1",), "the claim AE1 is now seqsgda.fig4.1", "seqsgda.fig4.1 "),
        (("p5",), "the claim P5 is now sco.fig5", "sco.fig5.2 "),
    ],
)
def test_former_words_are_understood_with_a_note(otgen: Call, former: tuple[str, ...], says: str, claim: str) -> None:
    with pytest.warns(RenamedWarning, match=says):
        result = otgen("verify", "--list", *former)
    assert result.code == 0
    assert any(line.startswith(claim) for line in result.out.splitlines())


def test_each_former_key_is_that_of_a_claim() -> None:
    keys = {claim.key for claim in papers.all_claims()}
    figures = {key.rpartition(".")[0] for key in keys}
    assert set(_FORMER.values()) <= keys | figures
