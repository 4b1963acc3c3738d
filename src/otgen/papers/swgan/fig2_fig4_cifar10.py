"""Figures 2 and 4: CIFAR-10 (Sanjabi et al. 2018, section 5.2)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product

from otgen.ot import L1, Cosine
from otgen.papers.claims_on_curves import FallsApart, FasterSteps, Sooner, Steadier
from otgen.papers.claims_on_runs import Compared, Ground, NotMeasured
from otgen.papers.figure import Figure, panels_of
from otgen.papers.figure_metrics import FRECHET, SCORE
from otgen.papers.swgan.deviations import PAGE, Deviation, Kind, texts
from otgen.papers.swgan.image_deviations import CAP, CRITIC_OF_WGAN_GP, NETWORKS, REGULARISER, RIVALS, TRUNKS
from otgen.papers.swgan.image_panels import SwganPanel, cifar, ot_gan, rival, sinkhorn_solver, wgan_gp
from otgen.papers.swgan.printed import of_images, of_rival
from otgen.papers.swgan.settings import Setting

swgan_fig2 = SwganPanel(task=cifar, cost=Cosine(), latent=True, sinkhorn=True)
"""CIFAR-10 with the cosine cost on learnt features and the Sinkhorn loss."""

swgan_fig4 = SwganPanel(task=cifar, cost=Cosine())
"""CIFAR-10 with the cosine cost on pixels and the plain value, at one regularisation weight."""

_JUDGED = Deviation(
    kind=Kind.JUDGED,
    text="The paper's scores are the Inception network's. Here the score and the Fréchet distance are those of a small "
    "classifier of CIFAR-10 images, trained on JPEGs: real images score about 5.4 with it, and no number compares with "
    "a published one.",
)
_MISPRINTS = Deviation(
    kind=Kind.PRINTED,
    settings=(Setting.FEATURES,),
    text="The discriminator's list has CONV(64, 1024) and CONV(128, 2048) after layers of 512 and 1024 channels. Here "
    "they are CONV(512, 1024) and CONV(1024, 2048).",
)
_GATES = Deviation(
    kind=Kind.OPEN,
    text="The generator's list counts channels after or before the gated units; here after them, "
    "otgen.nets.GluReading has both. The codes' law is not printed for CIFAR-10; it is that of MNIST.",
)
_RATIO = Deviation(
    kind=Kind.OPEN,
    text="The text of L.1 has five generator steps an update of the features, Table 3 has two. Here it is two.",
)
_CPU = (
    Deviation(
        kind=Kind.CPU,
        settings=(Setting.GENERATOR, Setting.FEATURES, Setting.HEAD, Setting.KERNELS, Setting.BATCH),
        text="At scale cpu the networks have a sixteenth of the paper's width and kernels of 3, with batches of 100.",
    ),
    Deviation(
        kind=Kind.CPU,
        settings=(Setting.STEPS, Setting.GENERATOR_STEP, Setting.DISCRIMINATOR_STEP, Setting.DECAY, Setting.AVERAGE),
        text="At scale cpu all methods train for the same time on one core, 30 minutes or what --budget says, with "
        "step sizes of 0.001 that fall to a tenth in the second half, and samples are made by an average of the "
        "generator's weights.",
    ),
    Deviation(
        kind=Kind.CPU,
        settings=(Setting.DRAWS,),
        text="At scale cpu the batches of the potentials come from a pool of 200 samples that is drawn once a step.",
    ),
)
_CPU_WEIGHT = Deviation(
    kind=Kind.CPU,
    settings=(Setting.LAMBDA, Setting.PIXELS, Setting.UNIT),
    text="At scale cpu pixels lie in [0, 1], the potentials' unit is the mean cost at the start, and the weight is 0.5 "
    "for the cosine of features, half of the mean cost at the start for their L1, and a tenth of it for pixels.",
)

_OURS_2, _RIVALS_2 = ("swgan-l1", "swgan-cosine"), ("sinkhorn-solver", "wgan-gp", "ot-gan")

PRINTED_FIG2 = {
    **{f"swgan-{c.lower()}": of_images(mnist=False, cost=c, latent=True, sinkhorn=True) for c in ("cosine", "L1")},
    **{name: of_rival(mnist=False, transport=name != "wgan-gp") for name in _RIVALS_2},
}
"""What the paper prints of each panel of Figure 2."""

DEVIATIONS_FIG2 = (
    _JUDGED,
    Deviation(
        kind=Kind.JUDGED,
        text="That something converges faster is judged twice: by the score at the end of the same time, and by its "
        "mean over that time. How visually appealing samples are is judged by the Fréchet distance. The curves over "
        "time and over steps are in curves.png.",
    ),
    _MISPRINTS,
    CRITIC_OF_WGAN_GP,
    replace(REGULARISER, panels=_OURS_2),
    NETWORKS,
    _GATES,
    CAP,
    replace(RIVALS, settings=tuple(setting for setting in RIVALS.settings if setting is not Setting.BATCH)),
    Deviation(
        kind=Kind.OPEN,
        panels=("sinkhorn-solver", "ot-gan"),
        settings=(Setting.REGULARISER,),
        text="The Sinkhorn solver and OT-GAN are regularised by KL, as in their papers.",
    ),
    Deviation(
        kind=Kind.OPEN,
        panels=("ot-gan",),
        settings=(
            Setting.LAMBDA,
            Setting.COST,
            Setting.GENERATOR_STEP,
            Setting.DISCRIMINATOR_STEP,
            Setting.BETAS,
            Setting.STEPS,
            Setting.RATIO,
            Setting.SOLVER_STEPS,
        ),
        text="OT-GAN has the cosine cost and three generator steps an update of the features, as in its paper, here "
        "with a weight of 0.05 of the mean cost, 100 solver steps, and the table's step sizes and generator steps. It "
        "takes two batches of each law, of the table's size each.",
    ),
    _RATIO,
    *_CPU,
    _CPU_WEIGHT,
    Deviation(
        kind=Kind.CPU,
        panels=("sinkhorn-solver",),
        settings=(Setting.UPDATES,),
        text="At scale cpu the Sinkhorn solver's features take one update a step instead of three.",
    ),
)

SWGAN_FIG2 = Figure(
    name="swgan.fig2",
    summary="CIFAR-10 by SWGAN with two costs, by the Sinkhorn solver, WGAN-GP and OT-GAN, for the same time",
    source="Sanjabi et al. 2018, Figure 2",
    panels=panels_of(
        ("swgan-cosine", "SWGAN, cosine", swgan_fig2),
        ("swgan-l1", "SWGAN, L1", replace(swgan_fig2, cost=L1())),
        ("sinkhorn-solver", "Sinkhorn solver", partial(rival, task=cifar, method=sinkhorn_solver)),
        ("wgan-gp", "WGAN-GP", partial(rival, task=cifar, method=wgan_gp)),
        ("ot-gan", "OT-GAN", partial(rival, task=cifar, method=ot_gan)),
    ),
    columns=3,
    measures=(SCORE, FRECHET),
    claims=(
        Compared(
            ground=Ground.SPEED,
            statement="In the same time SWGAN reaches a higher score than the other methods",
            where="Section 5.2, Figure 2 (b)",
            measure=SCORE,
            pairs=tuple(product(_OURS_2, _RIVALS_2)),
        ),
        Sooner(
            statement="SWGAN converges faster than the other methods, in score over time",
            where="Section 5.2, Figure 2 (b)",
            measure=SCORE,
            pairs=tuple(product(_OURS_2, _RIVALS_2)),
        ),
        Sooner(
            statement="The L1 cost converges faster than the cosine cost, in score over time",
            where="Section 5.2",
            measure=SCORE,
            pairs=(("swgan-l1", "swgan-cosine"),),
        ),
        Compared(
            ground=Ground.SPEED,
            statement="Samples of the cosine cost are more appealing than those of L1",
            where="Section 5.2, Figure 2 (a), (c), by eye; here by the Fréchet distance",
            measure=FRECHET,
            pairs=(("swgan-cosine", "swgan-l1"),),
        ),
        FasterSteps(
            statement="OT-GAN is slower, as it uses two batches of each law and computes more",
            where="Section 5.2",
            pairs=tuple((panel, "ot-gan") for panel in (*_OURS_2, "sinkhorn-solver", "wgan-gp")),
        ),
    ),
    deviations=texts(DEVIATIONS_FIG2),
    settings=PAGE,
    seeds=2,
).entered()
"""Learning CIFAR-10 on learnt features, against other methods in the same time."""

_FALLING = ("annealed", "annealed-far")
_printed_fig4 = partial(of_images, mnist=False, cost=None, latent=False)

PRINTED_FIG4 = {
    "fixed": _printed_fig4(sinkhorn=False),
    **{name: _printed_fig4(sinkhorn=False, falls=True) for name in _FALLING},
    "sinkhorn": _printed_fig4(sinkhorn=True),
}
"""What the paper prints of each panel of Figure 4."""

DEVIATIONS_FIG4 = (
    _JUDGED,
    Deviation(
        kind=Kind.JUDGED,
        text="The paper shows pictures. Here a run is unstable where the Fréchet distance worsens from one evaluation "
        "to the next more than at a fixed weight, and has diverged where it ends at twice its best or by a numerical "
        "error. What the paper calls blurry is a Fréchet distance above that of the Sinkhorn loss.",
    ),
    _MISPRINTS,
    REGULARISER,
    NETWORKS,
    TRUNKS,
    _GATES,
    CAP,
    Deviation(
        kind=Kind.OPEN,
        settings=(Setting.COST,),
        text="The paper does not say which cost these panels have; here it is the cosine.",
    ),
    Deviation(
        kind=Kind.OPEN,
        panels=_FALLING,
        settings=(Setting.ANNEALING,),
        text="The paper annealed by hand and says neither from what nor to what. Here the weight falls geometrically "
        "from the table's in the first half of the steps, to a tenth and to a hundredth of it.",
    ),
    *_CPU,
    _CPU_WEIGHT,
    Deviation(
        kind=Kind.CPU,
        panels=_FALLING,
        settings=(Setting.ANNEALING,),
        text="At scale cpu the weight falls over 2,000 steps, about the first half of 30 minutes.",
    ),
)

SWGAN_FIG4 = Figure(
    name="swgan.fig4",
    summary="CIFAR-10 by SWGAN without the Sinkhorn loss, the regularisation weight fixed or falling",
    source="Sanjabi et al. 2018, Figure 4",
    panels=panels_of(
        ("fixed", "(a) plain value, fixed weight", swgan_fig4),
        ("annealed", "(b) plain value, weight to a tenth", replace(swgan_fig4, falls_to=0.1)),
        ("annealed-far", "(c) plain value, weight to a hundredth", replace(swgan_fig4, falls_to=0.01)),
        ("sinkhorn", "(d) Sinkhorn loss, fixed weight", replace(swgan_fig4, sinkhorn=True)),
    ),
    columns=2,
    measures=(SCORE, FRECHET),
    claims=(
        Compared(
            ground=Ground.SPEED,
            statement="Without the Sinkhorn loss no weight gives good samples: the best are blurry",
            where="Section 5.2, Figure 4 (a) to (c) against (d)",
            measure=FRECHET,
            pairs=tuple(("sinkhorn", panel) for panel in ("fixed", *_FALLING)),
        ),
        Steadier(
            statement="Training becomes unstable while the weight falls",
            where="Figure 4 (b), against (a)",
            measure=FRECHET,
            pairs=(("fixed", "annealed"),),
        ),
        FallsApart(
            statement="With a weight that goes on falling it diverges, and makes garbage",
            where="Figure 4 (c)",
            measure=FRECHET,
            by=("annealed-far",),
        ),
        Compared(
            ground=Ground.SPEED,
            statement="To let the weight fall too far is worse than to let it fall less",
            where="Figure 4 (b), (c)",
            measure=FRECHET,
            pairs=(("annealed", "annealed-far"),),
        ),
        NotMeasured(
            statement="That the Sinkhorn loss is better than the plain value shows more on CIFAR-10 than on MNIST",
            where="Section 5.1",
            reason="the Fréchet distances of the two data sets are those of two classifiers and do not compare",
        ),
    ),
    deviations=texts(DEVIATIONS_FIG4),
    settings=PAGE,
    seeds=2,
).entered()
"""Why the paper turns to the Sinkhorn loss (a plain value is blurred at a large weight, unstable at a small one)."""
