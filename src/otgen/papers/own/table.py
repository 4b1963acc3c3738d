"""Tables: a recipe for rows with columns of any kinds."""

from __future__ import annotations

from otgen.data import Normal, Table
from otgen.methods import Adam, PixelSinkhorn, SelfTerms
from otgen.nets import MlpGenerator
from otgen.ot import KL, Acceleration, Relative, Sinkhorn
from otgen.papers.recipe import Scale, recipe
from otgen.train import RunConfig, TrainerConfig

_STEPS = {Scale.SMOKE: 20, Scale.CPU: 4000, Scale.PAPER: 20_000}


@recipe("table", "rows of a table with columns of any kinds, by the debiased Sinkhorn divergence")
def table(scale: Scale = Scale.CPU) -> RunConfig:
    """The small table that comes with the package, or any other (``--data.path rows.csv``).

    No critic: rows are few and their coordinates scaled, so that distances between rows mean something. What the
    quality rests on: self terms of independent batches, without which the bias of a batch shrinks the spread of every
    column (to 0.81 to 0.93 of the data's where it is now 0.99 to 1.02), a small eps, and latent codes of at least as
    many dimensions as there are columns, since each has noise of its own.

    With independent batches no two problems cancel exactly, so that the solver need not move f and g alike: alternating
    over-relaxed steps bring the loss to some per cent, where as many symmetric ones left it open by half of its value.
    """
    smoke = scale is Scale.SMOKE
    return RunConfig(
        data=Table(),
        latent=Normal(dim=64),
        generator=MlpGenerator(widths=(32,) if smoke else (256, 256)),
        method=PixelSinkhorn(
            batch=64 if smoke else 256,
            reg=KL(eps=Relative(0.03)),
            solver=Sinkhorn(anneal=0.5, acceleration=Acceleration.RELAXED),
            max_steps=30,
            self_terms=SelfTerms.INDEPENDENT,
            generator_optimizer=Adam(lr=1e-3, beta1=0.5, beta2=0.99, hold=0.3, end=0.05),
        ),
        trainer=TrainerConfig(ema=0.99, eval_samples=200 if smoke else 2000),
        steps=_STEPS[scale],
    )
