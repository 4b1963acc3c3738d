"""Figures 6 to 10: photographs of cats (Adnan et al. 2021, section IV.A)."""

from __future__ import annotations

from functools import partial

from otgen.papers.claims_on_runs import Compared
from otgen.papers.figure import Figure, panels_of
from otgen.papers.figure_metrics import W1_OF_PIXELS
from otgen.papers.seqsgda.panels import game, seqsgda, sinkhorn_autodiff, wgan_gp

_cats = partial(game, colour=True, seconds=300)

SEQSGDA_FIG6 = Figure(
    name="seqsgda.fig6",
    summary="photographs of cats by SeqSGDA, Sinkhorn-AutoDiff and WGAN-GP",
    source="Adnan et al. 2021, Figures 6 to 10",
    panels=panels_of(
        ("seqsgda", "SeqSGDA", partial(_cats, method=seqsgda)),
        ("sinkhorn-autodiff", "Sinkhorn-AutoDiff", partial(_cats, method=sinkhorn_autodiff)),
        ("wgan-gp", "WGAN-GP", partial(_cats, method=wgan_gp)),
    ),
    columns=3,
    measures=(W1_OF_PIXELS,),
    claims=(
        Compared(
            statement="SeqSGDA is nearer to the data than SGD with automatic differentiation",
            where="Section IV.A, Figure 10",
            measure=W1_OF_PIXELS,
            pairs=(("seqsgda", "sinkhorn-autodiff"),),
        ),
    ),
    deviations=(
        "The paper's Cats are not to be had; a folder of photographs takes their place, cropped to the largest "
        "centred square. CelebA, as a folder, runs by the same command with `--data`.",
        "The paper compares by the Inception network's distance and score. Here it is the exact transport distance "
        "of pixels, which sees colours and shapes and no texture.",
        "At scale cpu the networks are those of `seqsgda.fig4`, for five minutes.",
    ),
).entered()
"""Learning photographs from a folder."""
