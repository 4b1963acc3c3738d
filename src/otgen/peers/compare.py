"""Our interval, and where the peers' values lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor

from otgen.errors import OtgenError
from otgen.ot import Cost, Discrete, OnUnconverged, Regulariser, Solution, solve
from otgen.peers.base import Answer, Peer, Task, Unavailable
from otgen.peers.flash import FlashSinkhorn
from otgen.peers.geomloss import GeomLoss
from otgen.peers.ott import OttJax
from otgen.peers.pot import PotExact, PotLog, PotQuadratic

PEERS: tuple[Peer, ...] = (PotLog(), PotExact(), PotQuadratic(), GeomLoss(), OttJax(), FlashSinkhorn())

# Rounding units of its precision that a peer may be off, relative to the value and the mean cost.
_ROUNDINGS = 64
# Of the tolerance on the gap: the error of the marginals that peers are asked for, so that theirs counts little.
_MARGINALS = 1e-2

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Row:
    """How one peer did.

    Attributes:
        name: of the peer.
        version: empty where it is not installed.
        answer: None where it gave none.
        reason: why not.
        off: how far its value is outside our interval, beyond what it may be; positive above, negative below.
        first: seconds of the first call, compilation included.
        again: seconds of the second.
    """

    name: str
    version: str = ""
    answer: Answer | None = None
    reason: str = ""
    off: float = 0.0
    first: float = 0.0
    again: float = 0.0

    @property
    def disagrees(self) -> bool:
        """Whether it says it converged, and lies outside."""
        return self.answer is not None and self.answer.converged is True and self.off != 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """Our solution, and the peers' rows.

    Attributes:
        solution: of ours.
        first: seconds of our first solve and certificate.
        again: seconds of the second.
        rows: one a peer.
    """

    solution: Solution
    first: float
    again: float
    rows: tuple[Row, ...]


def compare(
    x: Tensor, y: Tensor, cost: Cost, reg: Regulariser, peers: Sequence[Peer], *, tol: float, max_steps: int
) -> Report:
    """Solve the problem between two clouds of uniform weights with ours and with peers.

    A peer may be off our interval by 64 roundings of its precision, relative to the larger of the value and the mean
    cost; and by the error of its marginals times the largest potential, which bounds what an infeasible plan gains.

    Args:
        x: ``(n, d)``.
        y: ``(m, d)``.
        cost: the ground cost.
        reg: the regulariser; a relative eps is resolved once, for all.
        peers: whom to ask.
        tol: relative gap that ours shall reach; peers are asked for marginals good to 1 % of that.
        max_steps: the most iterations of each.
    """

    problem = Discrete(x, y, cost=cost, reg=reg)

    def ours() -> Solution:
        solution = solve(problem, tol=tol, max_steps=max_steps, on_unconverged=OnUnconverged.IGNORE)
        _ = solution.certificate
        return solution

    solution, first = _timed(ours)
    _, again = _timed(ours)
    left, right = problem.sides()
    reg = solution.problem.reg
    task = Task(x=left.points, y=right.points, cost=cost, reg=reg, tol=_MARGINALS * tol, max_steps=max_steps)
    rows = tuple(_row(peer, task, solution) for peer in peers)
    return Report(solution=solution, first=first, again=again, rows=rows)


def _row(peer: Peer, task: Task, solution: Solution) -> Row:
    row = Row(name=peer.name)
    try:
        row = replace(row, version=peer.version())
        call = peer.prepare(task)
        answer, first = _timed(call)
        _, again = _timed(call)
    except Unavailable as error:
        return replace(row, reason=str(error))
    except OtgenError:
        raise
    except Exception as error:
        # Whatever goes wrong in a peer is a line of the table, not our failure.
        text = " ".join(str(error).split())
        return replace(row, reason=f"{type(error).__name__}: {text}"[:200])
    return replace(row, answer=answer, off=_off(answer, solution), first=first, again=again)


def _off(answer: Answer, solution: Solution) -> float:
    lower, upper = float(solution.lower), float(solution.upper)
    size = max(abs(lower), abs(upper), abs(solution.problem.mean_cost))
    potentials = solution.potentials
    largest = float(potentials.f.abs().max() + potentials.g.abs().max())
    allowed = _ROUNDINGS * answer.unit * size + answer.residual * largest
    if not abs(answer.value) < float("inf"):
        return float("nan")
    if answer.value > upper + allowed:
        return answer.value - upper
    return answer.value - lower if answer.value < lower - allowed else 0.0


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start
