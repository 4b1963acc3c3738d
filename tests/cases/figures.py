"""A figure whose runs take a tenth of a second each, and pictures that take none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.figure
import pytest

from otgen.data import Gaussian2D, Normal
from otgen.methods import WGANGP, Adam, PixelSinkhorn
from otgen.nets import MlpCritic, MlpGenerator
from otgen.ot import KL
from otgen.papers import Better, Bound, Compared, Figure, Measure, Panel, Reached, Scale
from otgen.train import RunConfig, TrainerConfig


def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures and curves are composed as ever without their pixels, and runs on the way draw nothing: it takes most of
    their time, and has tests of its own.
    """

    def save(*args: Any, **options: Any) -> bool:
        (path,) = (arg for arg in args if isinstance(arg, Path))
        path.write_bytes(b"a picture")
        return True

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda self, file, **options: file.write(b"a picture"))
    monkeypatch.setattr("otgen.train.hooks.save_picture", save)
    monkeypatch.setattr("otgen.train.hooks.save_levels", save)


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
