"""flash-sinkhorn: cost ``|x - y|^2`` and ``eps = blur^2``, float32 on CUDA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from typing_extensions import override

from otgen.ot import SqEuclidean
from otgen.peers.base import Answer, Call, Peer, Task, Unavailable, entropic_eps


@dataclass(frozen=True)
class FlashSinkhorn(Peer):
    """``flash_sinkhorn.SamplesLoss(backend="alternating")`` for a fixed number of iterations; no claim of convergence.

    Attributes:
        most: of the iterations.
    """

    most: int = 2000
    name: ClassVar[str] = "flash-sinkhorn"
    package: ClassVar[str] = "flash-sinkhorn"

    @override
    def prepare(self, task: Task) -> Call:
        eps = entropic_eps(task)
        if not isinstance(task.cost, SqEuclidean):
            raise Unavailable(f"no {type(task.cost).__name__}: SqEuclidean only")
        if not torch.cuda.is_available():
            raise Unavailable("needs CUDA, and there is none here")
        from flash_sinkhorn import SamplesLoss

        loss = SamplesLoss(
            "sinkhorn",
            blur=eps**0.5,
            eps=eps,
            backend="alternating",
            use_epsilon_scaling=False,
            n_iters=min(task.max_steps, self.most),
            debias=False,
            allow_tf32=False,
        )
        x, y = task.x.float().cuda(), task.y.float().cuda()

        def call() -> Answer:
            value = float(loss(x, y))
            torch.cuda.synchronize()
            return Answer(value=value, converged=None, unit=torch.finfo(torch.float32).eps)

        return call
