"""Every claim: on a few instances its verdict is the recorded one, whatever the seed, and its texts are complete."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from typing_extensions import override

from cases.claims import FEW, finding
from otgen.claims import CLAIMS, Cited, Claim, Equal, Finding, Paper, Relation, Slope, Trials, Verdict, verify
from otgen.claims.page import html_page
from otgen.errors import UnconvergedError

ROOT = Path(__file__).parents[2]

every_claim = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)


@every_claim
def test_the_verdict_is_as_recorded(claim: Claim) -> None:
    found = finding(claim, FEW)
    assert found.as_recorded, [(r.label, r.standing, r.text) for r in found.relations]
    assert found.instances > 0 or all(isinstance(r, Cited) for r in found.relations)
    assert found.worst


@every_claim
def test_a_claim_says_what_a_reader_needs(claim: Claim) -> None:
    assert claim.statement.rstrip(")").endswith(".")
    assert claim.where
    assert (claim.recorded is Verdict.FALSE) <= bool(claim.corrected)
    assert (claim.recorded is Verdict.CONDITIONAL) <= bool(claim.conditions)
    assert claim.recorded not in (Verdict.REFUTED, Verdict.LOOSE)


def test_there_are_claims_of_every_paper_and_no_two_share_a_key() -> None:
    assert {claim.paper for claim in CLAIMS} == set(Paper)
    assert len({claim.key.lower() for claim in CLAIMS}) == len(CLAIMS) >= 45


def test_the_same_seed_gives_the_same_instances_alone_or_among_others() -> None:
    claims = [claim for claim in CLAIMS if claim.key in ("S1", "S7b", "S9")]
    together = [found.worst for found in verify(claims, n=20, seed=3)]
    alone = [finding(claim, 20, 3).worst for claim in claims]
    assert together == alone
    assert alone != [finding(claim, 20, 4).worst for claim in claims]


def test_the_reports_that_are_cited_are_there_and_have_the_numbers() -> None:
    experiments = ROOT / "experiments"
    if not experiments.is_dir():
        pytest.skip("experiments/ is not beside the tests")
    cited = [r for claim in CLAIMS for r in finding(claim, 2).relations if isinstance(r, Cited)]
    assert cited
    for relation in cited:
        assert (ROOT / relation.source).is_file(), relation.source


def test_what_is_false_as_printed_has_a_counter_example_to_run() -> None:
    page = ROOT / "docs" / "errata.md"
    if not page.is_file():
        pytest.skip("docs/ is not beside the tests")
    headings = re.findall(r"^### ([\w, ]+):", page.read_text(), re.MULTILINE)
    explained = {key.strip() for heading in headings for key in heading.split(",")}
    assert {claim.key for claim in CLAIMS if claim.recorded is Verdict.FALSE} <= explained
    assert explained <= {claim.key for claim in CLAIMS}


@every_claim
def test_the_page_of_claims_is_that_of_the_checks(claim: Claim) -> None:
    page = ROOT / "docs" / "claims.md"
    if not page.is_file():
        pytest.skip("docs/ is not beside the tests")
    text = page.read_text().replace("\\", "")
    section = text[text.index(f"(claim-{claim.key.lower()})=") :].split("\n(claim-")[0]
    for said in (claim.where, claim.statement, claim.conditions, claim.corrected):
        assert said.replace("\\", "") in section, "run scripts/write_claims_page.py"
    assert f"**{claim.recorded[0].upper()}{claim.recorded[1:]}.**" in section


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@every_claim
def test_the_verdict_is_as_recorded_on_many_instances(claim: Claim, seed: int) -> None:
    assert finding(claim, 1000, seed).as_recorded


def test_slopes_are_measured_over_a_real_range() -> None:
    slopes = [r for claim in CLAIMS for r in finding(claim, FEW).relations if isinstance(r, Slope)]
    assert slopes
    assert all(len(set(slope.x.tolist())) >= 4 for slope in slopes)


@dataclass(frozen=True, kw_only=True)
class _Unsolved(Claim):
    """A claim whose check stops."""

    key: ClassVar[str] = "X"
    paper: ClassVar[Paper] = Paper.ORACLES
    where: ClassVar[str] = "nowhere"
    statement: ClassVar[str] = "A solver gets there."
    recorded: ClassVar[Verdict] = Verdict.TRUE

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        raise UnconvergedError("Newton stopped after 500 steps")


def test_a_check_that_stops_is_not_decided_and_the_others_go_on() -> None:
    first, second = verify([_Unsolved(), next(claim for claim in CLAIMS if claim.key == "S1")], n=20)
    assert first.verdict is Verdict.UNDECIDED
    assert first.worst == "Newton stopped after 500 steps"
    assert not first.as_recorded
    assert second.as_recorded
    assert "Newton stopped after 500 steps" in html_page([first, second], n=20, seed=0)


def test_the_worst_of_several_lines_is_shown() -> None:
    one, two = (Equal(label="", left=torch.tensor([v]), right=torch.ones(1), tol=1.0) for v in (1.25, 1.5))
    claim = CLAIMS[0]
    found = Finding(claim=claim, verdict=claim.recorded, relations=(one, two), seconds=0.0)
    assert found.worst == "error 5.0e-01"
