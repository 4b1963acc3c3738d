"""What the library adds to a training step: Trainer against the same mathematics in a bare PyTorch loop."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.report import Settings, Table
from otgen.data import Gaussians25, Mnist, Normal
from otgen.methods import (
    SWGAN,
    WGAN,
    WGANGP,
    DualOracle,
    Method,
    PixelSinkhorn,
    Player,
    SinkhornAutoDiff,
    SWGANSinkhorn,
)
from otgen.methods.neural_potentials import DualState
from otgen.methods.swgan import SwganState
from otgen.methods.wgan import AdversarialState, KantorovichRubinstein
from otgen.nets import Activation, MlpCritic, MlpGenerator, SWGANMnistCritic, SWGANMnistGenerator, mixes_samples
from otgen.ot import L1, Discrete, Envelope, Quadratic, Steps, Unroll
from otgen.ot.losses.combination import combine
from otgen.train import RunConfig, RunDir, Trainer

# Steps that do not count, and after which both loops must have the same weights.
_WARM = 3
# Updates of the potentials a generator step, its test off; solver steps of a transport value.
_DUAL, _SOLVER = 5, 10
# The least time of one side of a pair: a clock's and a scheduler's noise is some 0.1 ms.
_LEAST = 0.03

Step = Callable[[], object]


def main(settings: Settings) -> Table:
    """The table."""
    table = Table(
        "steps",
        "A training step, hooks and intervals aside, against the same networks, samplers and solver calls in a bare "
        "loop that checks and keeps nothing: medians; the ratio is the median over pairs that take turns",
        ("size", "method", "ms", "bare ms", "ratio", "quartiles", "steps"),
    )
    for size, config in _configs(settings):
        table.add(size, type(config.method).__name__, *_measure(config, 4 * settings.seconds, settings.tiny))
    return table


def _configs(settings: Settings) -> Iterator[tuple[str, RunConfig]]:
    critic, generator = MlpCritic(widths=(128, 128)), MlpGenerator(widths=(128, 128), activation=Activation.TANH)
    small = RunConfig(data=Gaussians25(), latent=Normal(dim=4), generator=generator, steps=1)
    for method in _methods(128, critic, critic):
        yield "25 Gaussians, MLPs of 128, batch 128", replace(small, method=method)
    if settings.mnist is None:
        print("  MNIST is left out: give its folder, --mnist")
        return
    images = RunConfig(
        data=Mnist(folder=settings.mnist),
        latent=Normal(dim=128),
        generator=SWGANMnistGenerator(width=16),
        steps=1,
    )
    # A gradient penalty's critic cannot have batch normalisation.
    for method in _methods(100, SWGANMnistCritic(width=16), MlpCritic(widths=(256, 256))):
        yield "MNIST, networks of width 16, batch 100", replace(images, method=method)


def _methods(batch: int, critic: SWGANMnistCritic | MlpCritic, plain: SWGANMnistCritic | MlpCritic) -> Iterable[Method]:
    oracle = DualOracle(f=critic, g=critic, most=_DUAL, until=Steps())
    smooth = SWGAN(batch=batch, cost=L1(), reg=Quadratic(eps=0.01), oracle=oracle, support=32, report_every=10**9)
    return (
        PixelSinkhorn(batch=batch, max_steps=_SOLVER),
        SinkhornAutoDiff(batch=batch, max_steps=_SOLVER, critic=critic),
        smooth,
        SWGANSinkhorn(**{field.name: getattr(smooth, field.name) for field in fields(SWGAN)}),
        WGAN(batch=batch, critic=critic),
        WGANGP(batch=batch, critic=plain),
    )


def _measure(config: RunConfig, seconds: float, tiny: bool) -> tuple[object, ...]:
    ours, theirs = (Trainer(config, RunDir(Path("never written"))) for _ in range(2))
    calls: list[Step] = [ours.step, Bare(theirs).step]
    for _ in range(_WARM):
        for call in calls:
            call()
    _same(ours, theirs)
    once = [timed(call, 1) for call in calls]
    block = 1 if tiny else max(1, int(_LEAST / min(once)))
    pairs = 2 if tiny else max(10, int(seconds / (block * sum(once))))
    times: list[list[float]] = [[], []]
    for k in range(pairs):
        # Each goes first in half of the pairs.
        for side in (0, 1) if k % 2 else (1, 0):
            times[side].append(timed(calls[side], block))
    ratios = [mine / bare for mine, bare in zip(*times, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    mine, bare = (1e3 * statistics.median(side) for side in times)
    return mine, bare, f"{middle:.3f}", f"{low:.3f} to {high:.3f}", pairs * block


def timed(call: Step, times: int) -> float:
    """Seconds a call, the mean of so many."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def _same(ours: Trainer, theirs: Trainer) -> None:
    """See that both loops are the same mathematics: their generators are where they should be."""
    pair = (trainer.state.method.generator.module.parameters() for trainer in (ours, theirs))
    for mine, bare in zip(*pair, strict=True):
        torch.testing.assert_close(mine, bare, rtol=1e-3, atol=1e-4)


@dataclass
class Bare:
    """A loop that somebody would write for one method: no guard, no checks, nothing logged, statistics run on.

    Attributes:
        run: whose networks, optimisers and samplers it uses, and nothing else.
    """

    run: Trainer

    def step(self) -> None:
        """A generator step with its inner loop, and the moving average."""
        method, state = self.run.config.method, self.run.state.method
        if isinstance(method, SWGAN):
            self._swgan(method, state)  # type: ignore[arg-type]
        elif isinstance(method, KantorovichRubinstein):
            self._wgan(method, state)  # type: ignore[arg-type]
        elif isinstance(method, SinkhornAutoDiff):
            self._autodiff(method)
        else:
            assert isinstance(method, PixelSinkhorn)
            fake, real = self._fake(method.batch).flatten(1), self._real(method.batch).flatten(1)
            _descend(state.generator, _divergence(method, fake, real, moving=True))
        self.run.state.step += 1
        step, average = self.run.state.step, self.run.state.ema
        decay = min(self.run.config.trainer.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            generator = state.generator.module
            torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - decay)
            for kept, buffer in zip(average.buffers(), generator.buffers(), strict=True):
                kept.copy_(buffer)

    def _fake(self, n: int) -> Tensor:
        samples: Tensor = self.run.state.method.generator.module(self.run.batches.latent(n))
        return samples

    def _real(self, n: int) -> Tensor:
        return self.run.batches.real(n)

    def _autodiff(self, method: SinkhornAutoDiff) -> None:
        state, n = self.run.state.method, method.batch
        critic: Player = state.critic  # type: ignore[attr-defined]
        for _ in range(method.n_critic):
            with torch.no_grad():
                fake = self._fake(n)
            features = critic.module(torch.cat([fake, self._real(n)]))
            _descend(critic, -_divergence(method, features[:n], features[n:], moving=False))
        features = critic.module(torch.cat([self._fake(n), self._real(n)]))
        _descend(state.generator, _divergence(method, features[:n], features[n:], moving=True))

    def _wgan(self, method: KantorovichRubinstein, state: AdversarialState) -> None:
        critic, n = state.critic, method.batch
        for _ in range(method.n_critic):
            with torch.no_grad():
                fake = self._fake(n)
            real = self._real(n)
            scores = critic.module(torch.cat((fake, real)))
            loss = scores[:n].mean() - scores[n:].mean()
            if isinstance(method, WGANGP):
                share = self.run.batches.uniform(n).reshape(n, *[1] * (real.ndim - 1))
                points = (share * real + (1 - share) * fake).requires_grad_()
                (slopes,) = torch.autograd.grad(critic.module(points).sum(), points, create_graph=True)
                loss = loss + method.penalty.weight * (slopes.flatten(1).norm(dim=1) - 1).square().mean()
            _descend(critic, loss)
        fake = self._fake(n)
        if mixes_samples(critic.module):
            scores = critic.module(torch.cat((fake, self._real(n))))[:n]
        else:
            scores = critic.module(fake)
        _descend(state.generator, -scores.mean())

    def _swgan(self, method: SWGAN, state: SwganState) -> None:
        n = method.batch
        for x, y in self._batches(method, self._real):
            self._ascend(method, state.cross, x, y)
        if isinstance(method, SWGANSinkhorn):
            assert state.own is not None
            for x, y in self._batches(method, self._fake):
                self._ascend(method, state.own, x, y)
        fake, real = self._fake(n), self._real(n)
        total = self._held(method, state.cross, fake, real)
        if isinstance(method, SWGANSinkhorn):
            assert state.own is not None
            total = 2 * total - self._held(method, state.own, self._fake(n), self._fake(n))
        _descend(state.generator, total)

    @torch.no_grad()
    def _batches(self, method: SWGAN, other: Callable[[int], Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Of generated samples and others; in one pass where a sample does not depend on its batch."""
        n, count = method.batch, method.oracle.most
        together = 1 if mixes_samples(self.run.state.method.generator.module) else count
        for _ in range(count // together):
            fake, real = self._fake(together * n), other(together * n)
            yield from zip(torch.split(fake, n), torch.split(real, n), strict=True)

    def _ascend(self, method: SWGAN, duals: DualState, x: Tensor, y: Tensor) -> None:
        f, g = duals.player.module(x, y)
        s = f[:, None] + g - torch.cdist(x.flatten(1), y.flatten(1), p=1.0)
        _descend(duals.player, s.relu().square().mean() / (2 * method.reg.weight) - f.mean() - g.mean())

    def _held(self, method: SWGAN, duals: DualState, x: Tensor, y: Tensor) -> Tensor:
        costs = torch.cdist(x.flatten(1), y.flatten(1), p=1.0)
        with torch.no_grad():
            duals.player.module.eval()
            f, g = duals.player.module(x, y)
            duals.player.module.train()
            density = (f[:, None] + g - costs).relu() / method.reg.weight
        value: Tensor = (density * costs).mean()
        return value


def _divergence(method: PixelSinkhorn | SinkhornAutoDiff, fake: Tensor, real: Tensor, *, moving: bool) -> Tensor:
    """The library's solver; the term of the data with themselves only where it moves."""
    pairs = ((fake, real), (fake, fake), (real, real))[: 2 if moving else 3]
    return combine(
        (1.0, -0.5, -0.5)[: len(pairs)],
        tuple(Discrete(x, y, cost=method.cost, reg=method.reg) for x, y in pairs),
        tol=0.0,
        max_steps=method.max_steps,
        gradient=Unroll() if isinstance(method, SinkhornAutoDiff) else Envelope(),
        on_unconverged="ignore",
    )[0]


def _descend(player: Player, loss: Tensor) -> None:
    player.optimizer.zero_grad()
    parameters = player.optimizer.param_groups[0]["params"]
    loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
    player.optimizer.step()
    if player.clip is not None:
        with torch.no_grad():
            for weight in parameters:
                weight.clamp_(-player.clip, player.clip)
