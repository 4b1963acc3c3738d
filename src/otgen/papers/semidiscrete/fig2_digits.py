"""Figure 2: digits over the regularisation weight (Houdard et al. 2021, section 4)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from otgen.data import Digits, Mnist, Normal
from otgen.methods import Adam, CostUnit, SemiDiscreteGAN
from otgen.nets import MlpGenerator
from otgen.ot import KL, AveragedSGD, StochasticSinkhorn
from otgen.papers.claims_on_runs import Bound, Compared, Reached
from otgen.papers.figure import Figure, panels_of
from otgen.papers.figure_metrics import FRECHET, LEAST_CLASS, SCORE, W1_OF_PIXELS, Better, Measure
from otgen.papers.recipe import Scale
from otgen.train import Duration, RunConfig, TrainerConfig


def digits(scale: Scale = Scale.CPU, *, eps: float, letter: bool = False, self_samples: int = 0) -> RunConfig:
    """Digits by semi-discrete transport.

    Args:
        scale: how much computing the run may take.
        eps: the regularisation weight where the cost is a mean over pixels, the paper's lambda.
        letter: Algorithm 1 to the letter at every scale: psi by 200 averaged stochastic updates a step, the generator
            by Adam at 1e-4. Else, in a short run, ten updates on small batches that follow the generator, and larger
            steps that fall.
        self_samples: of the self term; 0 for none, as in the paper.
    """
    smoke, large = scale is Scale.SMOKE, scale is Scale.PAPER
    method = SemiDiscreteGAN(
        atoms=100 if smoke else None,
        reg=KL(eps=eps),
        unit=CostUnit.COORDINATE,
        solver=AveragedSGD() if letter else StochasticSinkhorn(follow=True),
        most=5 if smoke else 200,
        self_samples=min(self_samples, 32) if smoke else self_samples,
    )
    if scale is Scale.CPU and not letter:
        adam = Adam(lr=1e-3, beta1=0.5, beta2=0.99, hold=0.5, end=0.05)
        solver = StochasticSinkhorn(batch=32, follow=True)
        method = replace(method, batch=64, solver=solver, most=10, generator_optimizer=adam)
    return RunConfig(
        data=Mnist(folder="data/mnist", download=True) if large else Digits(),
        latent=Normal(dim=128 if large else 16),
        generator=MlpGenerator(widths=(32,) if smoke else (256, 512, 1024)),
        method=method,
        trainer=TrainerConfig(ema=0.99, eval_samples=200 if smoke else 2000, log_every=5 if smoke else 100),
        steps={Scale.SMOKE: 5, Scale.PAPER: 4000}.get(scale),
        budget=Duration(150) if scale is Scale.CPU else None,
    )


# What a law that has collapsed to one image scores.
_BLUR = Measure(key="classifier_score", label="classifier score", better=Better.LOWER, form=".2f")

SEMIDISCRETE_FIG2 = Figure(
    name="semidiscrete.fig2",
    summary="digits by semi-discrete transport to every one of them, over the regularisation weight",
    source="Houdard et al. 2021, Figure 2",
    panels=panels_of(
        ("low", "eps = 0.001", partial(digits, eps=1e-3)),
        ("middle", "eps = 0.01", partial(digits, eps=1e-2)),
        ("high", "eps = 0.1", partial(digits, eps=1e-1)),
        ("middle-unbiased", "eps = 0.01, bias taken off", partial(digits, eps=1e-2, self_samples=256)),
        ("low-letter", "eps = 0.001, Algorithm 1", partial(digits, eps=1e-3, letter=True)),
    ),
    columns=5,
    measures=(FRECHET, SCORE, LEAST_CLASS, W1_OF_PIXELS),
    claims=(
        Reached(
            statement="A small regularisation weight learns digits, of all classes",
            where="Section 4, Figure 2",
            bounds=(Bound(measure=SCORE, value=4.0), Bound(measure=LEAST_CLASS, value=0.01)),
            by=("low",),
        ),
        Reached(
            statement="A large one collapses to a mean image",
            where="Section 4, Figure 2",
            bounds=(Bound(measure=_BLUR, value=1.5),),
            by=("high",),
        ),
        Compared(
            statement="The smaller weight is the better one",
            where="Section 4, Figure 2",
            measure=FRECHET,
            pairs=(("low", "middle"), ("middle", "high")),
        ),
        Compared(
            statement="Potentials that follow the generator come nearer to the data than those of Algorithm 1",
            where="no claim of the paper's: the same cost, in the same time",
            measure=W1_OF_PIXELS,
            pairs=(("low", "low-letter"),),
        ),
        Compared(
            statement="Without its bias a middling weight makes better samples",
            where="no claim of the paper's, which leaves the debiased cost open",
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
).entered()
"""Digits, over the regularisation weight."""
