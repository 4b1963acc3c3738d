"""Figure 1: MNIST, two costs in four settings, the Sinkhorn solver and WGAN-GP (Sanjabi et al. 2018, section 5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product

from otgen.methods import Signs
from otgen.ot import L1, Cosine
from otgen.papers.claims_on_runs import Compared
from otgen.papers.figure import Figure, Panel, panels_of
from otgen.papers.figure_metrics import FRECHET, SCORE
from otgen.papers.swgan.image_panels import SwganPanel, mnist, rival, sinkhorn_solver, wgan_gp

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

_better = partial(Compared, measure=FRECHET)

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
            pairs=(("l1-latent-sinkhorn", "sinkhorn-solver"), ("cosine-latent-sinkhorn", "sinkhorn-solver")),
        ),
        _better(
            statement="With minus signs in (46) a learnt latent representation is better than pixels",
            where="our reading of (46); Section 5.1",
            pairs=(
                ("l1-latent-divergence", "l1-pixel-sinkhorn"),
                ("cosine-latent-divergence", "cosine-pixel-sinkhorn"),
            ),
        ),
        _better(
            statement="With minus signs in (46) SWGAN is better than the Sinkhorn solver on learnt features",
            where="our reading of (46); Section 5.1",
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
        "otgen.nets.SWGANMnistGenerator and SWGANMnistCritic. The layer normalisation has no learnt gain, "
        "without which (46) has no bound under L1. The potentials' unit is the mean cost at the start.",
        "The last two panels, and the claims on them, are not the paper's: the features ascend what the generator "
        "descends, with minus signs in (46) where the paper prints plus.",
        "WGAN-GP's critic has layer normalisation where the others have batch normalisation, which a gradient "
        "penalty does not allow.",
        "At scale cpu the networks have a quarter of the paper's width and kernels of 3; a run has 2,000 generator "
        "steps instead of 50,000, with step sizes to match that fall in its second half; at most 3 updates of the "
        "potentials a step instead of 5, with batches out of a pool of 200 samples that is drawn once a step.",
    ),
).entered()
"""Learning MNIST over the cost, its space and the loss, and against other methods."""
