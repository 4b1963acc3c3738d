"""The figures of SWGAN (Sanjabi et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from otgen.methods import Signs
from otgen.ot import L1, Cosine
from otgen.papers.figure import Figure, Panel, figure, panels_of
from otgen.papers.measures import FRECHET, MODES, QUALITY, SCORE, W1
from otgen.papers.run_claims import Better, Bound, Compared, Measure, Reached
from otgen.papers.swgan.fig3_gaussians import swgan_fig3, swgan_fig3_d2, wgan_gp_fig3, wgan_gp_fig3_d2
from otgen.papers.swgan.images import (
    RivalPanel,
    SwganPanel,
    mnist,
    sinkhorn_solver,
    swgan_fig2,
    swgan_fig4,
    timed_cifar,
    wgan_gp,
)

_LEAST = Measure(key="modes_share_min", label="smallest mode (even: 1)", better=Better.HIGHER, form=".2f")
_MOST = Measure(key="modes_share_max", label="largest mode (even: 1)", better=Better.LOWER, form=".2f")

# The paper shows a picture and no number. That a mode is there, that the samples are on the modes, and that the modes
# are about even is what it takes for a picture to look like the data.
_RECOVERED = (
    Bound(measure=MODES, value=25),
    Bound(measure=QUALITY, value=0.95),
    Bound(measure=_LEAST, value=0.5),
    Bound(measure=_MOST, value=2.0),
)

SWGAN_FIG3 = figure(
    Figure(
        name="swgan.fig3",
        summary="25 Gaussians on a grid by SWGAN and WGAN-GP, with four latent dimensions and with two",
        source="Sanjabi et al. 2018, Figure 3",
        panels=panels_of(
            ("swgan-d4", "SWGAN, d = 4", swgan_fig3),
            ("wgan-gp-d4", "WGAN-GP, d = 4", wgan_gp_fig3),
            ("swgan-d2", "SWGAN, d = 2", swgan_fig3_d2),
            ("wgan-gp-d2", "WGAN-GP, d = 2", wgan_gp_fig3_d2),
        ),
        columns=2,
        main="swgan-d4",
        measures=(MODES, QUALITY, _LEAST, _MOST, W1),
        claims=(
            *(
                Reached(text=text, source=f"Appendix K, Figure 3 ({letter})", bounds=_RECOVERED, by=(panel,))
                for panel, letter, text in (
                    ("swgan-d4", "a", "SWGAN recovers all 25 modes with a code of four dimensions, in 10,000 steps"),
                    ("swgan-d2", "c", "It recovers them with a code of two dimensions, with the same hyper-parameters"),
                    ("wgan-gp-d4", "b", "WGAN-GP recovers them with a code of four dimensions, in 30,000 steps"),
                )
            ),
            Compared(
                text="WGAN-GP becomes much worse with a code of two dimensions",
                source="Appendix K, Figure 3 (d)",
                measure=QUALITY,
                pairs=(("wgan-gp-d4", "wgan-gp-d2"),),
            ),
            Compared(
                text="With a code of two dimensions SWGAN is the better one",
                source="Appendix K",
                measure=QUALITY,
                pairs=(("swgan-d2", "wgan-gp-d2"),),
            ),
        ),
        deviations=(
            "The paper takes the data from elsewhere and gives no numbers. These are the ones of the WGAN-GP authors' "
            "code: a grid of spacing 2, standard deviation 0.05, all divided by 2.828.",
            "The paper shows pictures. Here the modes count as recovered when all 25 are found, 95 % of the samples "
            "lie within 3 standard deviations of one, and no mode has less than half or more than twice its share.",
            "The hyper-parameters of the paper's WGAN-GP were tuned by hand and are not given. These are our own: at "
            "scale cpu the best of some thirty settings, for each dimension by itself, while SWGAN keeps one setting "
            "for both.",
            "At scale cpu each run trains for 60 seconds on a CPU with two cores, both methods alike, and not for "
            "10,000 or 30,000 steps. Codes are uniform on a cube, (-2.25, 2.25) for SWGAN and (-3, 3) for WGAN-GP; "
            "the generator has five hidden layers for SWGAN and three for WGAN-GP, whose d = 2 four made no better; "
            "step sizes fall in the second part of a run. SWGAN takes 5 updates of its potentials a step instead of at "
            "most 20, on batches of 256 instead of 128, at step sizes of 0.0017 for the generator and 0.002 for the "
            "potentials instead of 0.003 and 0.001, and its eps falls from ten times its value over the first 1,000 "
            "steps.",
        ),
        seeds=5,
        least_steps=1000,
    )
)
"""Learning a mixture of 25 Gaussians, by SWGAN and WGAN-GP, with codes of four and of two dimensions."""


_COSTS, _SPACES, _LOSSES = ("l1", "cosine"), ("pixel", "latent"), ("", "-sinkhorn")
_LOSS_AND_PLAIN = tuple((f"{cost}-{space}-sinkhorn", f"{cost}-{space}") for cost in _COSTS for space in _SPACES)
_LATENT_AND_PIXEL = tuple((f"{cost}-latent{loss}", f"{cost}-pixel{loss}") for cost in _COSTS for loss in _LOSSES)


def _settings() -> Iterator[Panel]:
    """Panels (a) to (h) of Figure 1: two costs, in two spaces, with two losses."""
    choices = product((("l1", "L1", L1()), ("cosine", "cosine", Cosine())), (False, True), (False, True))
    for letter, ((name, title, cost), latent, sinkhorn) in zip("abcdefgh", choices, strict=True):
        space = "latent" if latent else "pixel"
        yield Panel(
            name=f"{name}-{space}{'-sinkhorn' if sinkhorn else ''}",
            title=f"({letter}) {title}, {space}{', Sinkhorn loss' if sinkhorn else ''}",
            build=SwganPanel(task=mnist, cost=cost, latent=latent, sinkhorn=sinkhorn),
        )


# The features ascend what the generator descends.
_MINUS = SwganPanel(task=mnist, cost=Cosine(), latent=True, sinkhorn=True, signs=Signs.DIVERGENCE)

SWGAN_FIG1 = figure(
    Figure(
        name="swgan.fig1",
        summary="MNIST by SWGAN with two costs in four settings, by the Sinkhorn solver, and by WGAN-GP",
        source="Sanjabi et al. 2018, Figure 1",
        panels=(
            *_settings(),
            *panels_of(
                ("sinkhorn-solver", "(i) latent, Sinkhorn solver", RivalPanel(task=mnist, method=sinkhorn_solver)),
                ("wgan-gp", "(j) WGAN-GP", RivalPanel(task=mnist, method=wgan_gp)),
                ("cosine-latent-divergence", "as (h), minus signs in (46)", _MINUS),
                ("l1-latent-divergence", "as (d), minus signs in (46)", replace(_MINUS, cost=L1())),
            ),
        ),
        columns=4,
        main="cosine-latent-sinkhorn",
        measures=(FRECHET, SCORE),
        claims=(
            Compared(
                text="A learnt latent representation is better than pixels",
                source="Section 5.1, Figure 1 (c), (d), (g), (h) against (a), (b), (e), (f)",
                measure=FRECHET,
                pairs=_LATENT_AND_PIXEL,
            ),
            Compared(
                text="The Sinkhorn loss is better than the plain regularised value",
                source="Section 5.1, Figure 1 (b), (d), (f), (h) against (a), (c), (e), (g)",
                measure=FRECHET,
                pairs=_LOSS_AND_PLAIN,
            ),
            Compared(
                text="SWGAN is better than the Sinkhorn solver on learnt features",
                source="Section 5.1, Figure 1 (d), (h) against (i)",
                measure=FRECHET,
                pairs=(("l1-latent-sinkhorn", "sinkhorn-solver"), ("cosine-latent-sinkhorn", "sinkhorn-solver")),
            ),
            Compared(
                text="With minus signs in (46) a learnt latent representation is better than pixels",
                source="our reading of (46); Section 5.1",
                measure=FRECHET,
                pairs=(
                    ("l1-latent-divergence", "l1-pixel-sinkhorn"),
                    ("cosine-latent-divergence", "cosine-pixel-sinkhorn"),
                ),
            ),
            Compared(
                text="With minus signs in (46) SWGAN is better than the Sinkhorn solver on learnt features",
                source="our reading of (46); Section 5.1",
                measure=FRECHET,
                pairs=(("l1-latent-divergence", "sinkhorn-solver"), ("cosine-latent-divergence", "sinkhorn-solver")),
            ),
        ),
        deviations=(
            "The paper compares by eye. Here the Fréchet distance and the classifier score are those of a small "
            "classifier of digits that comes with otgen, not the Inception network's.",
            "For the Sinkhorn loss the paper's text compares panel (a) with panel (f), two costs at once. Here each "
            "pair differs in one thing.",
            "The paper does not name its regulariser on MNIST; here it is KL. Its weight, 0.5 for both costs, is most "
            "of the mean of the cosine cost and a trifle of that of L1. At scale cpu it is 0.5 for the cosine of "
            "features, half of the mean cost at the start for their L1, and a tenth of it for pixels.",
            "The networks' last list has misprints, and leaves kernels and initial weights open: see "
            "otgen.nets.SanjabiMnistGenerator and SanjabiMnistCritic. The layer normalisation has no learnt gain, "
            "without which (46) has no bound under L1. The potentials' unit is the mean cost at the start.",
            "The last two panels, and the claims on them, are not the paper's: the features ascend what the generator "
            "descends, with minus signs in (46) where the paper prints plus.",
            "WGAN-GP's critic has layer normalisation where the others have batch normalisation, which a gradient "
            "penalty does not allow.",
            "At scale cpu the networks have a quarter of the paper's width and kernels of 3; a run has 2,000 generator "
            "steps instead of 50,000, with step sizes to match that fall in its second half; at most 3 updates of the "
            "potentials a step instead of 5, with batches out of a pool of 200 samples that is drawn once a step.",
        ),
        least_steps=2000,
    )
)
"""Learning MNIST over the cost, its space and the loss, and against other methods."""

_CIFAR_DEVIATIONS = (
    "The paper's scores are the Inception network's. Here the score and the Fréchet distance are those of a small "
    "classifier of CIFAR-10 images, trained on JPEGs: real images score about 5.4 with it, and no number compares "
    "with a published one.",
    "The paper does not name its regulariser on CIFAR-10; here it is KL. The networks' lists have misprints and leave "
    "kernels and initial weights open: see otgen.nets.SanjabiCifarGenerator and SanjabiCifarCritic. The potentials' "
    "unit is the mean cost at the start.",
    "At scale cpu the networks have a sixteenth of the paper's width and kernels of 3, with batches of 100 and step "
    "sizes to match a short run.",
)

SWGAN_FIG2 = figure(
    Figure(
        name="swgan.fig2",
        summary="CIFAR-10 by SWGAN with two costs, by the Sinkhorn solver, and by WGAN-GP, for the same time",
        source="Sanjabi et al. 2018, Figure 2",
        panels=panels_of(
            ("swgan-cosine", "SWGAN, cosine", swgan_fig2),
            ("swgan-l1", "SWGAN, L1", replace(swgan_fig2, cost=L1())),
            ("sinkhorn-solver", "Sinkhorn solver", RivalPanel(task=timed_cifar, method=sinkhorn_solver)),
            ("wgan-gp", "WGAN-GP", RivalPanel(task=timed_cifar, method=wgan_gp)),
        ),
        columns=2,
        main="swgan-cosine",
        measures=(SCORE, FRECHET),
        claims=(
            Compared(
                text="In the same time SWGAN reaches a higher score than the other methods",
                source="Section 5.2, Figure 2 (b)",
                measure=SCORE,
                pairs=tuple(
                    (ours, theirs) for ours in ("swgan-l1", "swgan-cosine") for theirs in ("sinkhorn-solver", "wgan-gp")
                ),
            ),
            Compared(
                text="The L1 cost reaches a higher score than the cosine cost",
                source="Section 5.2",
                measure=SCORE,
                pairs=(("swgan-l1", "swgan-cosine"),),
            ),
        ),
        deviations=(
            *_CIFAR_DEVIATIONS,
            "The curve of OT-GAN is missing: otgen does not have that method yet.",
            "The paper draws the score over the time; here it is that of the end.",
        ),
        least_steps=1000,
    )
)
"""Learning CIFAR-10 on learnt features, against other methods in the same time."""

SWGAN_FIG4 = figure(
    Figure(
        name="swgan.fig4",
        summary="CIFAR-10 by SWGAN without the Sinkhorn loss, the regularisation weight fixed or falling",
        source="Sanjabi et al. 2018, Figure 4",
        panels=panels_of(
            ("fixed", "plain value, fixed weight", swgan_fig4),
            ("annealed", "plain value, weight to a tenth", replace(swgan_fig4, falls_to=0.1)),
            ("annealed-far", "plain value, weight to a hundredth", replace(swgan_fig4, falls_to=0.01)),
            ("sinkhorn", "Sinkhorn loss, fixed weight", replace(swgan_fig4, sinkhorn=True)),
        ),
        columns=2,
        main="fixed",
        measures=(SCORE, FRECHET),
        claims=(
            Compared(
                text="On pixels the Sinkhorn loss at a fixed weight is better than the plain value",
                source="Figure 4 (a), (d)",
                measure=FRECHET,
                pairs=(("sinkhorn", "fixed"),),
            ),
            Compared(
                text="To let the weight of the plain value fall too far makes training diverge",
                source="Figure 4 (b), (c)",
                measure=FRECHET,
                pairs=(("annealed", "annealed-far"),),
            ),
        ),
        deviations=(
            *_CIFAR_DEVIATIONS,
            "The paper annealed by hand and says neither from what nor to what. Here the weight falls geometrically in "
            "the first half of the run, to a tenth and to a hundredth. At scale cpu it starts from a tenth of the mean "
            "cost.",
        ),
        least_steps=1000,
    )
)
"""Why the paper turns to the Sinkhorn loss (a plain value is blurred at a large weight, unstable at a small one)."""
