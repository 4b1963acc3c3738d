"""Forbidden pairs: no interval misses the truth, nothing is called converged that is not, nothing is NaN.

A failure names its problem: `cases.forbidden_problems.forbidding(number, kind)` makes it.
"""

from __future__ import annotations

import pytest

from cases.components import public
from cases.forbidden_checks import report
from otgen.ot import Regulariser

KINDS = public(Regulariser)  # type: ignore[type-abstract]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
# Problems of a regulariser, in blocks that fail one by one.
BLOCKS, BLOCK = 6, 100


@every_kind
def test_some_forbidden_pairs(kind: type[Regulariser]) -> None:
    found = report(kind, range(8))
    assert not found.wrong, found.text()


@pytest.mark.slow
@every_kind
@pytest.mark.parametrize("block", range(BLOCKS))
def test_forbidden_pairs(kind: type[Regulariser], block: int) -> None:
    found = report(kind, range(block * BLOCK, (block + 1) * BLOCK))
    assert not found.wrong, found.text()


@pytest.mark.slow
@every_kind
def test_it_is_not_bought_by_giving_up(kind: type[Regulariser]) -> None:
    """The default solver gets there; under KL not on some supports where its steps hardly move the mass."""
    found = report(kind, range(500), (None,))
    assert not found.wrong, found.text()
    assert found.converged >= 0.96 * found.solves, found.text()
