"""Every theorem: on a few instances its verdict is the recorded one, whatever the seed, and its texts are complete."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from otgen.claims.page import html_page
from typing_extensions import override

from cases.claims import FEW, finding
from otgen import claims
from otgen.claims import THEOREMS, Cited, Equal, Finding, Paper, Relation, Slope, Theorem, TheoremStatus, Trials, verify
from otgen.errors import RenamedWarning, UnconvergedError

ROOT = Path(__file__).parents[2]

every_claim = pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.key)


@every_claim
def test_the_verdict_is_as_recorded(theorem: Theorem) -> None:
    result = finding(theorem, FEW)
    assert result.as_recorded, [(r.label, r.standing, r.text) for r in result.relations]
    assert result.instances > 0 or all(isinstance(r, Cited) for r in result.relations)
    assert result.worst


@every_claim
def test_a_claim_says_what_a_reader_needs(theorem: Theorem) -> None:
    assert theorem.statement.rstrip(")").endswith(".")
    assert theorem.where
    assert (theorem.recorded is TheoremStatus.FALSE) <= bool(theorem.corrected)
    assert (theorem.recorded is TheoremStatus.CONDITIONAL) <= bool(theorem.conditions)
    assert theorem.recorded not in (TheoremStatus.REFUTED, TheoremStatus.LOOSE)


def test_there_are_claims_of_every_paper_and_no_two_share_a_key() -> None:
    assert {theorem.paper for theorem in THEOREMS} == set(Paper)
    assert len({theorem.key.lower() for theorem in THEOREMS}) == len(THEOREMS) >= 45


def test_the_same_seed_gives_the_same_instances_alone_or_among_others() -> None:
    theorems = [theorem for theorem in THEOREMS if theorem.key in ("S1", "S7b", "S9")]
    together = [result.worst for result in verify(theorems, n=20, seed=3)]
    alone = [finding(theorem, 20, 3).worst for theorem in theorems]
    assert together == alone
    assert alone != [finding(theorem, 20, 4).worst for theorem in theorems]


def test_the_reports_that_are_cited_are_there_and_have_the_numbers() -> None:
    experiments = ROOT / "experiments"
    if not experiments.is_dir():
        pytest.skip("experiments/ is not beside the tests")
    cited = [r for theorem in THEOREMS for r in finding(theorem, 2).relations if isinstance(r, Cited)]
    assert cited
    for relation in cited:
        assert (ROOT / relation.source).is_file(), relation.source


def test_what_is_false_as_printed_has_a_counter_example_to_run() -> None:
    page = ROOT / "docs" / "errata.md"
    if not page.is_file():
        pytest.skip("docs/ is not beside the tests")
    headings = re.findall(r"^### ([\w, ]+):", page.read_text(), re.MULTILINE)
    explained = {key.strip() for heading in headings for key in heading.split(",")}
    assert {theorem.key for theorem in THEOREMS if theorem.recorded is TheoremStatus.FALSE} <= explained
    assert explained <= {theorem.key for theorem in THEOREMS}


@every_claim
def test_the_page_of_claims_is_that_of_the_checks(theorem: Theorem) -> None:
    page = ROOT / "docs" / "claims.md"
    if not page.is_file():
        pytest.skip("docs/ is not beside the tests")
    text = page.read_text().replace("\\", "")
    section = text[text.index(f"(claim-{theorem.key.lower()})=") :].split("\n(claim-")[0]
    for said in (theorem.where, theorem.statement, theorem.conditions, theorem.corrected):
        assert said.replace("\\", "") in section, "run scripts/write_claims_page.py"
    assert f"**{theorem.recorded[0].upper()}{theorem.recorded[1:]}.**" in section


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@every_claim
def test_the_verdict_is_as_recorded_on_many_instances(theorem: Theorem, seed: int) -> None:
    assert finding(theorem, 1000, seed).as_recorded


def test_slopes_are_measured_over_a_real_range() -> None:
    slopes = [r for theorem in THEOREMS for r in finding(theorem, FEW).relations if isinstance(r, Slope)]
    assert slopes
    assert all(len(set(slope.x.tolist())) >= 4 for slope in slopes)


@dataclass(frozen=True, kw_only=True)
class _Unsolved(Theorem):
    """A theorem whose check stops."""

    key: ClassVar[str] = "X"
    paper: ClassVar[Paper] = Paper.ORACLES
    where: ClassVar[str] = "nowhere"
    statement: ClassVar[str] = "A solver gets there."
    recorded: ClassVar[TheoremStatus] = TheoremStatus.TRUE

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        raise UnconvergedError("Newton stopped after 500 steps")


def test_a_check_that_stops_is_not_decided_and_the_others_go_on() -> None:
    first, second = verify([_Unsolved(), next(theorem for theorem in THEOREMS if theorem.key == "S1")], n=20)
    assert first.status is TheoremStatus.UNDECIDED
    assert first.worst == "Newton stopped after 500 steps"
    assert not first.as_recorded
    assert second.as_recorded
    assert "Newton stopped after 500 steps" in html_page([first, second], n=20, seed=0)


def test_the_worst_of_several_lines_is_shown() -> None:
    one, two = (Equal(label="", left=torch.tensor([v]), right=torch.ones(1), tol=1.0) for v in (1.25, 1.5))
    theorem = THEOREMS[0]
    result = Finding(theorem=theorem, status=theorem.recorded, relations=(one, two), seconds=0.0)
    assert result.worst == "error 5.0e-01"


@pytest.mark.parametrize(
    ("former", "name"), [("CLAIMS", "THEOREMS"), ("Claim", "Theorem"), ("Verdict", "TheoremStatus")]
)
def test_a_former_name_works_with_a_warning(former: str, name: str) -> None:
    with pytest.warns(RenamedWarning, match=f"otgen.claims.{former} is now {name}"):
        assert getattr(claims, former) is getattr(claims, name)
