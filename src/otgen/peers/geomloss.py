"""GeomLoss: cost ``|x - y|^p / p`` and ``eps = blur^p``, an annealed descent that stops where the annealing ends."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from otgen.ot import Cost, PNorm, SqEuclidean
from otgen.peers.base import Answer, Call, Peer, Task, entropic_eps


def options(cost: Cost, eps: float) -> tuple[dict[str, Any], float]:
    """Arguments of ``SamplesLoss`` for a cost and an eps of ours, and what its value is to be multiplied with."""
    power = 2.0 if isinstance(cost, SqEuclidean) else cost.p if isinstance(cost, PNorm) else None
    if power in (1, 2):
        # |x - y|^p / p at blur^p = eps / p is 1/p of ours.
        return {"p": int(power), "blur": (eps / power) ** (1 / power)}, power
    return {"p": 1, "blur": eps, "cost": cost.__call__}, 1.0


@dataclass(frozen=True)
class GeomLoss(Peer):
    """``geomloss.SamplesLoss(debias=False)``; it has no test of convergence.

    Attributes:
        scaling: the factor of the blur in one step.
    """

    scaling: float = 0.99
    name: ClassVar[str] = "GeomLoss"
    package: ClassVar[str] = "geomloss"

    @override
    def prepare(self, task: Task) -> Call:
        import torch

        eps = entropic_eps(task)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for KeOps
            from geomloss import SamplesLoss
        arguments, factor = options(task.cost, eps)
        loss = SamplesLoss("sinkhorn", debias=False, scaling=self.scaling, backend="tensorized", **arguments)

        def call() -> Answer:
            with torch.no_grad():
                value = factor * float(loss(task.x, task.y))
            return Answer(value=value, converged=None, unit=torch.finfo(task.x.dtype).eps)

        return call
