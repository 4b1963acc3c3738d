"""Every theorem: on a few instances its status is the recorded one, and no longer with a constant changed."""

from __future__ import annotations

import importlib
import io
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cases.claims import FEW, finding
from otgen.errors import InputError, RenamedWarning, UnconvergedError
from otgen.ot import Discrete, GridW1
from otgen.ot.core import loop
from otgen.ot.core.problem import Problem
from otgen.ot.core.solver import Solver
from otgen.papers import Paper, Status, Theorem, Trials, all_claims, all_theorems, theorem, verify
from otgen.papers.page import html_page
from otgen.papers.relations import Equal, Relation, Slope

ROOT = Path(__file__).parents[2]
THEOREMS = all_theorems()
BY_KEY = {theorem.key: theorem for theorem in THEOREMS}

# Each constant of each theorem, by the theorem's key, with its wrong values.
WRONG: dict[str, dict[str, tuple[float, ...]]] = {
    # swgan
    "N1": {"shift": (2.0, -1.0), "excess": (0.5,)},
    "S1": {"entropy_factor": (2.0,)},
    "S1b": {"least": (1.0, 0.25)},
    "S2": {"share": (-1.0, 0.5), "factor": (2.0,)},
    "S3": {"legs": (0.5, 2.0), "sharp": (0.5, 2.0)},
    "S3b": {"above": (0.5, 2.0), "below": (0.5, 2.0), "least": (0.25, 1.0), "most": (0.25, 1.0)},
    "S4": {"factor": (0.5, 2.0), "entropy": (0.5, 2.0), "norm": (0.25, 1.0), "sharp": (0.25, 1.0)},
    "S5": {"plan": (0.5, 2.0), "curvature": (0.5, 2.0), "coupling": (0.5, 2.0)},
    "S6": {"plan": (0.5, 2.0), "curvature": (0.5, 2.0), "coupling": (0.5, 2.0)},
    "S7": {"factor": (1.0, 4.0)},
    "S7b": {"factor": (-1.0,), "norm_factor": (1.0, 0.25)},
    "S7c": {"factor": (0.5, 2.0), "power": (0.0, 1.0)},
    "S7k": {"factor": (1.0, 4.0), "power": (0.0, 2.0)},
    "S8": {"start": (1.0, 4.0), "noise": (0.5, 2.0), "rate": (4.0, 16.0), "error": (0.5, 2.0), "power": (-1.0,)},
    "S9": {"power": (1.0,), "factor": (1.0, 4.0)},
    "S10": {"factor": (0.5, 2.0), "norm_factor": (1.0, 4.0), "power": (-1.0,)},
    "S11": {"own": (2.0,), "order": (1.0,)},
    "S11b": {"power": (4.0,)},
    "S11c": {"factor": (1.0,), "cross": (1.0,)},
    "S12": {"factor": (0.5, 2.0)},
    "S12b": {"power": (2.0,), "factor": (0.5, 2.0), "sharp": (0.5,)},
    "S12c": {"threshold": (0.5, 2.0)},
    "S13": {"factor": (0.5, 2.0)},
    "S14": {"scale": (2.0,), "bias": (0.5, 2.0)},
    "S15": {"factor": (0.125, 0.5)},
    "S16": {"shrink": (1.0,), "norm": (1.0,)},
    "S17": {"error": (1.5, 6.0), "variance": (2.5, 10.0)},
    "S18": {"exponent": (88.7,)},
    # seqsgda
    "A14": {"factor": (2.0,)},
    "A17": {"factor": (-1.0, 0.5)},
    "A18": {"curvature": (1.0, 0.25), "gradient": (1.0,)},
    "A19": {"power": (4.0,), "rate": (1.0,)},
    "A21": {"power": (2.0, 0.5)},
    "A22": {"factor": (2.0, 0.5)},
    "A23": {"sign": (1.0, -2.0)},
    "A23b": {"concavity": (-0.5,)},
    "A26": {"half": (1.0, -0.5), "spread": (0.5,)},
    "B1": {"factor": (1.0,)},
    "B2": {"share": (1.0,), "power": (-0.5,)},
    "B3": {"steps": (1000,), "error": (0.19, 0.0475)},
    "B4": {"power": (2.0, 0.5)},
    "B5": {"power": (-0.5, -2.0)},
    # semidiscrete
    "C1": {"jump": (0.5,), "mean": (1.0,)},
    "C2": {"factor": (2.0,)},
    "C3": {"factor": (0.5, 2.0)},
    "C4": {"factor": (0.5, 2.0)},
    "C5": {"factor": (-1.0, 2.0)},
    "C6": {"factor": (2.0,)},
    "H1": {"rate": (1.0,), "swing": (2.0,)},
    "H41": {"jacobians": (2,), "factor": (0.5,)},
    # sco
    "D1": {"factor": (2.0,)},
    "D1b": {"power": (0.5, 2.0)},
    "D2": {"drift": (2.0, -1.0)},
    "D3": {"factor": (0.5, 2.0)},
    "D4": {"one": (1.0,), "rate": (-1.2,)},
    "D5": {"factor": (0.5, 2.0)},
    "D6": {"sign": (1.0, -2.0)},
    "D8": {"sign": (-1.0,)},
    "D9": {"power": (0.5,)},
    "D10": {"factor": (1.0,), "square": (4.0, 16.0)},
    "D11": {"rate": (-2.0, -0.5)},
    "D12": {"power": (0.5,)},
    # own
    "O1": {"norm": (1.0,)},
    "O2": {"factor": (1.0,)},
    "O3": {"stiffness": (4.0,)},
    "O4": {"shrink": (0.5,), "debiased": (2.0,)},
    "O5": {"coupling": (0.5, -1.0)},
    "O6": {"factor": (0.5, -1.0)},
    "O7": {"factor": (0.5,)},
    "O8": {"rate": (1.0,)},
    "O9": {"limit": (1 / 3,), "inside": (1.0,)},
    "O10": {"one": (1.0,), "seven": (1.0,)},
    "O11": {"coupling": (2.0,)},
    "O12": {"factor": (1.0,)},
}
CASES = [(key, name, value) for key, of in WRONG.items() for name, values in of.items() for value in values]

every_theorem = pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.key)


class ByContent(pickle.Pickler):
    """Pickles tensors by their numbers; torch has their place in memory too."""

    def reducer_override(self, value: object) -> Any:
        if not isinstance(value, torch.Tensor):
            return NotImplemented
        return tuple, ((value.detach().numpy().tobytes(), str(value.dtype), *value.shape, value.requires_grad),)


def content(value: object) -> bytes:
    file = io.BytesIO()
    ByContent(file).dump(value)
    return file.getvalue()


@pytest.fixture(scope="module", autouse=True)
def _solved_once() -> Iterator[None]:
    """Problems that do not depend on a constant come again with each of its values: they are solved the first time.

    Their solvers draw nothing, so that the numbers are the same to the bit. What carries a gradient is solved anew.
    """
    known: dict[bytes, Any] = {}

    def run(problem: Problem, solver: Solver, **options: Any) -> Any:
        key = content((problem, solver, options)) if isinstance(problem, Discrete | GridW1) else b""
        solution = known.get(key) or loop.run(problem, solver, **options)
        if key and not solution.value.requires_grad:
            known[key] = solution
        return solution

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(importlib.import_module("otgen.ot.solve"), "run", run)
        yield


@every_theorem
def test_the_status_is_as_recorded(theorem: Theorem) -> None:
    result = finding(theorem, FEW)
    assert result.as_recorded, result.evidence
    assert result.instances > 0
    assert result.summary
    # Slopes are measured over a real range.
    assert all(len(set(r.x.tolist())) >= 4 for r in result.relations if isinstance(r, Slope))


@pytest.mark.parametrize(("key", "constant", "wrong"), CASES)
def test_a_changed_constant_is_seen(key: str, constant: str, wrong: float) -> None:
    assert not finding(BY_KEY[key].changed(**{constant: wrong})).as_recorded


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
    theorems = [BY_KEY[key] for key in ("S1", "S7b", "S9")]
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
    assert explained <= BY_KEY.keys()


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
    first, second = verify([unsolved, BY_KEY["S1"]], n=20)
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
