from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from cases.runs import Call, Says, contains
from otgen import peers
from otgen.ot import KL, L1, Cosine, Discrete, NoReg, PNorm, Quadratic, SqEuclidean, solve
from otgen.peers import Answer, FlashSinkhorn, GeomLoss, OttJax, Peer, PotExact, PotKernel, PotLog, PotQuadratic, Task


@pytest.fixture
def clouds() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    x, y = chance.normal(size=(9, 3)), chance.normal(size=(7, 3)) + 0.5
    np.save("x.npy", x)
    np.save("y.npy", y)
    return x, y


def truth(x: np.ndarray, y: np.ndarray, eps: float) -> float:
    problem = Discrete(torch.from_numpy(x), torch.from_numpy(y), reg=KL(eps=eps))
    return float(solve(problem, tol=1e-10, max_steps=20_000).value)


@dataclass(frozen=True)
class Fake(Peer):
    """Says what it is told to say."""

    answer: Answer | None = None
    error: Exception | None = None
    name: ClassVar[str] = "Fake"
    package: ClassVar[str] = "POT"

    def prepare(self, task: Task) -> Callable[[], Answer]:
        def call() -> Answer:
            if self.error is not None:
                raise self.error
            assert self.answer is not None
            return self.answer

        return call


@dataclass(frozen=True)
class Missing(Fake):
    name: ClassVar[str] = "Nobody"
    package: ClassVar[str] = "there-is-no-such-package"


@pytest.fixture
def ask(clouds: Any, otgen: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command, with these peers only, at eps = 1."""

    def run(*asked: Peer) -> Any:
        monkeypatch.setattr(peers, "PEERS", asked)
        return otgen("crosscheck", "x.npy", "y.npy", "--eps", "1")

    return run


def test_a_peer_inside_is_agreement(clouds: Any, ask: Call) -> None:
    result = ask(Fake(Answer(value=truth(*clouds, 1.0), converged=True)))
    assert (result.code, result.err) == (0, "")
    assert re.search(r"^otgen +\S+ +\S+ +converged", result.out, re.MULTILINE)
    assert re.search(r"^Fake +\S+ +\S+ +inside +converged +\d+\.\d+ +\d+\.\d+", result.out, re.MULTILINE)
    assert "9 x 7 points, KL(eps=1.0)" in result.out


@pytest.mark.parametrize(("factor", "word"), [(1.01, "above"), (0.99, "below")])
def test_a_peer_outside_that_says_it_converged_is_an_error(factor: float, word: str, clouds: Any, ask: Call) -> None:
    value = factor * truth(*clouds, 1.0)
    result = ask(Fake(Answer(value=value, converged=True)))
    assert (result.code, result.err) == (4, "")
    match = re.search(rf"{word} by (\S+) \(1 %\)", result.out)
    assert match is not None
    assert float(match[1]) == pytest.approx(abs(value) * 0.01, rel=0.05)


@pytest.mark.parametrize("converged", [False, None])
def test_a_peer_that_claims_nothing_may_be_outside(converged: bool | None, clouds: Any, ask: Call) -> None:
    result = ask(Fake(Answer(value=2 * truth(*clouds, 1.0), converged=converged)))
    assert result.code == 0
    assert "above by" in result.out


@pytest.mark.parametrize(
    ("off", "answer", "code"),
    [
        (1e-6, {"unit": 2.0**-23}, 0),
        (1e-6, {}, 4),
        (1e-3, {"unit": 2.0**-23}, 4),
        (1e-4, {"residual": 1e-3}, 0),
        (1e-4, {"residual": 1e-6}, 4),
    ],
    ids=str,
)
def test_a_peer_may_be_off_by_its_own_precision(
    off: float, answer: dict[str, float], code: int, clouds: Any, ask: Call
) -> None:
    value = truth(*clouds, 1.0) * (1 - off)
    assert ask(Fake(Answer(value=value, converged=True, **answer))).code == code  # type: ignore[arg-type]


def test_a_value_that_is_no_number(ask: Call) -> None:
    result = ask(Fake(Answer(value=float("nan"), converged=True)))
    assert result.code == 4
    assert "no finite number" in result.out
    assert ask(Fake(Answer(value=float("nan"), converged=False))).code == 0


def test_who_cannot_answer_is_listed_with_the_reason(ask: Call) -> None:
    result = ask(Missing(), Fake(error=RuntimeError("out of\nmemory")), PotExact())
    assert result.code == 0
    assert "Nobody: not installed (pip install there-is-no-such-package)\n" in result.out
    contains(result.out, "Fake: RuntimeError: out of memory\n", "POT, exact: solves the unregularised problem")


def test_ours_without_convergence_has_the_exit_code_of_solve(clouds: Any, otgen: Call, monkeypatch: Any) -> None:
    monkeypatch.setattr(peers, "PEERS", ())
    result = otgen("crosscheck", "x.npy", "y.npy", "--max-steps", "1", "--tol", "1e-9")
    assert (result.code, result.err) == (3, "")
    assert "did not converge" in result.out


POT = [(PotLog(), "--eps 1"), (PotLog(), "--eps 0.3 --cost L1"), (PotKernel(), "--eps 2"), (PotExact(), "--reg NoReg")]


@pytest.mark.parametrize(("peer", "words"), [*POT, (PotQuadratic(), "--reg Quadratic --eps 2 --tol 1e-5")], ids=str)
def test_pot_agrees(peer: Peer, words: str, clouds: Any, succeeds: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PEERS", (peer,))
    out = succeeds("crosscheck", "x.npy", "y.npy", *words.split())
    assert re.search(rf"^{re.escape(peer.name)} +\S+ +\S+ +inside +converged", out, re.MULTILINE), out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cost", [SqEuclidean(), PNorm(p=1), PNorm(p=1.5), L1(), Cosine()], ids=str)
@pytest.mark.parametrize("peer", [GeomLoss(), pytest.param(OttJax(), marks=pytest.mark.slow)], ids=str)
def test_peers_agree_in_every_cost(peer: Peer, cost: Any, clouds: Any) -> None:
    module = "geomloss" if isinstance(peer, GeomLoss) else "ott"
    pytest.importorskip(module, reason=f"{peer.package} is not installed: pip install -e '.[peers]'")
    x, y = (torch.from_numpy(points) for points in clouds)
    report = peers.compare(x, y, cost, KL(), (peer,), tol=1e-6, max_steps=10_000)
    (row,) = report.rows
    assert row.answer is not None, row.reason
    if isinstance(peer, GeomLoss):  # it claims nothing
        assert row.answer.converged is None
        assert row.answer.value == pytest.approx(float(report.solution.value), rel=2e-3)
    else:
        assert row.answer.converged
        assert row.off == 0


@pytest.mark.parametrize("reg", [NoReg(), Quadratic(eps=1.0)], ids=str)
@pytest.mark.parametrize("peer", [GeomLoss(), OttJax(), FlashSinkhorn(), PotLog()], ids=str)
def test_entropic_solvers_refuse_other_problems(peer: Any, reg: Any) -> None:
    task = Task(x=torch.zeros(2, 1), y=torch.ones(2, 1), cost=SqEuclidean(), reg=reg, tol=1e-8, max_steps=10)
    with pytest.raises(peers.Unavailable, match=f"no {type(reg).__name__}: KL only"):
        peer.prepare(task)


def test_flash_sinkhorn_says_what_it_needs() -> None:
    task = Task(x=torch.zeros(2, 1), y=torch.ones(2, 1), cost=L1(), reg=KL(eps=1.0), tol=1e-8, max_steps=10)
    with pytest.raises(peers.Unavailable, match="no L1"):
        FlashSinkhorn().prepare(task)
