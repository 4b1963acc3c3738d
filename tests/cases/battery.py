"""Every exported component with a small use of it: what the battery goes through."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from cases.components import COSTS, public
from cases.little_methods import LITTLE
from cases.neural_duals import Gaussian, small
from cases.random_problems import cloud, measures
from cases.semi_discrete import SOLVERS, Finite
from cases.solver_cases import CASES
from otgen import data, metrics, nets, ot
from otgen.methods import Batches, Method, Player
from otgen.metrics import Features
from otgen.nets import CriticNet, GeneratorNet, seeded
from otgen.ot import KL, Discrete, GridW1, NoReg, Quadratic, SamplesLoss, SemiDiscrete, SmoothRegulariser, solve

DTYPES = (torch.float32, torch.float64)
Inputs: TypeAlias = list[Tensor]


@dataclass(frozen=True)
class Results:
    """What a use of a component gives, without a graph: what has the dtype of the inputs, and what has its own."""

    kept: list[Tensor]
    others: list[Tensor]

    @property
    def all(self) -> list[Tensor]:
        return [*self.kept, *self.others]


@dataclass(frozen=True)
class Subject:
    """A component, what a caller gives it, and a use of it.

    Attributes:
        make: makes it.
        inputs: tensors of a dtype; none for what is not given any.
        use: what comes of them.
        dtypes: the dtypes that it takes.
        refuses_meta: whether it must refuse tensors without numbers; otherwise it may give such.
    """

    make: Callable[[], Any]
    inputs: Callable[[torch.dtype], Inputs]
    use: Callable[[Any, Inputs], Results]
    dtypes: tuple[torch.dtype, ...] = DTYPES
    refuses_meta: bool = True


def detached(tensors: Iterable[Any]) -> list[Tensor]:
    return [torch.as_tensor(t).detach() for t in tensors]


def four(dtype: torch.dtype) -> Inputs:
    """Points and weights."""
    return [t.clone() for t in measures(6, 4, 2, dtype=dtype, zeros=(0, 0))]


def two(dtype: torch.dtype) -> Inputs:
    return four(dtype)[:2]


def nothing(dtype: torch.dtype) -> Inputs:
    return []


# --- transport


def loss_used(loss: Any, given: Inputs) -> Results:
    """Value and gradients."""
    leaves = [t.detach().requires_grad_() for t in given]
    value = loss(leaves[2], leaves[0], leaves[3], leaves[1]) if isinstance(loss, SamplesLoss) else loss(*leaves)
    gradients = torch.autograd.grad(value, leaves)
    bounds = () if loss.last is None else (loss.last.lower, loss.last.upper)
    return Results(detached([value, *gradients]), detached(bounds))


def solver_used(solver: Any, given: Inputs, reg: ot.Regulariser) -> Results:
    found = solve(Discrete(*given, reg=reg), solver, tol=0, max_steps=6)
    numbers = (found.lower, found.upper, found.value_linear, found.potentials.g, found.marginal_error_b)
    return Results(detached([found.value, found.plan()]), detached(numbers))


def masses(shape: tuple[int, ...], dtype: torch.dtype) -> Inputs:
    given = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [(given - given.mean()).to(dtype)]


def grid_used(solver: Any, given: Inputs) -> Results:
    found = solve(GridW1(given[0], 0.5), solver, tol=0, max_steps=6)
    return Results(detached([found.value]), detached([found.lower, found.upper, found.critic, found.flow]))


def unbalanced_used(solver: Any, given: Inputs) -> Results:
    x, y, a, b = given
    found = solve(ot.Unbalanced(x, y, a, b, rho=1.0, reg=KL(eps=0.5)), solver, tol=0, max_steps=4)
    numbers = (found.lower, found.upper, found.mass, found.potentials.g, found.marginal_b)
    return Results(detached([found.value, found.plan()]), detached(numbers))


def semi_discrete_used(solver: Any, given: Inputs) -> Results:
    x, y, _, b = given
    found = solve(SemiDiscrete(Finite(x), y, b, reg=KL(eps=0.5)), solver, tol=0, max_steps=4)
    return Results(detached([found.loss(x), found.map(x)]), detached([found.value, found.estimate.lower]))


def continuous_used(solver: Any, given: Inputs) -> Results:
    x, y = given
    laws = (Gaussian((mean, 0.0), dtype=x.dtype) for mean in (0.0, 1.0))
    found = solve(ot.Continuous(*laws, reg=KL(eps=1.0)), solver, tol=0, max_steps=2)
    return Results(detached([found.loss(x, y), found.map(x, y)]), detached([found.value, found.lower]))


def cost_used(cost: Any, given: Inputs) -> Results:
    x, y = given
    costs = cost(x, y)
    return Results([costs, cost.paired(x[:4], y), cost.grad_norm(x, y), *cost.vjp(x, y, torch.ones_like(costs))], [])


def regulariser_used(reg: Any, given: Inputs) -> Results:
    x, _, _, b = given
    z = x @ x[:4].T
    more = (reg.conjugate(z), reg.density(z)) if isinstance(reg, SmoothRegulariser) else ()
    return Results([reg.soft_transform(z, b[None], -1), *more], [])


_FIXED: dict[str, Any] = {"tol": 0, "max_steps": 5}
_REGS = (KL(eps=0.5), Quadratic(eps=0.5), NoReg())
TRANSPORT: dict[str, Subject] = {
    **{
        f"{cls.__name__}, {type(reg).__name__}": Subject(partial(cls, reg=reg, **_FIXED), four, loss_used)
        for cls in public(ot.TransportLoss)  # type: ignore[type-abstract]
        for reg in _REGS
    },
    "SamplesLoss": Subject(partial(SamplesLoss, blur=0.5, on_unconverged="ignore"), four, loss_used),
    "SamplesLoss, energy": Subject(partial(SamplesLoss, "energy"), four, loss_used),
    **{
        f"{type(reg).__name__}, {solver}": Subject(partial(replace, solver), four, partial(solver_used, reg=reg))
        for reg, solver in CASES
    },
    "PositiveFeatures": Subject(partial(ot.PositiveFeatures, features=16), four, partial(solver_used, reg=KL(eps=2.0))),
    "UnbalancedNewton": Subject(ot.UnbalancedNewton, four, unbalanced_used),
    "UnbalancedSinkhorn": Subject(ot.UnbalancedSinkhorn, four, unbalanced_used),
    "GridPDHG": Subject(ot.GridPDHG, partial(masses, (3, 4)), grid_used),
    "GridExact1D": Subject(ot.GridExact1D, partial(masses, (7,)), grid_used),
    **{type(one).__name__: Subject(partial(replace, one), four, semi_discrete_used) for one in SOLVERS},
    "NeuralDual": Subject(partial(small, bank=50), two, continuous_used),
    **{str(cost): Subject(partial(replace, cost), two, cost_used, refuses_meta=False) for cost in COSTS},
    **{type(reg).__name__: Subject(partial(replace, reg), four, regulariser_used, refuses_meta=False) for reg in _REGS},
}

# --- metrics


def features(values: Tensor, name: str = "x") -> Features:
    return Features(values=values, probabilities=values.softmax(1), name=name)


def measured(metric: Any, given: Inputs) -> Results:
    numbers = metric(*map(features, given))
    return Results([], [torch.tensor([*numbers.values()], dtype=torch.float64)])


def extracted(extractor: Any, given: Inputs) -> Results:
    found = extractor(given[0])
    return Results([], detached(part for part in (found.values, found.probabilities) if part is not None))


def flattened(extractor: Any, given: Inputs) -> Results:
    return Results(extracted(extractor, given).others, [])


def clouds(dtype: torch.dtype) -> Inputs:
    return [cloud(30, 3, 1, dtype), cloud(40, 3, 2, dtype)]


def grey(dtype: torch.dtype) -> Inputs:
    return [cloud(10, 64, seed, dtype).sigmoid() for seed in (1, 2)]


def images(shape: tuple[int, ...], dtype: torch.dtype) -> Inputs:
    return [torch.rand(3, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)]


def _metric(make: Callable[[], Any]) -> Subject:
    return Subject(make, clouds, measured)


METRICS: dict[str, Subject] = {
    "ClassifierScore": _metric(metrics.ClassifierScore),
    "ClassShares": _metric(metrics.ClassShares),
    "CopyCheck": _metric(lambda: metrics.CopyCheck(training=features(cloud(50, 3, 3)))),
    "FeatureCopyCheck": _metric(lambda: metrics.FeatureCopyCheck(training=features(cloud(50, 3, 3)))),
    "FrechetDistance": _metric(metrics.FrechetDistance),
    "KernelDistance": _metric(partial(metrics.KernelDistance, subsets=5, subset_size=20)),
    "LabelAccuracy": _metric(lambda: metrics.LabelAccuracy(asked=torch.arange(30) % 3, actual=torch.arange(40) % 3)),
    "ModeCoverage": _metric(lambda: metrics.ModeCoverage(centres=torch.eye(3), std=0.5)),
    "ParameterError": _metric(lambda: metrics.ParameterError(learnt=torch.ones(2), true=torch.zeros(2))),
    "PairSimilarity": Subject(partial(metrics.PairSimilarity, image_shape=(1, 8, 8), pairs=20), grey, measured),
    "PrecisionRecall": _metric(metrics.PrecisionRecall),
    "RealFrechet": _metric(metrics.RealFrechet),
    "SlicedWasserstein": _metric(partial(metrics.SlicedWasserstein, lines=8)),
    "WassersteinDistance": _metric(partial(metrics.WassersteinDistance, max_points=20)),
    "Identity": Subject(metrics.Identity, clouds, flattened),
    "DigitFeatures": Subject(metrics.DigitFeatures, partial(images, (1, 28, 28)), extracted),
    "CifarFeatures": Subject(metrics.CifarFeatures, partial(images, (3, 32, 32)), extracted),
}

# --- sources


def sampled(source: Any, given: Inputs) -> Results:
    rng = torch.Generator().manual_seed(3)
    return Results([], [source.sample(5, rng), source.sample(2, rng)])


SOURCES: dict[str, Subject] = {
    type(source).__name__: Subject(partial(replace, source), nothing, sampled)
    for source in (
        data.Gaussian1D(),
        data.Gaussian2D(),
        data.Gaussians8(),
        data.Gaussians25(),
        data.Rings(),
        data.Normal(dim=3),
        data.Uniform(dim=2),
    )
}

# --- networks


def generated(net: GeneratorNet, given: Inputs, shape: tuple[int, ...]) -> Results:
    with seeded(torch.Generator().manual_seed(0)):
        span = None if isinstance(net, nets.LocationScale) else (-1.0, 1.0)
        module = net.build((given[0].shape[1],), shape, span).to(given[0].dtype)
    return network_used(module, given[0])


def criticised(net: CriticNet, given: Inputs) -> Results:
    with seeded(torch.Generator().manual_seed(0)):
        module = net.build(tuple(given[0].shape[1:]), 2).to(given[0].dtype)
    return network_used(module, given[0])


def network_used(module: nn.Module, x: Tensor) -> Results:
    """Output, gradient of the weights, and buffers."""
    value = module(x)
    weights = [p for p in module.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(value.square().sum(), weights, allow_unused=True, materialize_grads=True)
    return Results(detached([value, *gradients]), detached(module.buffers()))


def codes(dtype: torch.dtype) -> Inputs:
    return [cloud(4, 3, 1, dtype)]


_SMALL: dict[str, Any] = {
    "MlpGenerator": {"widths": (4,), "batch_norm": True},
    "MlpCritic": {"widths": (4,)},
    "MlpSplitCritic": {"widths": (4,), "size": 4, "head_widths": ()},
    "SplitCritic": {"net": nets.MlpCritic(widths=(4,)), "size": 4, "head_widths": ()},
    "Augmented": {"net": nets.DcganCritic(width=2)},
    "Rescaled": {"net": nets.DcganCritic(width=2)},
    "TrunkOf": {"net": nets.MlpSplitCritic(widths=(4,), size=2)},
    "LocationScale": {"location": (0.0,) * 3, "scale": (1.0,) * 3},
}
_SHAPES = {
    "Mnist": (1, 28, 28),
    "Cifar": (3, 32, 32),
    "SeqSGDA": (3, 32, 32),
    "Dcgan": (1, 28, 28),
    "Augmented": (3, 8, 8),
    "Rescaled": (3, 8, 8),
}


def shape_for(cls: type[Any]) -> tuple[int, ...]:
    """A shape of samples that a network is made for."""
    return next((shape for part, shape in _SHAPES.items() if part in cls.__name__), (3,))


def _network(cls: type[Any]) -> Subject:
    name, shape = cls.__name__, shape_for(cls)
    options = _SMALL.get(name, {"width": 2} if len(shape) == 3 else {})
    if issubclass(cls, GeneratorNet):
        return Subject(partial(cls, **options), codes, partial(generated, shape=shape), refuses_meta=False)
    return Subject(partial(cls, **options), partial(images, shape), criticised, refuses_meta=False)


def exported(package: Any, *kinds: type[Any]) -> set[type[Any]]:
    """The concrete classes of some kinds that a package offers."""
    found = (getattr(package, name) for name in package.__all__)
    return {c for c in found if isinstance(c, type) and issubclass(c, kinds) and not inspect.isabstract(c)}


NETWORKS: dict[str, Subject] = {
    cls.__name__: _network(cls) for cls in sorted(exported(nets, GeneratorNet, CriticNet), key=lambda c: c.__name__)
}

# --- methods


def updated(player: Player, loss: Tensor) -> None:
    """As a trainer does it."""
    weights = player.weights
    for weight, gradient in zip(weights, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
        weight.grad = gradient
    player.optimizer.step()
    player.optimizer.zero_grad()
    player.project()


def begun(method: Method) -> tuple[Any, Batches]:
    """The state of a method between a normal law and a Gaussian of the plane, and its batches."""
    laws = data.Gaussian2D(mean=(2.0, -1.0)), data.Normal(dim=2)
    streams = [torch.Generator().manual_seed(seed) for seed in range(4)]
    with seeded(streams[0]):
        generator = nets.MlpGenerator(widths=(8,)).build((2,), (2,), None)
    state = method.init(generator, laws[1], laws[0], streams[1])
    return state, Batches(*laws, streams[2], streams[3], torch.device("cpu"))


def stepped(method: Any, given: Inputs) -> Results:
    state, batches = begun(method)
    method.step(state, batches, updated)
    return Results([], [p.detach().clone() for p in state.generator.module.parameters()])


METHODS: dict[str, Subject] = {
    f"method {name}": Subject(partial(replace, method), nothing, stepped) for name, method in LITTLE.items()
}

SUBJECTS: dict[str, Subject] = {**TRANSPORT, **METRICS, **SOURCES, **NETWORKS, **METHODS}
