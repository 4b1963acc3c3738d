"""No interval misses the truth, nothing is called converged that is not, nothing is infinite without a word.

The truth has sixty digits. A failure names its problem: `cases.hard_problems.hard_problem(number, kind)` makes it.
"""

from __future__ import annotations

import pytest

from cases.components import public
from cases.hard_checks import SOLVERS, report
from otgen.ot import Regulariser

KINDS = public(Regulariser)  # type: ignore[type-abstract]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
# Problems of a regulariser, in blocks that fail one by one.
BLOCKS, BLOCK = 12, 200
TAME = 1500


def test_every_regulariser_has_solvers() -> None:
    assert set(SOLVERS) == set(KINDS)


@every_kind
def test_some_hard_problems(kind: type[Regulariser]) -> None:
    found = report(kind, range(20), SOLVERS[kind])
    assert not found.wrong, found.text()


@every_kind
def test_some_tame_problems_converge(kind: type[Regulariser]) -> None:
    found = report(kind, range(100), (None,), tame=True)
    assert not found.wrong, found.text()
    assert found.converged >= 0.99 * found.solves, found.text()


@pytest.mark.slow
@every_kind
@pytest.mark.parametrize("block", range(BLOCKS))
def test_hard_problems(kind: type[Regulariser], block: int) -> None:
    found = report(kind, range(block * BLOCK, (block + 1) * BLOCK), SOLVERS[kind])
    assert not found.wrong, found.text()


@pytest.mark.slow
@every_kind
def test_it_is_not_bought_by_refusing(kind: type[Regulariser]) -> None:
    """Without outliers, from 1e-3 of the mean cost on, weights down to 1e-30: the default solver gets there."""
    found = report(kind, range(TAME), (None,), tame=True)
    assert not found.wrong, found.text()
    assert found.converged >= 0.99 * found.solves, found.text(most=0)
