"""Figure 1: MNIST, two costs in four settings, the Sinkhorn solver and WGAN-GP (Sanjabi et al. 2018, section 5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product

from otgen.methods import Signs
from otgen.ot import L1, Cosine
from otgen.papers.claims_on_curves import Sooner
from otgen.papers.claims_on_runs import Compared
from otgen.papers.figure import Figure, Panel, panels_of
from otgen.papers.figure_metrics import FRECHET, SCORE
from otgen.papers.swgan.deviations import PAGE, Deviation, Kind, texts
from otgen.papers.swgan.image_deviations import CAP, CRITIC_OF_WGAN_GP, NETWORKS, REGULARISER, RIVALS, TRUNKS
from otgen.papers.swgan.image_panels import NEVER, SwganPanel, mnist, rival, sinkhorn_solver, wgan_gp
from otgen.papers.swgan.printed import of_images, of_rival
from otgen.papers.swgan.settings import Setting

_COSTS, _SPACES, _LOSSES = ("l1", "cosine"), ("pixel", "latent"), ("", "-sinkhorn")
_LOSS_AND_PLAIN = tuple((f"{cost}-{space}-sinkhorn", f"{cost}-{space}") for cost in _COSTS for space in _SPACES)
_LATENT_AND_PIXEL = tuple((f"{cost}-latent{loss}", f"{cost}-pixel{loss}") for cost in _COSTS for loss in _LOSSES)
_BEST, _RIVALS = ("l1-latent-sinkhorn", "cosine-latent-sinkhorn"), ("sinkhorn-solver", "wgan-gp")


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


PRINTED = {
    **{
        f"{cost}-{space}{loss}": of_images(mnist=True, cost=title, latent=space == "latent", sinkhorn=bool(loss))
        for (cost, title), space, loss in product(zip(_COSTS, ("L1", "cosine"), strict=True), _SPACES, _LOSSES)
    },
    "sinkhorn-solver": of_rival(mnist=True, transport=True),
    "wgan-gp": of_rival(mnist=True, transport=False),
}
"""What the paper prints of each panel."""

_LATENT = SwganPanel(task=mnist, cost=Cosine(), latent=True, sinkhorn=True)
# The features ascend what the generator descends.
_MINUS = replace(_LATENT, signs=Signs.DIVERGENCE)
_OURS = ("cosine-latent-divergence", "l1-latent-divergence", "cosine-latent-fixed", "l1-pixel-sinkhorn-norm2")

DEVIATIONS = (
    Deviation(
        kind=Kind.JUDGED,
        text="The paper compares by eye. Here the Fréchet distance and the classifier score are those of a small "
        "classifier of digits that comes with otgen, not the Inception network's.",
    ),
    Deviation(
        kind=Kind.JUDGED,
        text="For the Sinkhorn loss the paper's text compares panel (a) with panel (f), two costs at once. That is one "
        "claim here; in another each pair differs in one thing.",
    ),
    Deviation(
        kind=Kind.PRINTED,
        settings=(Setting.GENERATOR,),
        text="The generator's list ends in DECONV(128, 1), after a layer of 64 channels. Here it is DECONV(64, 1).",
    ),
    CRITIC_OF_WGAN_GP,
    REGULARISER,
    NETWORKS,
    TRUNKS,
    Deviation(
        kind=Kind.OPEN,
        text="The paper does not say how maps of 4 x 4 become images of 28 x 28 by doubling three times. Here output "
        "paddings of 0, 1 and 1 give 7, 14 and 28; otgen.nets.SidesReading has two other readings.",
    ),
    CAP,
    RIVALS,
    Deviation(
        kind=Kind.OPEN,
        text="The text of L.1 has five generator steps an update of the features, Table 2 has two. Here it is two.",
    ),
    Deviation(
        kind=Kind.OURS,
        panels=_OURS,
        text="The last four panels, and the claims on them, are not the paper's: the minus signs of the Sinkhorn loss "
        "in (46), where the paper prints plus; features that stay as they are at the start; and the norm 2, which the "
        "paper uses on the Gaussians.",
    ),
    Deviation(
        kind=Kind.CPU,
        settings=(Setting.CODES, Setting.GENERATOR, Setting.FEATURES, Setting.HEAD, Setting.GAIN, Setting.KERNELS),
        text="At scale cpu the networks are others. The paper's at a quarter of their width, with kernels of 3, end in "
        "mean images, noise and checkerboards within 2,000 steps. Here the generator has codes of 16, a hidden layer "
        "of 512 before its maps, and kernels of 4, which overlap evenly. The trunk has 32 features behind a hidden "
        "layer of 256, normalised over the batch and then by layer; potentials on features have a hidden layer of 128 "
        "instead of 5 units. Potentials on pixels and WGAN-GP's critic are convolutions and a hidden layer of 256, "
        "without normalisation.",
    ),
    Deviation(
        kind=Kind.CPU,
        settings=(
            Setting.STEPS,
            Setting.BATCH,
            Setting.GENERATOR_STEP,
            Setting.DISCRIMINATOR_STEP,
            Setting.BETAS,
            Setting.DECAY,
            Setting.AVERAGE,
        ),
        text="At scale cpu a run has 2,000 generator steps instead of 50,000, on batches of 50 instead of 100, with "
        "step sizes of 0.002 that fall to a tenth in its second half and 0.99 for Adam's second moment, and samples "
        "are made by an average of the generator's weights.",
    ),
    Deviation(
        kind=Kind.CPU,
        settings=(Setting.UPDATES, Setting.DRAWS),
        text="At scale cpu potentials take 3 updates a step instead of 5; their batches come from a pool of 100 "
        "samples that is drawn once a step. The Sinkhorn solver's features and WGAN-GP's critic take one.",
    ),
    Deviation(
        kind=Kind.CPU,
        settings=(Setting.LAMBDA, Setting.PIXELS, Setting.UNIT),
        text="At scale cpu pixels lie in [0, 1], and the potentials' unit is the mean cost at the start, so that one "
        "step size suits both costs. The paper's weight, 0.5 for both, is most of the mean of the cosine cost and a "
        "trifle of that of L1. At scale cpu it is 0.5 for the cosine of features, half of the mean cost at the start "
        "for their L1, and for pixels 0.1 for the cosine and 10 for L1, which is 131 between two digits; "
        "swgan.fig1-eps shows what other weights do there.",
    ),
)

_better = partial(Compared, measure=FRECHET)
_our_reading = "our reading of (46); Section 5.1"

SWGAN_FIG1 = Figure(
    name="swgan.fig1",
    summary="MNIST by SWGAN with two costs in four settings, by the Sinkhorn solver, and by WGAN-GP",
    source="Sanjabi et al. 2018, Figure 1",
    panels=(
        *_settings(),
        *panels_of(
            ("sinkhorn-solver", "(i) latent, Sinkhorn solver", partial(rival, task=mnist, method=sinkhorn_solver)),
            ("wgan-gp", "(j) WGAN-GP", partial(rival, task=mnist, method=wgan_gp)),
            ("cosine-latent-divergence", "as (h), minus signs in (46)", _MINUS),
            ("l1-latent-divergence", "as (d), minus signs in (46)", replace(_MINUS, cost=L1())),
            ("cosine-latent-fixed", "as (h), features never updated", replace(_LATENT, every=NEVER)),
            (
                "l1-pixel-sinkhorn-norm2",
                "as (b), norm 2",
                SwganPanel(task=mnist, cost=L1(), sinkhorn=True, norm_2=True),
            ),
        ),
    ),
    columns=4,
    main="cosine-latent-sinkhorn",
    measures=(FRECHET, SCORE),
    claims=(
        _better(
            statement="A learnt latent representation is better than pixels",
            where="Section 5.1, Figure 1 (c), (d), (g), (h) against (a), (b), (e), (f)",
            pairs=_LATENT_AND_PIXEL,
        ),
        _better(
            statement="The Sinkhorn loss is better than the plain regularised value",
            where="Section 5.1, Figure 1 (b), (d), (f), (h) against (a), (c), (e), (g)",
            pairs=_LOSS_AND_PLAIN,
        ),
        _better(
            statement="SWGAN is better than the Sinkhorn solver on learnt features",
            where="Section 5.1, Figure 1 (d), (h) against (i)",
            pairs=tuple((panel, "sinkhorn-solver") for panel in _BEST),
        ),
        _better(
            statement="With minus signs in (46) a learnt latent representation is better than pixels",
            where=_our_reading,
            pairs=tuple((f"{cost}-latent-divergence", f"{cost}-pixel-sinkhorn") for cost in _COSTS),
        ),
        _better(
            statement="With minus signs in (46) SWGAN is better than the Sinkhorn solver on learnt features",
            where=_our_reading,
            pairs=tuple((f"{cost}-latent-divergence", "sinkhorn-solver") for cost in _COSTS),
        ),
        _better(
            statement="The cosine cost on pixels with the Sinkhorn loss is better than the plain value with L1, which "
            "makes many faint images",
            where="Section 5.1, Figure 1 (f) against (a)",
            pairs=(("cosine-pixel-sinkhorn", "l1-pixel"),),
        ),
        _better(
            statement="SWGAN is better than WGAN-GP",
            where="Section 5.1, Figure 1 (d), (h) against (j)",
            pairs=tuple((panel, "wgan-gp") for panel in _BEST),
        ),
        Sooner(
            statement="SWGAN converges sooner than the other methods",
            where="Section 5.1, by eye; here by the Fréchet distance over time",
            measure=FRECHET,
            pairs=tuple(product(_BEST, _RIVALS)),
        ),
        _better(
            statement="To update the features now and then by (46) is better than to keep a representation",
            where="Section 5.1, and L.1",
            pairs=(("cosine-latent-sinkhorn", "cosine-latent-fixed"),),
        ),
        _better(
            statement="Of the ways to update the features (46) gives the best results; here against its other signs",
            where="L.1",
            pairs=tuple((f"{cost}-latent-sinkhorn", f"{cost}-latent-divergence") for cost in _COSTS),
        ),
    ),
    deviations=texts(DEVIATIONS),
    settings=PAGE,
).entered()
"""Learning MNIST over the cost, its space and the loss, and against other methods."""
