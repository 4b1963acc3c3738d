"""A trainer around a method, so that steps use the one `update` there is, and an oracle for the objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from cases.random_problems import truth
from cases.trainers import trainer_of
from otgen.data import Gaussian2D
from otgen.methods import Batches, Method, Player
from otgen.nets import GeneratorNet, MlpGenerator
from otgen.ot import KL, Discrete
from otgen.train import Trainer


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """A trainer of a method on the plane; it writes nothing."""

    def make(method: Method, generator: GeneratorNet | None = None, seed: int = 0) -> Trainer:
        data = Gaussian2D(mean=(2.0, -1.0), std=(0.5, 1.0))
        return trainer_of(method, tmp_path / "run", data, generator or MlpGenerator(widths=(16,)), seed=seed, steps=1)

    return make


@dataclass
class Spy(Batches):
    """Batches that note what is drawn, and in `fixed` mode give the same draw of a size every time."""

    fixed: bool = False
    drawn: list[tuple[str, Tensor]] = field(default_factory=list)

    def real(self, n: int) -> Tensor:
        return self._note("real", n, super().real)

    def latent(self, n: int) -> Tensor:
        return self._note("latent", n, super().latent)

    def _note(self, name: str, n: int, draw: Callable[[int], Tensor]) -> Tensor:
        before = [cloud for kind, cloud in self.drawn if (kind, len(cloud)) == (name, n)]
        cloud = before[0] if self.fixed and before else draw(n)
        self.drawn.append((name, cloud))
        return cloud


@pytest.fixture
def spy() -> Callable[..., Spy]:
    """The batches of a trainer, watched."""

    def watch(trainer: Trainer, *, fixed: bool = False) -> Spy:
        b = trainer.batches
        return Spy(b.data, b.latent_law, b.data_rng, b.latent_rng, b.device, fixed=fixed)

    return watch


@pytest.fixture
def watched(trainer: Callable[..., Trainer], spy: Callable[..., Spy]) -> Callable[..., tuple[Trainer, Any, Spy]]:
    """A trainer of a method, the method's state, and its batches, watched."""

    def start(*of: Any, fixed: bool = False, **settings: Any) -> tuple[Trainer, Any, Spy]:
        at_work = trainer(*of, **settings)
        return at_work, at_work.state.method, spy(at_work, fixed=fixed)

    return start


@pytest.fixture
def snapshot() -> Callable[[Player | None], dict[str, Tensor]]:
    """Weights, buffers and optimiser moments of a player, copied."""

    def take(player: Player | None) -> dict[str, Tensor]:
        if player is None:
            return {}
        tensors = {name: tensor.clone() for name, tensor in player.module.state_dict().items()}
        for index, entries in player.optimizer.state_dict()["state"].items():
            tensors |= {f"adam/{index}/{key}": value.clone() for key, value in entries.items()}
        return tensors

    return take


@pytest.fixture
def entropic() -> Callable[[Tensor, Tensor, float], float]:
    """The converged entropic value between clouds of equal weights, from the reference."""
    return lambda x, y, eps: truth(Discrete(x.detach().double(), y.detach().double(), reg=KL(eps=eps))).value


@pytest.fixture
def divergence(entropic: Callable[[Tensor, Tensor, float], float]) -> Callable[[Tensor, Tensor, float], float]:
    """The converged Sinkhorn divergence, from the same lines."""
    return lambda x, y, eps: entropic(x, y, eps) - entropic(x, x, eps) / 2 - entropic(y, y, eps) / 2
