"""GeomLoss's ``SamplesLoss`` and ours, called alike: time of the value with its gradient, and errors against float64.

``python -m benchmarks --only drop_in --threads 1`` measures; ``python -m benchmarks.readme`` puts it into README.md.
"""

from __future__ import annotations

import warnings
from typing import Any

from benchmarks.peers import differentiated, problem, samples_loss
from benchmarks.report import Settings, Table
from benchmarks.timing import interleaved
from otgen.ot import SamplesLoss, Sinkhorn

DIMENSION = 2
BLURS, SIZES = (0.5, 0.05), (100, 500, 1000)
TINY = (12,)
# Steps of the truth; its interval is checked.
TRUTH_STEPS, TRUTH_GAP = 60, 1e-3
OURS, FIXED = "otgen", "otgen, 10 steps"


def main(settings: Settings) -> Table:
    """The table."""
    table = Table(
        "drop_in",
        f"SamplesLoss, value and gradient, p = 2, d = {DIMENSION}, float32, two normal clouds: medians of whole calls; "
        "relative errors against float64. Ours by its defaults, and with tol=0, max_steps=10, "
        "solver=Sinkhorn.fastest(); GeomLoss at its default scaling and at 0.9",
        ("blur", "n", "library", "ms", "ours / theirs", "value error", "gradient error"),
    )
    for blur in BLURS:
        for n in TINY if settings.tiny else SIZES:
            _measure(blur, n, settings.seconds, table)
    return table


def _losses(blur: float) -> dict[str, Any]:
    losses: dict[str, Any] = {
        OURS: SamplesLoss(blur=blur),
        FIXED: SamplesLoss(blur=blur, tol=0, max_steps=10, solver=Sinkhorn.fastest()),
    }
    theirs = samples_loss()
    if theirs is None:
        return losses
    for name, options in (("GeomLoss", {}), ("GeomLoss, scaling 0.9", {"scaling": 0.9})):
        losses[name] = theirs("sinkhorn", blur=blur, backend="tensorized", **options)
    return losses


def _measure(blur: float, n: int, seconds: float, table: Table) -> None:
    x, y = problem(n, DIMENSION, seed=n)
    exact = SamplesLoss(blur=blur, tol=0, max_steps=TRUTH_STEPS, solver=Sinkhorn.fastest())
    value, gradient = differentiated(exact, x.double(), y.double())
    assert exact.last is not None
    assert float(exact.last.rel_gap) < TRUTH_GAP
    losses = _losses(blur)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a tolerance that is not met: the errors are in the table
        calls = {name: (lambda loss=loss: float(differentiated(loss, x, y)[0])) for name, loss in losses.items()}  # type: ignore[misc]
        times = interleaved(calls, seconds=seconds)
        found = {name: differentiated(loss, x, y) for name, loss in losses.items()}
    for name, (v, g) in found.items():
        errors = abs(v.double() - value) / abs(value), (g.double() - gradient).norm() / gradient.norm()
        table.add(blur, n, name, times[name], times[OURS] / times[name], *map(float, errors))
