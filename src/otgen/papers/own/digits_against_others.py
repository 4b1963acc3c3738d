"""Is the default recipe the best there is? A figure of our own, beside those of the papers."""

from __future__ import annotations

from dataclasses import replace

from otgen.methods import EOTGAN, WGANGP, Adam, GradientPenalty
from otgen.nets import SpectralNorm
from otgen.papers.claims_on_runs import Bound, Compared, Reached
from otgen.papers.figure import Figure, panels_of
from otgen.papers.figure_metrics import FRECHET, LEAST_CLASS, SCORE, Better, Measure
from otgen.papers.own.digits import digits, pixels
from otgen.papers.recipe import Scale
from otgen.train import RunConfig

_COPIES = Measure(key="copy_close", label="nearer than 99 % of unseen", better=Better.LOWER, form=".3f")


def wgan_gp_digits(scale: Scale = Scale.CPU) -> RunConfig:
    """WGAN-GP with the data, codes and networks of the default recipe, at the best of some twenty settings.

    Tried at scale cpu: 1 to 3 critic updates, step sizes of 1e-3 to 3e-3, the critic's up to twice the generator's,
    penalties of 0.1 to 10, batches of 32 to 64, codes of 16 and 32 dimensions, decays of 0.9 and 0.99.
    """
    same, smoke = digits(scale), scale is Scale.SMOKE
    assert isinstance(same.method, EOTGAN)
    assert isinstance(same.method.critic, SpectralNorm)
    adam = Adam(lr=3e-3, beta1=0.0, beta2=0.99, hold=0.5, end=0.1)
    method = WGANGP(
        batch=32 if smoke else 48,
        n_critic=1,
        # The penalty takes the place of the spectral normalisation.
        critic=same.method.critic.net,
        penalty=GradientPenalty(weight=1.0),
        generator_optimizer=adam,
        critic_optimizer=adam,
    )
    return replace(same, method=method)


OWN_DIGITS = Figure(
    name="own.digits",
    summary="digits by the default recipe, by WGAN-GP with the same networks, and without a critic",
    source="a comparison of our own",
    panels=panels_of(
        ("eot-gan", "EOT-GAN, the default", digits),
        ("wgan-gp", "WGAN-GP", wgan_gp_digits),
        ("pixels", "Sinkhorn on pixels", pixels),
    ),
    columns=3,
    measures=(FRECHET, SCORE, LEAST_CLASS, _COPIES),
    claims=(
        Compared(
            statement="The default recipe makes better samples than WGAN-GP in the same time",
            where="recipe digits",
            measure=FRECHET,
            pairs=(("eot-gan", "wgan-gp"),),
        ),
        Compared(
            statement="Its samples are of clearer classes",
            where="recipe digits",
            measure=SCORE,
            pairs=(("eot-gan", "wgan-gp"), ("eot-gan", "pixels")),
        ),
        Reached(
            statement="It makes all classes, and copies nothing",
            where="recipe digits",
            bounds=(Bound(measure=LEAST_CLASS, value=0.05), Bound(measure=_COPIES, value=0.02)),
            by=("eot-gan",),
        ),
    ),
    deviations=("No paper has this figure.",),
).entered()
"""The default recipe, beside what it has to beat."""
