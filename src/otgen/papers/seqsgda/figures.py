"""The figures of SeqSGDA (Adnan et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from otgen.methods import Method
from otgen.ot import Cost, PNorm, Relative, SqEuclidean
from otgen.papers.figure import Figure, Panel, figure, panels_of
from otgen.papers.measures import FRECHET, SCORE, W1_OF_PIXELS
from otgen.papers.seqsgda.games import (
    GamePanel,
    Setting,
    eot_gan,
    ot_gan,
    pixel_sinkhorn,
    seqsgda,
    seqsgda_independent,
    seqsgda_large,
    seqsgda_weighted,
    sinkhorn_autodiff,
    swgan_sinkhorn,
    wgan_gp,
)
from otgen.papers.run_claims import Alike, Claim, Compared

_MEASURED = (
    "The paper's scores are the Inception network's. Here the Fréchet distance and the classifier score are those of a "
    "small classifier of digits that comes with otgen; real digits score 9.86."
)
_CPU = (
    "At scale cpu a run trains on the 5,000 digits of the package, 28 x 28, with networks that learn in a minute (two "
    "convolutions of 16 and 32 channels, linear layers of 512 and 256 units) instead of the DCGAN pair of Table 2; "
    "batches of 64, Adam of step size 2e-3 without momentum that falls in the second half, 1 critic update instead of "
    "10, p = 1 instead of 2 where the figure is not about p, the envelope gradient, and 5 % of the mean cost of the "
    "features as regularisation weight instead of 1."
)
_LARGE = (
    "SeqSGDA and Sinkhorn-AutoDiff have batches of 256, which took both further (`seqsgda.fig11`), and a larger "
    "regularisation weight, the features' mean cost. SeqSGDA's step sizes are 1e-3, Sinkhorn-AutoDiff's 2e-3 and, "
    "for its features, 5e-5: with faster ones the samples become alike."
)

SEQSGDA_FIG4 = figure(
    Figure(
        name="seqsgda.fig4",
        summary="digits by SeqSGDA and six other methods, with the same networks, for the same time",
        source="Adnan et al. 2021, Figures 4 and 5, and the comparison of its Section IV",
        panels=panels_of(
            ("seqsgda", "SeqSGDA", GamePanel(method=seqsgda_large)),
            ("sinkhorn-autodiff", "Sinkhorn-AutoDiff", GamePanel(method=sinkhorn_autodiff)),
            ("ot-gan", "OT-GAN", GamePanel(method=ot_gan)),
            ("eot-gan", "EOT-GAN", GamePanel(method=eot_gan)),
            ("swgan-sinkhorn", "SWGAN, Sinkhorn loss", GamePanel(method=swgan_sinkhorn)),
            ("wgan-gp", "WGAN-GP", GamePanel(method=wgan_gp)),
            ("pixel-sinkhorn", "Sinkhorn on pixels", GamePanel(method=pixel_sinkhorn)),
            ("seqsgda-small", "SeqSGDA, small batches", GamePanel(method=seqsgda)),
            ("seqsgda-independent", "SeqSGDA, independent small batches", GamePanel(method=seqsgda_independent)),
        ),
        columns=5,
        main="seqsgda",
        measures=(FRECHET, SCORE),
        claims=(
            Compared(
                text="SeqSGDA is better than SGD with automatic differentiation through Sinkhorn's steps",
                source="Section IV.A, Figures 4 and 5; Figure 10",
                measure=FRECHET,
                pairs=(("seqsgda", "sinkhorn-autodiff"),),
            ),
            Compared(
                text="Its samples are less blurry",
                source="Section IV.A, Figures 4 and 5",
                measure=SCORE,
                pairs=(("seqsgda", "sinkhorn-autodiff"),),
            ),
            Compared(
                text="It is better than the other games on transport between features",
                source="Section II, as its argument for sequential steps has it",
                measure=FRECHET,
                pairs=(("seqsgda", "ot-gan"), ("seqsgda", "eot-gan")),
            ),
            Compared(
                text="It is better than the methods of the other papers",
                source="no claim of the paper's: for the table",
                measure=FRECHET,
                pairs=(("seqsgda", "swgan-sinkhorn"), ("seqsgda", "wgan-gp"), ("seqsgda", "pixel-sinkhorn")),
            ),
            Compared(
                text="Self terms between one batch and itself cost quality",
                source="no claim of the paper's, which takes them for harmless (Section III.A)",
                measure=FRECHET,
                pairs=(("seqsgda-independent", "seqsgda-small"),),
            ),
        ),
        deviations=(
            _MEASURED,
            "The paper compares with SGD-AutoDiff alone, by eye. The other methods are ours to add, each with the same "
            "generator, critic, optimiser and time; what a method has besides was chosen in good faith and not tuned "
            "to the last.",
            "The last two panels, and the last claim, are not the paper's: SeqSGDA with batches of 64, as the other "
            "games have them and the ablations, and with its self terms between independent ones.",
            _LARGE,
            "SWGAN's cost is the squared distance of pixels, its regularisation weight 5 % of its mean, and its "
            "potentials' step size 3e-4. The features of OT-GAN learn at 3e-4 too: at 1e-3 one run in three was lost.",
            "The weights of EOT-GAN, the clipping of Sinkhorn-AutoDiff and the rates of OT-GAN are in no paper at "
            "hand.",
            _CPU,
        ),
        least_steps=500,
    )
)
"""Learning digits by SeqSGDA, and by the methods it is measured against."""


def _changed(**changes: Any) -> GamePanel:
    """SeqSGDA on digits for a minute, with hyper-parameters that differ from those of the main run."""
    return GamePanel(method=partial(seqsgda, **changes), seconds=60)


def _ablation(number: str, summary: str, source: str, panels: tuple[Panel, ...], main: str, *claims: Claim) -> Figure:
    """A figure in which one hyper-parameter of SeqSGDA changes."""
    return figure(
        Figure(
            name=f"seqsgda.fig{number}",
            summary=summary,
            source=f"Adnan et al. 2021, {source}",
            panels=panels,
            columns=len(panels),
            main=main,
            measures=(FRECHET, SCORE),
            claims=claims,
            deviations=(
                _MEASURED,
                "The paper trains for 400,000 steps and more, and draws losses and samples. Here every run of an "
                "ablation trains for a minute at scale cpu, so that what costs more gets fewer steps.",
                _CPU,
            ),
            least_steps=100,
        )
    )


SEQSGDA_FIG11 = _ablation(
    "11",
    "SeqSGDA on digits, over the batch size m",
    "Figures 11 and 12",
    tuple(Panel(name=f"m{m}", title=f"m = {m}", build=_changed(batch=m)) for m in (10, 100, 200, 300)),
    "m100",
    Alike(
        text="The quality of the samples does not depend on m",
        source="Section IV.B, Figures 11 and 12",
        measure=FRECHET,
        pairs=(("m100", "m200"), ("m100", "m300")),
    ),
    Compared(
        text="Batches of 10 are poor",
        source="Section IV.B",
        measure=FRECHET,
        pairs=(("m100", "m10"),),
    ),
)
"""The batch size."""


def _weighted(short: Relative, paper: float) -> GamePanel:
    return GamePanel(method=partial(seqsgda_weighted, short=short, paper=paper), seconds=60)


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
    Compared(
        text="A lower regularisation weight makes better samples",
        source="Section IV.B, Figures 13 and 14",
        measure=FRECHET,
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
    Alike(
        text="More steps of the solver do not help",
        source="Section IV.B, Figures 15 and 16",
        measure=FRECHET,
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
    Compared(
        text="The best power is 2",
        source="Section IV.B, Figures 17 and 18",
        measure=FRECHET,
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
    Alike(
        text="All converge to similar samples",
        source="Section IV.B, Figures 19 and 20",
        measure=FRECHET,
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
    Alike(
        text="The quality of the samples does not depend on the critic updates",
        source="Section IV.C shows the similarity of weights for all of them, `otgen ssim RUN`",
        measure=FRECHET,
        pairs=(("n5", "n10"), ("n10", "n15")),
    ),
)
"""The critic updates a generator update; `otgen ssim` on a run of it is the figure itself."""


def _cats(method: Callable[[Setting], Method]) -> GamePanel:
    return GamePanel(method=method, colour=True, seconds=300)


SEQSGDA_FIG6 = figure(
    Figure(
        name="seqsgda.fig6",
        summary="photographs of cats by SeqSGDA, Sinkhorn-AutoDiff and WGAN-GP",
        source="Adnan et al. 2021, Figures 6 to 10",
        panels=panels_of(
            ("seqsgda", "SeqSGDA", _cats(seqsgda)),
            ("sinkhorn-autodiff", "Sinkhorn-AutoDiff", _cats(sinkhorn_autodiff)),
            ("wgan-gp", "WGAN-GP", _cats(wgan_gp)),
        ),
        columns=3,
        main="seqsgda",
        measures=(W1_OF_PIXELS,),
        claims=(
            Compared(
                text="SeqSGDA is nearer to the data than SGD with automatic differentiation",
                source="Section IV.A, Figure 10",
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
        least_steps=500,
    )
)
"""Learning photographs from a folder."""
