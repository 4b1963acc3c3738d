"""Figures 11 to 21: SeqSGDA over one hyper-parameter at a time (Adnan et al. 2021, sections IV.B and IV.C)."""

from __future__ import annotations

from functools import partial
from typing import Any

from otgen.ot import Cost, PNorm, Relative, SqEuclidean
from otgen.papers.claims_on_runs import Alike, Bound, Compared, Reached, RunClaim
from otgen.papers.figure import Figure, Panel, panels_of
from otgen.papers.figure_metrics import FRECHET, SCORE, Better, Measure
from otgen.papers.recipe import Builder
from otgen.papers.seqsgda.fig4_digits import AT_SCALE_CPU, MEASURED
from otgen.papers.seqsgda.panels import game, seqsgda, seqsgda_weighted

_minute = partial(game, seconds=60)
_better, _alike = partial(Compared, measure=FRECHET), partial(Alike, measure=FRECHET)


def _changed(**changes: Any) -> Builder:
    """SeqSGDA on digits for a minute, with hyper-parameters that differ from those of the main run."""
    return partial(_minute, method=partial(seqsgda, **changes))


# Upper end of the 95 % interval of `otgen ssim`'s slope.
_SLOPE = Measure(key="ssim_slope_high", label="largest slope within 95 %", better=Better.LOWER)


def _ablation(
    number: str, summary: str, source: str, panels: tuple[Panel, ...], main: str, *claims: RunClaim
) -> Figure:
    """A figure in which one hyper-parameter of SeqSGDA changes."""
    return Figure(
        name=f"seqsgda.fig{number}",
        summary=summary,
        source=f"Adnan et al. 2021, {source}",
        panels=panels,
        columns=len(panels),
        main=main,
        measures=(FRECHET, SCORE),
        claims=claims,
        deviations=(
            MEASURED,
            "The paper trains for 400,000 steps and more, and draws losses and samples. Here every run of an "
            "ablation trains for a minute at scale cpu, so that what costs more gets fewer steps.",
            AT_SCALE_CPU,
        ),
    ).entered()


SEQSGDA_FIG11 = _ablation(
    "11",
    "SeqSGDA on digits, over the batch size m",
    "Figures 11 and 12",
    tuple(Panel(name=f"m{m}", title=f"m = {m}", build=_changed(batch=m)) for m in (10, 100, 200, 300)),
    "m100",
    _alike(
        statement="The quality of the samples does not depend on m",
        where="Section IV.B, Figures 11 and 12",
        pairs=(("m100", "m200"), ("m100", "m300")),
    ),
    _better(
        statement="Batches of 10 are poor",
        where="Section IV.B",
        pairs=(("m100", "m10"),),
    ),
    _better(
        statement="Batches of 200 and 300 do harm: the game needs m far below N",
        where="Section IV.A, Figure 11, by the fluctuation of the losses; here by the quality of the samples",
        pairs=(("m100", "m200"), ("m100", "m300")),
    ),
)
"""The batch size."""


def _weighted(short: Relative, paper: float) -> Builder:
    return partial(_minute, method=partial(seqsgda_weighted, short=short, paper=paper))


SEQSGDA_FIG13 = _ablation(
    "13",
    "SeqSGDA on digits, over the regularisation weight",
    "Figures 13 and 14",
    panels_of(
        ("eps-high", "eps = 0.01 (cpu: 20 % of the mean cost)", _weighted(Relative(0.2), 0.01)),
        ("eps-middle", "eps = 0.005 (cpu: 5 %)", _weighted(Relative(0.05), 0.005)),
        ("eps-low", "eps = 0.001 (cpu: 1 %)", _weighted(Relative(0.01), 0.001)),
    ),
    "eps-middle",
    _better(
        statement="A lower regularisation weight makes better samples",
        where="Section IV.B, Figures 13 and 14",
        pairs=(("eps-middle", "eps-high"), ("eps-low", "eps-middle")),
    ),
)
"""The regularisation weight."""

SEQSGDA_FIG15 = _ablation(
    "15",
    "SeqSGDA on digits, over the solver's steps L",
    "Figures 15 and 16",
    tuple(Panel(name=f"L{L}", title=f"L = {L}", build=_changed(max_steps=L)) for L in (10, 50, 100)),
    "L10",
    _alike(
        statement="More steps of the solver do not help",
        where="Section IV.B, Figures 15 and 16",
        pairs=(("L10", "L50"), ("L10", "L100")),
    ),
)
"""The solver's steps."""


def _power(p: float) -> Cost:
    return SqEuclidean() if p == 2 else PNorm(p=p)


SEQSGDA_FIG17 = _ablation(
    "17",
    "SeqSGDA on digits, over the power p of the cost",
    "Figures 17 and 18",
    tuple(Panel(name=f"p{p}", title=f"p = {p}", build=_changed(cost=_power(p))) for p in (2, 5, 7)),
    "p2",
    _better(
        statement="The best power is 2",
        where="Section IV.B, Figures 17 and 18",
        pairs=(("p2", "p5"), ("p2", "p7")),
    ),
)
"""The power of the cost."""

SEQSGDA_FIG19 = _ablation(
    "19",
    "SeqSGDA on digits, over powers p a little above 2",
    "Figures 19 and 20",
    tuple(Panel(name=f"p{p}", title=f"p = {p}", build=_changed(cost=_power(p))) for p in (2, 2.05, 2.10, 2.15, 2.3)),
    "p2.05",
    _alike(
        statement="All converge to similar samples",
        where="Section IV.B, Figures 19 and 20",
        pairs=(("p2", "p2.05"), ("p2", "p2.1"), ("p2", "p2.15"), ("p2", "p2.3")),
    ),
)
"""Powers of the cost a little above 2, whose divergence is none."""

SEQSGDA_FIG21 = _ablation(
    "21",
    "SeqSGDA on digits, over the critic updates a generator update, at p = 2.15",
    "Figures 21 and 22",
    tuple(
        Panel(name=f"n{n}", title=f"n_critic = {n}", build=_changed(cost=_power(2.15), n_critic=n))
        for n in (1, 5, 10, 15)
    ),
    "n5",
    _alike(
        statement="The quality of the samples does not depend on the critic updates",
        where="Section IV.C shows the similarity of weights for all of them, `otgen ssim RUN`",
        pairs=(("n5", "n10"), ("n10", "n15")),
    ),
    Reached(
        statement="The slope of log(1/SSIM) of the weights over log updates is a rate: it is below 0",
        where="Section IV.C, Figure 22; see B4 for what the slope of a power law is",
        bounds=(Bound(measure=_SLOPE, value=0.0),),
        by=("n5",),
    ),
)
"""The critic updates a generator update; `otgen ssim` on a run of it is the figure itself."""
