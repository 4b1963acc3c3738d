"""Figures 4 and 5: digits by SeqSGDA and by the methods it is compared with (Adnan et al. 2021, section IV.A)."""

from __future__ import annotations

from functools import partial

from otgen.methods import SelfTerms
from otgen.papers.claims_on_runs import Compared
from otgen.papers.figure import Figure, panels_of
from otgen.papers.figure_metrics import FRECHET, SCORE
from otgen.papers.seqsgda import panels

MEASURED = (
    "The paper's scores are the Inception network's. Here the Fréchet distance and the classifier score are those of a "
    "small classifier of digits that comes with otgen; real digits score 9.86."
)
AT_SCALE_CPU = (
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

# As S between laws has them.
_INDEPENDENT = partial(panels.seqsgda, self_terms=SelfTerms.INDEPENDENT)

_better = partial(Compared, measure=FRECHET)

SEQSGDA_FIG4 = Figure(
    name="seqsgda.fig4",
    summary="digits by SeqSGDA and six other methods, with the same networks, for the same time",
    source="Adnan et al. 2021, Figures 4 and 5, and the comparison of its Section IV",
    panels=panels_of(
        ("seqsgda", "SeqSGDA", partial(panels.game, method=panels.seqsgda_large)),
        ("sinkhorn-autodiff", "Sinkhorn-AutoDiff", partial(panels.game, method=panels.sinkhorn_autodiff)),
        ("ot-gan", "OT-GAN", partial(panels.game, method=panels.ot_gan)),
        ("eot-gan", "EOT-GAN", partial(panels.game, method=panels.eot_gan)),
        ("swgan-sinkhorn", "SWGAN, Sinkhorn loss", partial(panels.game, method=panels.swgan_sinkhorn)),
        ("wgan-gp", "WGAN-GP", partial(panels.game, method=panels.wgan_gp)),
        ("pixel-sinkhorn", "Sinkhorn on pixels", partial(panels.game, method=panels.pixel_sinkhorn)),
        ("seqsgda-small", "SeqSGDA, small batches", partial(panels.game, method=panels.seqsgda)),
        ("seqsgda-independent", "SeqSGDA, independent small batches", partial(panels.game, method=_INDEPENDENT)),
    ),
    columns=5,
    measures=(FRECHET, SCORE),
    claims=(
        _better(
            statement="SeqSGDA is better than SGD with automatic differentiation through Sinkhorn's steps",
            where="Section IV.A, Figures 4 and 5; Figure 10",
            pairs=(("seqsgda", "sinkhorn-autodiff"),),
        ),
        Compared(
            statement="Its samples are less blurry",
            where="Section IV.A, Figures 4 and 5",
            measure=SCORE,
            pairs=(("seqsgda", "sinkhorn-autodiff"),),
        ),
        _better(
            statement="It is better than OT-GAN, EOT-GAN and SWGAN",
            where="Section V, which shows no run of the three",
            pairs=(("seqsgda", "ot-gan"), ("seqsgda", "eot-gan"), ("seqsgda", "swgan-sinkhorn")),
        ),
        _better(
            statement="It is better than WGAN-GP and than the divergence on pixels",
            where="no claim of the paper's: for the table",
            pairs=(("seqsgda", "wgan-gp"), ("seqsgda", "pixel-sinkhorn")),
        ),
        _better(
            statement="Self terms between one batch and itself cost quality",
            where="no claim of the paper's, which takes them for harmless (Section III.A)",
            pairs=(("seqsgda-independent", "seqsgda-small"),),
        ),
    ),
    deviations=(
        MEASURED,
        "The paper compares with SGD-AutoDiff alone, by eye. The other methods are ours to add, each with the same "
        "generator, critic, optimiser and time; what a method has besides was chosen in good faith and not tuned "
        "to the last.",
        "The last two panels, and the last claim, are not the paper's: SeqSGDA with batches of 64, as the other "
        "games have them and the ablations, and with its self terms between independent ones.",
        _LARGE,
        "SWGAN's cost is the squared distance of pixels, its regularisation weight 5 % of its mean, and its "
        "potentials' step size 3e-4. The features of OT-GAN learn at 3e-4 too: at 1e-3 one run in three was lost.",
        "The weights of EOT-GAN, the clipping of Sinkhorn-AutoDiff and the rates of OT-GAN are in no paper at hand.",
        AT_SCALE_CPU,
    ),
).entered()
"""Learning digits by SeqSGDA, and by the methods it is measured against."""
