"""The figure of semi-discrete generators (Houdard et al. 2021)."""

from __future__ import annotations

from otgen.papers.figure import Figure, figure, panels_of
from otgen.papers.measures import FRECHET, LEAST_CLASS, SCORE, W1_OF_PIXELS
from otgen.papers.semidiscrete.digits import DigitsPanel
from otgen.papers.run_claims import Better, Bound, Compared, Measure, Reached

# What a law that has collapsed to one image scores.
_BLUR = Measure(key="classifier_score", label="classifier score", better=Better.LOWER, form=".2f")

SEMIDISCRETE_FIG2 = figure(
    Figure(
        name="semidiscrete.fig2",
        summary="digits by semi-discrete transport to every one of them, over the regularisation weight",
        source="Houdard et al. 2021, Figure 2",
        panels=panels_of(
            ("low", "eps = 0.001", DigitsPanel(eps=1e-3)),
            ("middle", "eps = 0.01", DigitsPanel(eps=1e-2)),
            ("high", "eps = 0.1", DigitsPanel(eps=1e-1)),
            ("middle-unbiased", "eps = 0.01, bias taken off", DigitsPanel(eps=1e-2, self_samples=256)),
            ("low-letter", "eps = 0.001, Algorithm 1", DigitsPanel(eps=1e-3, letter=True)),
        ),
        columns=5,
        main="low",
        measures=(FRECHET, SCORE, LEAST_CLASS, W1_OF_PIXELS),
        claims=(
            Reached(
                text="A small regularisation weight learns digits, of all classes",
                source="Section 4, Figure 2",
                bounds=(Bound(measure=SCORE, value=4.0), Bound(measure=LEAST_CLASS, value=0.01)),
                by=("low",),
            ),
            Reached(
                text="A large one collapses to a mean image",
                source="Section 4, Figure 2",
                bounds=(Bound(measure=_BLUR, value=1.5),),
                by=("high",),
            ),
            Compared(
                text="The smaller weight is the better one",
                source="Section 4, Figure 2",
                measure=FRECHET,
                pairs=(("low", "middle"), ("middle", "high")),
            ),
            Compared(
                text="Potentials that follow the generator come nearer to the data than those of Algorithm 1",
                source="no claim of the paper's: the same cost, in the same time",
                measure=W1_OF_PIXELS,
                pairs=(("low", "low-letter"),),
            ),
            Compared(
                text="Without its bias a middling weight makes better samples",
                source="no claim of the paper's, which leaves the debiased cost open",
                measure=FRECHET,
                pairs=(("middle-unbiased", "middle"),),
            ),
        ),
        deviations=(
            "Of the paper's three weights one is legible, 0.1, at which it sees the mean image: with a sum over pixels "
            "that is impossible, and so the cost is taken as a mean over pixels.",
            "The paper shows pictures. Here a score of 4 on a small classifier of digits, with at least 1 % of the "
            "samples in each class, counts as digits, and one of 1.5 or less as one image.",
            "At scale cpu the 5,000 digits of the package are the atoms, for 150 seconds on a core: ten updates of psi "
            "a step, on 32 codes each, and step sizes of 1e-3 that fall. The last panel keeps the paper's 200 averaged "
            "updates on 100 codes and 1e-4.",
        ),
    )
)
"""Digits, over the regularisation weight."""
