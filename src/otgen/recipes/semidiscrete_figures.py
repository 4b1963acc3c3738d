"""The figure of semi-discrete generators (Houdard et al. 2021)."""

from __future__ import annotations

from otgen.recipes.figures import Figure, Panel, figure
from otgen.recipes.measures import FRECHET, SCORE
from otgen.recipes.semidiscrete import DigitsPanel
from otgen.recipes.verdicts import Better, Bound, Compared, Measure, Reached

_W1 = Measure(key="w1_matched", label="W1 of pixels to the data", better=Better.LOWER, form=".3f")
_LEAST = Measure(key="classes_share_min", label="smallest class (even: 0.1)", better=Better.HIGHER, form=".3f")
# What a law that has collapsed to one image scores.
_BLUR = Measure(key="classifier_score", label="classifier score", better=Better.LOWER, form=".2f")

SEMIDISCRETE_FIG2 = figure(
    Figure(
        name="semidiscrete.fig2",
        summary="digits by semi-discrete transport to every one of them, over the regularisation weight",
        source="Houdard et al. 2021, Figure 2",
        panels=(
            Panel(name="low", title="eps = 0.001", build=DigitsPanel(eps=1e-3)),
            Panel(name="middle", title="eps = 0.01", build=DigitsPanel(eps=1e-2)),
            Panel(name="high", title="eps = 0.1", build=DigitsPanel(eps=1e-1)),
            Panel(
                name="middle-unbiased",
                title="eps = 0.01, bias taken off",
                build=DigitsPanel(eps=1e-2, self_samples=256),
            ),
            Panel(name="low-letter", title="eps = 0.001, Algorithm 1", build=DigitsPanel(eps=1e-3, letter=True)),
        ),
        columns=5,
        main="low",
        measures=(FRECHET, SCORE, _LEAST, _W1),
        claims=(
            Reached(
                text="A small regularisation weight learns digits, of all classes",
                source="Section 4, Figure 2",
                bounds=(Bound(measure=SCORE, value=4.0), Bound(measure=_LEAST, value=0.01)),
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
                measure=_W1,
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
        seeds=3,
    )
)
"""Digits, over the regularisation weight."""
