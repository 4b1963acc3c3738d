"""SeqSGDA's divergence and its whole generator step, against the public code of the paper's authors.

Theirs is not part of this project: give a checkout of github.com/miqbal23/sinkhorngan-positive, ``--authors FOLDER``.
Of it the class ``SinkhornDistance`` is taken as it stands (``modules/trainer/criterion/sinkhorn_gan.py``, without the
framework around it, which only reads configurations and logs); three calls of it make their divergence.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import types
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.report import Settings, Table
from benchmarks.steps import timed
from benchmarks.timing import interleaved
from otgen.data import Digits, Normal
from otgen.errors import InputError
from otgen.methods import SeqSGDA
from otgen.methods.feature_game import FeatureGameState
from otgen.nets import SeqSGDADcganCritic, SeqSGDADcganGenerator, SpectralNorm
from otgen.ot import KL, Envelope, Sinkhorn, SinkhornDivergence, SinkhornUpdate
from otgen.train import RunConfig, RunDir, Trainer

# (27) of the paper
EPS, STEPS, FEATURES, N_CRITIC = 1.0, 10, 100, 10
SIZES, TINY = (100, 300), (10,)
# Theirs are alternating; symmetric ones are what a divergence takes by default.
_SOLVERS = ((Sinkhorn(), "alternating"), (Sinkhorn(update=SinkhornUpdate.SYMMETRIC), "symmetric"))
_FILE = Path("modules/trainer/criterion/sinkhorn_gan.py")

Loss = Callable[[Tensor, Tensor], Tensor]


def main(settings: Settings) -> Table:
    """The table."""
    table = Table(
        "seqsgda",
        f"SeqSGDA at (27) of its paper (eps {EPS:g}, L = {STEPS}, {FEATURES} features, p = 2), against its authors' "
        "code: medians; the error is the relative distance of the divergence from its converged value in float64",
        ("what", "m", "otgen, ms", "authors, ms", "authors / otgen", "error, otgen", "error, authors"),
    )
    theirs = authors(settings.authors)
    for m in TINY if settings.tiny else SIZES:
        for spread, name in ((1.0, "features of unit variance"), (0.1, "features close together")):
            for solver, steps in _SOLVERS:
                what = f"divergence, forward and backward, {steps} steps, {name}"
                table.add(what, m, *_divergence(m, spread, solver, theirs, settings))
        table.add(f"generator step, {N_CRITIC} critic updates, DCGAN", m, *_step(m, theirs, settings), "", "")
    return table


def authors(folder: str | None) -> Loss | None:
    """Their divergence; None where their code is not at hand."""
    if folder is None:
        print("  the authors' code is left out: give a checkout of it, --authors FOLDER")
        return None
    path = Path(folder) / _FILE
    if not path.is_file():
        raise InputError(f"{path} is not there; --authors is a checkout of github.com/miqbal23/sinkhorngan-positive")
    spec = importlib.util.spec_from_file_location("authors", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # It imports a base class of their framework, of which its arithmetic uses nothing.
    base = types.ModuleType("base")
    base.BaseGanCriterion = object  # type: ignore[attr-defined]
    with patch.dict(sys.modules, base=base):
        spec.loader.exec_module(module)
    distance = module.SinkhornDistance(eps=EPS, max_iter=STEPS, reduction="sum", p=2)

    def divergence(x: Tensor, y: Tensor) -> Tensor:
        # Theirs is twice this.
        value: Tensor = distance(x, y)[0] - (distance(x, x)[0] + distance(y, y)[0]) / 2
        return value

    return divergence


def _divergence(m: int, spread: float, solver: Sinkhorn, theirs: Loss | None, settings: Settings) -> tuple[object, ...]:
    rng = torch.Generator().manual_seed(m)
    x, y = (spread * torch.randn(m, FEATURES, generator=rng) for _ in range(2))
    y[:, 0] += spread
    loss = SinkhornDivergence(reg=KL(eps=EPS), solver=solver, tol=0, max_steps=STEPS)
    most = 100 if settings.tiny else 100_000
    converged = SinkhornDivergence(reg=KL(eps=EPS), tol=1e-9, max_steps=most, on_unconverged="ignore")
    exact = converged(x.double(), y.double())
    both: dict[str, Loss] = {"ours": loss} if theirs is None else {"ours": loss, "theirs": theirs}
    errors = {name: abs(float(one(x, y)) / float(exact) - 1) for name, one in both.items()}
    x.requires_grad_(), y.requires_grad_()

    def call(one: Loss) -> Callable[[], float]:
        return lambda: float(torch.autograd.grad(one(x, y), (x, y))[0][0, 0])

    times = interleaved({name: call(one) for name, one in both.items()}, seconds=settings.seconds)
    return _cells(times) + tuple(errors.get(name, "") for name in ("ours", "theirs"))


def _cells(times: dict[str, float]) -> tuple[object, ...]:
    if "theirs" not in times:
        return times["ours"], "", ""
    return times["ours"], times["theirs"], f"{times['theirs'] / times['ours']:.1f}"


def _step(m: int, theirs: Loss | None, settings: Settings) -> tuple[object, ...]:
    width = 4 if settings.tiny else 64
    method = SeqSGDA(
        batch=m,
        critic=SpectralNorm(net=SeqSGDADcganCritic(width=width)),
        features=FEATURES,
        n_critic=N_CRITIC,
        max_steps=STEPS,
        reg=KL(eps=EPS),
        gradient=Envelope(),
    )
    config = RunConfig(
        data=Digits(padding=2),
        latent=Normal(dim=100),
        generator=SeqSGDADcganGenerator(width=width),
        method=method,
        steps=1,
    )
    ours = Trainer(config, RunDir(Path("never written")))
    calls: list[Callable[[], object]] = [ours.step]
    if theirs is not None:
        calls.append(_loop(Trainer(config, RunDir(Path("never written"))), m, theirs))
    for call in calls:
        call()
    rounds = 1 if settings.tiny else max(5, int(settings.seconds))
    # They take turns, so that a drift of the machine hits them alike.
    found: list[list[float]] = [[timed(call, 1) for call in calls] for _ in range(rounds)]
    medians = [1e3 * statistics.median(times) for times in zip(*found, strict=True)]
    return _cells(dict(zip(("ours", "theirs"), medians, strict=False)))


def _loop(run: Trainer, m: int, divergence: Loss) -> Callable[[], object]:
    """The same step with their divergence in a bare loop; networks, optimisers and samplers are ours."""
    state = run.state.method
    assert isinstance(state, FeatureGameState)
    generator, critic, batches = state.generator, state.critic, run.batches

    def step() -> None:
        for _ in range(N_CRITIC):
            fake, real = generator.module(batches.latent(m)), batches.real(m)
            features = critic.module(torch.cat([fake.detach(), real]))
            critic.optimizer.zero_grad()
            (-divergence(features[:m], features[m:])).backward()  # type: ignore[no-untyped-call]
            critic.optimizer.step()
        features = critic.module(torch.cat([fake, real]))
        generator.optimizer.zero_grad()
        # Their generator descends the divergence too, at three times the cost of its cross term.
        divergence(features[:m], features[m:]).backward()  # type: ignore[no-untyped-call]
        generator.optimizer.step()

    return step
