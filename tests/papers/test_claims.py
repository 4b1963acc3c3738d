"""Every theorem: on a few instances its status is the recorded one, and no longer with a constant changed."""

from __future__ import annotations

import importlib
import inspect
import io
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cases.checks import refused
from cases.claims import FEW, finding
from otgen import ot
from otgen.errors import RenamedWarning, UnconvergedError
from otgen.ot.core import loop
from otgen.papers import Paper, Status, Theorem, Trials, all_claims, all_theorems, theorem, verify
from otgen.papers.claims_page import html_page
from otgen.papers.relations import Equal, Relation, Slope

THEOREMS = all_theorems()
BY_KEY = {theorem.key: theorem for theorem in THEOREMS}

# The constants of the theorems that would not be seen halved and doubled, or are wrong in a finer way: what is instead.
OTHERWISE: dict[str, tuple[float, ...]] = {
    "S11b.power": (4.0,),
    "S16.shrink": (0.5, 1.0),
    "S18.exponent": (88.7, 100.0),
    "A19.power": (4.0,),
    "A23b.concavity": (-0.5,),
    "B3.steps": (5, 1000),
    "D4.one": (1.0, 2.0),
    "D9.power": (0.5,),
    "D11.factor": (2.0,),
    "O10.one": (1.0, 2.0),
    "O10.seven": (1.0, 2.0),
}
# Those that are seen to have the other sign too.
SIGNED = {"N1.shift", "S2.share", "S7b.factor", "A17.factor", "A18.gradient", "A23.sign", "A26.half"}
SIGNED |= {"C5.factor", "D2.drift", "D6.sign", "D8.sign", "O5.coupling", "O6.factor", "O9.limit"}
CONSTANTS = {
    f"{theorem.key}.{constant.name}": constant.default
    for theorem in THEOREMS
    for constant in inspect.signature(theorem.check).parameters.values()
    if constant.kind is constant.KEYWORD_ONLY
}

every_theorem = pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.key)


def numbers(tensor: torch.Tensor) -> tuple[type, tuple[Any]]:
    """A tensor for a pickle that compares by content; torch has its place in memory there too."""
    return tuple, ((tensor.detach().numpy().tobytes(), str(tensor.dtype), *tensor.shape, tensor.requires_grad),)


def content(value: object) -> bytes:
    pickler = pickle.Pickler(file := io.BytesIO())
    pickler.dispatch_table = {torch.Tensor: numbers}
    pickler.dump(value)
    return file.getvalue()


def tensors(problem: object) -> tuple[torch.Tensor, ...]:
    if isinstance(problem, ot.Discrete):
        return (*problem.geometry.inputs(), problem.a, problem.b)
    return (problem.c,) if isinstance(problem, ot.GridW1) else ()


@pytest.fixture(scope="module")
def _solved_once() -> Iterator[None]:
    """Problems that do not depend on a constant come again with each of its values: they are solved the first time.

    Their solvers draw nothing, so that the numbers are the same to the bit. What carries a gradient is solved anew.
    """
    known: dict[bytes, Any] = {}

    def run(problem: object, solver: object, **options: Any) -> Any:
        # A problem is pickled without its graph: whether it has one is a part of the key of its own.
        graphs = [tensor.requires_grad for tensor in tensors(problem)]
        key = content((problem, graphs, solver, options)) if isinstance(problem, ot.Discrete | ot.GridW1) else b""
        solution = known.get(key) or loop.run(problem, solver, **options)
        if key and not solution.value.requires_grad:
            known[key] = solution
        return solution

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(importlib.import_module("otgen.ot.solve"), "run", run)
        yield


@pytest.mark.usefixtures("_solved_once")
@every_theorem
def test_the_status_is_as_recorded(theorem: Theorem) -> None:
    result = finding(theorem, FEW)
    assert result.as_recorded, result.evidence
    assert all((result.instances > 0, result.summary))
    # Slopes are measured over a real range.
    assert all(len(set(r.x.tolist())) >= 4 for r in result.relations if isinstance(r, Slope))


# Each constant in one direction, its largest change; in every direction with the longer checks.
@pytest.mark.usefixtures("_solved_once")
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["one value", "all"])
@pytest.mark.parametrize("name", CONSTANTS)
def test_a_changed_constant_is_seen(name: str, every: bool) -> None:
    right, (key, constant) = CONSTANTS[name], name.split(".")
    opposite = [-right] if name in SIGNED else []
    wrong = OTHERWISE.get(name, (type(right)(right / 2), 2 * right, *opposite))
    tried = wrong if every else wrong[-1:]
    assert [value for value in tried if finding(BY_KEY[key].changed(**{constant: value})).as_recorded] == []


@every_theorem
def test_a_claim_says_what_a_reader_needs(theorem: Theorem) -> None:
    assert theorem.statement.rstrip(")").endswith(".")
    assert theorem.where
    assert (theorem.recorded is Status.FALSE) <= bool(theorem.corrected)
    assert (theorem.recorded is Status.CONDITIONAL) <= bool(theorem.conditions)
    assert theorem.recorded in (Status.TRUE, Status.CONDITIONAL, Status.FALSE)


def test_there_are_claims_of_every_paper_and_no_two_share_a_key() -> None:
    assert {theorem.paper for theorem in THEOREMS} == set(Paper)
    assert len({claim.key.lower() for claim in all_claims()}) == len(all_claims()) >= 45


def test_the_same_seed_gives_the_same_instances_alone_or_among_others() -> None:
    theorems = [BY_KEY[key] for key in ("S1", "S7b", "S9")]
    alone = [finding(theorem, 20, 3).summary for theorem in theorems]
    assert [result.summary for result in verify(theorems, n=20, seed=3)] == alone
    assert alone != [finding(theorem, 20, 4).summary for theorem in theorems]


def test_what_is_false_as_printed_has_a_counter_example_to_run() -> None:
    page = Path(__file__).parents[2] / "docs" / "errata.md"
    if not page.is_file():
        pytest.skip("docs/ is not beside the tests")
    explained = set(re.split(", *", ", ".join(re.findall(r"^### ([\w, ]+):", page.read_text(), re.MULTILINE))))
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
    assert (first.status, first.summary) == (Status.UNDECIDED, "Newton stopped after 500 steps")
    assert (first.as_recorded, second.as_recorded) == (False, True)
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
    refused(r"there is no paper 'swagn'; did you mean 'swgan'\?", Paper.named, "swagn")
