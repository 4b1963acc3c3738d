"""A figure whose runs take a tenth of a second each."""

from __future__ import annotations

from dataclasses import replace

from otgen.data import Gaussian2D, Normal
from otgen.methods import WGANGP, Adam, PixelSinkhorn
from otgen.nets import MlpCritic, MlpGenerator
from otgen.ot import KL
from otgen.papers import Better, Bound, Compared, Figure, Measure, Panel, Reached, Scale
from otgen.train import RunConfig, TrainerConfig

W1 = Measure(key="w1", label="W1", better=Better.LOWER, form=".3f")
STEPS = 5


def transport(scale: Scale = Scale.CPU) -> RunConfig:
    return RunConfig(
        data=Gaussian2D(mean=(1.0, 0.0)),
        latent=Normal(dim=2),
        generator=MlpGenerator(widths=(6,)),
        method=PixelSinkhorn(batch=16, reg=KL(eps=0.5), max_steps=5, generator_optimizer=Adam(lr=0.05)),
        trainer=TrainerConfig(eval_samples=50, checkpoint_every=3, threads=1),
        steps=1 if scale is Scale.SMOKE else STEPS,
    )


def adversarial(scale: Scale = Scale.CPU) -> RunConfig:
    method = WGANGP(batch=8, n_critic=2, critic=MlpCritic(widths=(6,)))
    return replace(transport(scale), method=method)


TOY = Figure(
    name="own.toy",
    summary="a Gaussian by two methods",
    source="nobody, Figure 1",
    panels=(
        Panel(name="transport", title="Transport", build=transport),
        Panel(name="adversarial", title="Adversarial", build=adversarial),
    ),
    columns=2,
    main="transport",
    measures=(W1,),
    claims=(
        Compared(statement="transport is better", where="Section 1", measure=W1, pairs=(("transport", "adversarial"),)),
        Reached(
            statement="both come near",
            where="Section 2",
            bounds=(Bound(measure=W1, value=100.0),),
            by=("transport", "adversarial"),
        ),
    ),
    deviations=("It is a toy.",),
    seeds=2,
)
