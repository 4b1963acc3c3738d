"""What GeomLoss's users write runs with only the import changed, and comes to the same values and gradients.

Each example is a function of the class ``SamplesLoss``, in the spirit of the examples of GeomLoss's documentation, and
returns tensors by name. They differ by what GeomLoss's annealing leaves at the ``scaling`` of the example: the margins
are twice to three times what was measured with GeomLoss 0.3.1, relative to the largest entry.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from otgen.ot import SamplesLoss

Tensors = dict[str, Tensor]
Example = Callable[[Any], Tensors]
Margins = dict[str, float]
EXAMPLES: list[tuple[Example, Margins]] = []


def example(**margins: float) -> Callable[[Example], Example]:
    """Register an example, with the margin of each tensor that it returns."""

    def register(run: Example) -> Example:
        EXAMPLES.append((run, margins))
        return run

    return register


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(n: int, d: int, seed: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(n, d, generator=seeded(seed), dtype=torch.float64)


def masses(n: int, seed: int) -> Tensor:
    found = 0.5 + torch.rand(n, generator=seeded(seed), dtype=torch.float64)
    return found / found.sum()


def gradient(value: Tensor, *points: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, points)


def flow(loss: Any, x: Tensor, y: Tensor, rate: float, steps: int) -> Tensor:
    """Points that follow minus the gradient, each with a mass of 1 / n."""
    x = x.clone()
    for _ in range(steps):
        x.requires_grad_()
        (slope,) = gradient(loss(x, y), x)
        x = (x - rate * len(x) * slope).detach()
    return x


@example(end=0.006)
def a_flow_on_the_line(loss_class: Any) -> Tensors:
    x, y = uniform(60, 1, 1, 0.0, 0.2), uniform(60, 1, 2, 0.6, 1.0)
    return {"end": flow(loss_class("sinkhorn", p=2, blur=0.05, scaling=0.9), x, y, 0.1, 10)}


@example(end=0.02)
def a_flow_of_the_energy_distance(loss_class: Any) -> Tensors:
    """GeomLoss takes points closer than 1e-4 for the same, which changes the slopes of a few."""
    x, y = uniform(60, 1, 1, 0.0, 0.2), uniform(50, 1, 2, 0.6, 1.0)
    return {"end": flow(loss_class("energy"), x, y, 0.05, 10)}


@example(end=0.008)
def a_flow_in_the_plane(loss_class: Any) -> Tensors:
    x, y = uniform(50, 2, 3, 0.0, 0.4), uniform(40, 2, 4, 0.5, 1.0)
    return {"end": flow(loss_class("sinkhorn", p=2, blur=0.1, scaling=0.95), x, y, 0.2, 5)}


@example(end=0.03)
def a_flow_with_reach(loss_class: Any) -> Tensors:
    """GeomLoss's gradient is that of its value times (rho + eps / 2) / (rho + eps), which is 0.986 here."""
    x, y = uniform(50, 2, 3, 0.0, 0.4), uniform(40, 2, 4, 0.5, 1.0)
    return {"end": flow(loss_class("sinkhorn", p=2, blur=0.05, reach=0.3, scaling=0.98), x, y, 0.2, 5)}


@example(value=0.01)
def the_plain_call(loss_class: Any) -> Tensors:
    """The value alone: GeomLoss's gradient is a third off at its default scaling."""
    return {"value": loss_class()(uniform(50, 3, 5), uniform(60, 3, 6) + 0.5)}


@example(value=3e-5, slope=0.02)
def without_debiasing(loss_class: Any) -> Tensors:
    x = uniform(50, 2, 5).requires_grad_()
    value = loss_class("sinkhorn", p=2, blur=0.1, debias=False, scaling=0.99)(x, uniform(60, 2, 6) + 0.2)
    return {"value": value.detach(), "slope": gradient(value, x)[0]}


@example(value=3e-4, slope=0.003)
def distances_that_are_not_squared(loss_class: Any) -> Tensors:
    x = uniform(50, 2, 5).requires_grad_()
    value = loss_class("sinkhorn", p=1, blur=0.05, scaling=0.98)(x, uniform(60, 2, 6) + 0.4)
    return {"value": value.detach(), "slope": gradient(value, x)[0]}


@example(value=2e-4, slope=0.1)
def options_of_the_multiscale_examples(loss_class: Any) -> Tensors:
    options = {"diameter": 2.0, "truncate": 1.0, "cluster_scale": 0.1, "verbose": True}
    x = uniform(50, 2, 5).requires_grad_()
    value = loss_class("sinkhorn", p=2, blur=0.05, scaling=0.99, **options)(x, uniform(60, 2, 6) + 0.4)
    return {"value": value.detach(), "slope": gradient(value, x)[0]}


@example(slope_0=0.5, slope_1=0.07, slope_2=0.012)
def finer_and_finer_annealing(loss_class: Any) -> Tensors:
    x, y = uniform(50, 2, 5).requires_grad_(), uniform(60, 2, 6) + 0.4
    values = [loss_class("sinkhorn", blur=0.1, scaling=scaling)(x, y) for scaling in (0.5, 0.9, 0.99)]
    return {f"slope_{k}": gradient(value, x)[0] for k, value in enumerate(values)}


@example(value=4e-6, slope=0.012, of_masses=0.006)
def weights_that_learn(loss_class: Any) -> Tensors:
    """GeomLoss's derivative by the weights is the potential; a constant in it means nothing, as their sum is 1."""
    x, a = uniform(50, 2, 5).requires_grad_(), masses(50, 7).requires_grad_()
    value = loss_class("sinkhorn", p=2, blur=0.2, scaling=0.99)(a, x, masses(60, 8), uniform(60, 2, 6) + 0.3)
    slope, of_masses = gradient(value, x, a)
    return {"value": value.detach(), "slope": slope, "of_masses": of_masses - of_masses.mean()}


@example(values=1e-4, slope=0.02)
def a_batch(loss_class: Any) -> Tensors:
    x = torch.stack([uniform(30, 2, k) for k in range(4)]).requires_grad_()
    y = torch.stack([uniform(20, 2, k + 10) + 0.3 for k in range(4)])
    a, b = (torch.stack([masses(n, k) for k in range(4)]) for n in (30, 20))
    loss = loss_class("sinkhorn", p=2, blur=0.2, scaling=0.99)
    values = loss(a.unsqueeze(-1), x, b.unsqueeze(-1), y)
    return {"values": values.detach(), "slope": gradient(values.sum(), x)[0]}


@example(value=1e-4, slope=0.035)
def different_masses(loss_class: Any) -> Tensors:
    x = uniform(50, 2, 5).requires_grad_()
    loss = loss_class("sinkhorn", p=2, blur=0.05, reach=0.5, scaling=0.99)
    value = loss(2 * masses(50, 7), x, masses(60, 8), uniform(60, 2, 6) + 0.4)
    return {"value": value.detach(), "slope": gradient(value, x)[0]}


@example(labels=0.04)
def labels_by_a_plan(loss_class: Any) -> Tensors:
    """The labels of y, sent to x by the plan of the potentials."""
    blur, (x, y) = 0.1, (uniform(40, 2, 5), uniform(60, 2, 6) + 0.2)
    f, g = loss_class("sinkhorn", p=2, blur=blur, debias=False, potentials=True, scaling=0.98)(x, y)
    costs = (x[:, None] - y).square().sum(-1) / 2
    plan = ((f.detach().view(-1, 1) + g.detach().view(1, -1) - costs) / blur**2).exp() / (40 * 60)
    return {"labels": 40 * plan @ torch.nn.functional.one_hot(torch.arange(60) % 3).double()}


@example(colours=0.012)
def a_colour_transfer(loss_class: Any) -> Tensors:
    """One gradient step of length 1 for each colour, whatever its mass."""
    x, a = uniform(80, 3, 5).requires_grad_(), masses(80, 7)
    y = 0.3 + 0.5 * uniform(70, 3, 6)
    value = loss_class("sinkhorn", p=2, blur=0.1, scaling=0.98)(a, x, masses(70, 8), y)
    return {"colours": (x - gradient(value, x)[0] / a[:, None]).detach()}


@example(end=0.01)
def a_barycentre(loss_class: Any) -> Tensors:
    clouds = [0.3 * uniform(40, 2, k) + torch.tensor([k / 2, k % 2]) for k in range(3)]
    z, loss = uniform(40, 2, 9).requires_grad_(), loss_class("sinkhorn", p=2, blur=0.1, scaling=0.9)
    for _ in range(4):
        value = sum(share * loss(z, cloud) for share, cloud in zip((0.5, 0.3, 0.2), clouds, strict=True))
        assert isinstance(value, Tensor)
        z = (z - 40 * gradient(value, z)[0]).detach().requires_grad_()
    return {"end": z.detach()}


def of_fibres(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances of curves of five points each, which may be run through either way."""
    fibres = x.unflatten(-1, (5, 3))
    there, back = (
        (curve.flatten(-2).unsqueeze(-2) - y.unsqueeze(-3)).square().mean(-1) for curve in (fibres, fibres.flip(-2))
    )
    return torch.minimum(there, back)


@example(value=1.5e-5, slope=0.007, f=5e-4, g=5e-4)
def fibres_of_a_tractogram(loss_class: Any) -> Tensors:
    options: dict[str, Any] = {"p": 2, "blur": 0.3, "cost": of_fibres, "scaling": 0.99}
    x, y = uniform(30, 15, 5).requires_grad_(), uniform(20, 15, 6) + 0.2
    value = loss_class("sinkhorn", **options)(x, y)
    f, g = loss_class("sinkhorn", reach=1.0, debias=False, potentials=True, **options)(x, y)
    return {"value": value.detach(), "slope": gradient(value, x)[0], "f": f.detach(), "g": g.detach()}


@example(f=0.005, g=0.003, slope=0.01)
def a_witness_function(loss_class: Any) -> Tensors:
    """Debiased potentials, and the gradient of the first by the points."""
    x, y = uniform(40, 2, 5).requires_grad_(), uniform(30, 2, 6) + 0.3
    f, g = loss_class("sinkhorn", p=2, blur=0.2, scaling=0.99, potentials=True)(x, y)
    (slope,) = gradient(f.sum(), x)
    # Only their sum is determined.
    middle = f.detach().mean()
    return {"f": f.detach() - middle, "g": g.detach() + middle, "slope": slope}


@pytest.fixture(scope="module")
def theirs() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("geomloss", reason="geomloss is not installed: pip install -e '.[peers]'")
    return module.SamplesLoss


def differences(run: Example, loss_class: Any) -> Margins:
    ours, expected = run(SamplesLoss), run(loss_class)
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        assert ours[name].shape == tensor.shape
        assert ours[name].dtype == tensor.dtype
    return {name: float((ours[name] - t).abs().max() / t.abs().max()) for name, t in expected.items()}


@pytest.mark.parametrize("run", [run for run, _ in EXAMPLES], ids=lambda each: each.__name__)
def test_an_example_runs(run: Example) -> None:
    """Without GeomLoss too."""
    for name, tensor in run(SamplesLoss).items():
        assert bool(tensor.isfinite().all()), name
        assert bool(tensor.any()), name


@pytest.mark.parametrize(("run", "margins"), EXAMPLES, ids=lambda each: getattr(each, "__name__", ""))
def test_an_example(run: Example, margins: Margins, theirs: Any) -> None:
    found = differences(run, theirs)
    assert found.keys() == margins.keys()
    assert [name for name, margin in margins.items() if not found[name] <= margin] == [], found
