"""Figures 1 and 2: critics of fixed pairs of laws (Pinetz et al. 2018, section 5.1); a study measures them."""

from __future__ import annotations

from otgen.papers.claims_on_runs import Bound, Reached
from otgen.papers.figure import Study
from otgen.papers.figure_metrics import Better, Measure

_STRAIGHT = Measure(key="linear_share", label="share that a straight line explains", better=Better.HIGHER, form=".2f")
_STEEP = Measure(key="lipschitz", label="largest slope", better=Better.HIGHER, form=".2f")
_PROVED = Measure(key="proved", label="share of W1 that the critic proves", better=Better.LOWER, form=".2f")
_SCRIPT = "studies/sco/critics.py"

Study(
    name="sco.fig1",
    summary="the best critic of two laws on the line, and networks in its place",
    script=_SCRIPT,
    claims=(
        Reached(
            statement="Networks turn a critic that is bent into a straight one",
            where="Figure 1",
            bounds=(Bound(measure=_STRAIGHT, value=0.9),),
            by=("spreads-clipped", "spreads-penalised"),
        ),
        Reached(
            statement="Networks are not 0 where both laws are equal",
            where="Figure 1",
            bounds=(Bound(measure=_STEEP, value=0.1),),
            by=("identical-clipped", "identical-penalised"),
        ),
    ),
).entered()

Study(
    name="sco.fig2",
    summary="the best critic of two laws on the plane, and networks in its place",
    script=_SCRIPT,
    claims=(
        Reached(
            statement="Networks underestimate W1 by far",
            where="Figure 2",
            bounds=(Bound(measure=_PROVED, value=0.9),),
            by=tuple(f"{pair}-{critic}" for pair in ("means", "spreads") for critic in ("clipped", "penalised")),
        ),
    ),
).entered()
