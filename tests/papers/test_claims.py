"""Every theorem: on a few instances its status is the recorded one, whatever the seed, and its texts are complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cases.claims import FEW, finding
from otgen.errors import InputError, RenamedWarning, UnconvergedError
from otgen.papers import Paper, Status, Theorem, Trials, all_claims, all_theorems, theorem, verify
from otgen.papers.page import html_page
from otgen.papers.relations import Equal, Relation, Slope

ROOT = Path(__file__).parents[2]
THEOREMS = all_theorems()

every_theorem = pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.key)


@every_theorem
def test_the_status_is_as_recorded(theorem: Theorem) -> None:
    result = finding(theorem, FEW)
    assert result.as_recorded, result.evidence
    assert result.instances > 0
    assert result.summary
    # Slopes are measured over a real range.
    assert all(len(set(r.x.tolist())) >= 4 for r in result.relations if isinstance(r, Slope))


@every_theorem
def test_a_claim_says_what_a_reader_needs(theorem: Theorem) -> None:
    assert theorem.statement.rstrip(")").endswith(".")
    assert theorem.where
    assert (theorem.recorded is Status.FALSE) <= bool(theorem.corrected)
    assert (theorem.recorded is Status.CONDITIONAL) <= bool(theorem.conditions)
    assert theorem.recorded in (Status.TRUE, Status.CONDITIONAL, Status.FALSE)


def test_there_are_claims_of_every_paper_and_no_two_share_a_key() -> None:
    claims = all_claims()
    assert {theorem.paper for theorem in THEOREMS} == set(Paper)
    assert len({claim.key.lower() for claim in claims}) == len(claims) >= 45


def test_the_same_seed_gives_the_same_instances_alone_or_among_others() -> None:
    theorems = [theorem for theorem in THEOREMS if theorem.key in ("S1", "S7b", "S9")]
    together = [result.summary for result in verify(theorems, n=20, seed=3)]
    alone = [finding(theorem, 20, 3).summary for theorem in theorems]
    assert together == alone
    assert alone != [finding(theorem, 20, 4).summary for theorem in theorems]


def test_what_is_false_as_printed_has_a_counter_example_to_run() -> None:
    page = ROOT / "docs" / "errata.md"
    if not page.is_file():
        pytest.skip("docs/ is not beside the tests")
    headings = re.findall(r"^### ([\w, ]+):", page.read_text(), re.MULTILINE)
    explained = {key.strip() for heading in headings for key in heading.split(",")}
    assert {theorem.key for theorem in THEOREMS if theorem.recorded is Status.FALSE} <= explained
    assert explained <= {theorem.key for theorem in THEOREMS}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@every_theorem
def test_the_status_is_as_recorded_on_many_instances(theorem: Theorem, seed: int) -> None:
    assert finding(theorem, 1000, seed).as_recorded


@theorem("X", "nowhere", "A solver gets there.")
def unsolved(trials: Trials) -> Iterator[Relation]:
    """A theorem whose check stops."""
    raise UnconvergedError("Newton stopped after 500 steps")


def test_a_check_that_stops_is_undecided_and_the_others_go_on() -> None:
    first, second = verify([unsolved, next(theorem for theorem in THEOREMS if theorem.key == "S1")], n=20)
    assert first.status is Status.UNDECIDED
    assert first.summary == "Newton stopped after 500 steps"
    assert not first.as_recorded
    assert second.as_recorded
    assert "Newton stopped after 500 steps" in html_page([first, second], n=20, seed=0)


@theorem("X", "nowhere", "Two sides are equal.")
def apart(trials: Trials) -> Iterator[Relation]:
    """Two relations, one farther off than the other."""
    for value in (1.25, 1.5):
        yield Equal(label="", left=torch.tensor([value]), right=torch.ones(1), tol=1.0)


def test_the_worst_of_several_lines_is_shown() -> None:
    assert finding(apart).summary == "error 5.0e-01"
    assert apart.paper is Paper.OWN


def test_papers_have_one_name_each() -> None:
    assert Paper.named("SCO") is Paper.SCO
    with pytest.warns(RenamedWarning, match="the paper '002' is now 'seqsgda'"):
        assert Paper.named("002") is Paper.SEQSGDA
    with pytest.raises(InputError, match=r"there is no paper 'swagn'; did you mean 'swgan'\?"):
        Paper.named("swagn")
