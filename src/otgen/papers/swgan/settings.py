"""The settings of a run in the paper's words: what its tables and lists print, read from a configuration."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import torch
from torch import nn

from otgen import nets
from otgen.data import Mnist, Normal, Source, Uniform
from otgen.methods import OTGAN, SWGAN, WGANGP, Adam, Method, SinkhornAutoDiff, SWGANSinkhorn
from otgen.ot import Cosine, Cost, MarginalError, MeanMass, Regulariser, Relative, Steps
from otgen.train import RunConfig

_MNIST = (1, 28, 28)


class Setting(StrEnum):
    """What a table, a list or the text of the paper prints, or leaves open."""

    LAMBDA = "regularisation weight"
    REGULARISER = "regulariser"
    COST = "cost"
    SPACE = "space of the cost"
    OBJECTIVE = "objective"
    SIGNS = "signs of (46)"
    ANNEALING = "annealing of the weight"
    BATCH = "batch"
    GENERATOR_STEP = "step size of the generator"
    DISCRIMINATOR_STEP = "step size of potentials, features or critic"
    BETAS = "betas of Adam"
    DECAY = "decay of the step sizes"
    UPDATES = "updates of potentials or critic a generator step"
    STOP = "test that ends these updates early"
    TOLERANCE = "tolerance of this test"
    RATIO = "generator steps an update of the features"
    STEPS = "generator steps"
    CODES = "codes"
    PIXELS = "range of the pixels"
    GENERATOR = "generator"
    FEATURES = "trunk of the discriminator"
    HEAD = "head of the discriminator"
    KERNELS = "sides of the kernels"
    GAIN = "gain of the layer normalisation"
    TRUNKS = "trunks of the two potentials"
    PENALTY = "weight of the gradient penalty"
    SOLVER_STEPS = "steps of the Sinkhorn solver"
    AVERAGE = "average of the generator's weights"
    DRAWS = "samples that the potentials learn from"
    UNIT = "unit of the potentials"
    CAP = "largest exponent in the potentials' objective"


def settings_of(config: RunConfig) -> dict[Setting, str]:
    """The settings of a run, as text; what a method does not have is left out."""
    shape, method = shape_of(config.data), config.method
    with torch.device("meta"):
        generator = config.generator.build(config.latent.shape, shape, config.data.value_range)
    ranged = config.data.value_range
    found = {
        Setting.STEPS: f"{config.steps:,}" if config.budget is None else f"as many as {config.budget:g} s allow",
        Setting.CODES: _codes(config.latent),
        Setting.GENERATOR: layers(generator),
        Setting.AVERAGE: f"decay {config.trainer.ema:g} a step" if config.trainer.ema else "none",
        Setting.BATCH: str(_of(method, "batch")),
        Setting.GENERATOR_STEP: f"{_of(method, 'generator_optimizer').lr:g}",
    }
    found |= {Setting.PIXELS: f"{ranged[0]:g} to {ranged[1]:g}"} if ranged is not None else {}
    found |= _swgan(method, shape) if isinstance(method, SWGAN) else _rival(method, shape)
    kernels = [part.kernel_size[0] for part in _parts(generator) if isinstance(part, nn.ConvTranspose2d | nn.Conv2d)]
    return found | ({Setting.KERNELS: ", ".join(map(str, kernels))} if kernels else {})


def layers(module: nn.Module) -> str:
    """The layers of a network in the paper's notation, ``FC(4, 128)-tanh-FC(128, 2)``.

    Outputs are counted as the paper counts them: after gated linear units, which halve them, and after concatenated
    ReLUs, which double them.
    """
    words: list[str] = []
    weights: list[tuple[int, str, int, int, str]] = []
    for part in _parts(module):
        factor = {nn.GLU: 0.5, nets.ConcatenatedReLU: 2.0}.get(type(part))
        if factor is not None:
            place, name, before, after, more = weights[-1]
            words[place] = f"{name}({before}, {int(factor * after)}{more})"
        if isinstance(part, nn.Linear):
            weights.append((len(words), "FC", part.in_features, part.out_features, ""))
        elif isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            name = "CONV" if isinstance(part, nn.Conv2d) else "DECONV"
            more = f", stride={part.stride[0]}"
            weights.append((len(words), name, part.in_channels, part.out_channels, more))
        else:
            words.append(_word(part))
            continue
        _, name, before, after, more = weights[-1]
        words.append(f"{name}({before}, {after}{more})")
    return "-".join(filter(None, words))


_WORDS: dict[type[nn.Module], str] = {
    nn.BatchNorm1d: "BN",
    nn.BatchNorm2d: "BN",
    nn.LayerNorm: "LN",
    nn.GroupNorm: "LN",  # of one group
    nn.ReLU: "ReLU",
    nn.LeakyReLU: "LReLU",
    nn.Tanh: "tanh",
    nn.GLU: "GLU",
    nn.Upsample: "UpSample2x",
    nets.ConcatenatedReLU: "CReLU",
    nets.TanhToRange: "Tanh",
    nets.ToRange: "sigmoid",
}


def _word(part: nn.Module) -> str:
    """Empty for what the paper's lists do not name: reshaping, and the end of a generator without a range."""
    if isinstance(part, nets.ToRange) and part.value_range is None:
        return ""
    return _WORDS.get(type(part), "")


def _parts(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if not list(part.children())]


def shape_of(data: Source) -> tuple[int, ...]:
    """The shape of a sample, of files too that are not here."""
    return _MNIST if isinstance(data, Mnist) and not data.padding else data.shape


def _of(method: Method, name: str) -> Any:
    """An attribute that the methods of the paper's figures share and their base class lacks."""
    return getattr(method, name)


def _codes(law: Source) -> str:
    if isinstance(law, Uniform):
        return f"uniform on ({law.low:g}, {law.high:g}), {law.dim} dimensions"
    assert isinstance(law, Normal)
    return f"normal, {law.dim} dimensions"


def _weight(reg: Regulariser, times: float = 1.0) -> str:
    eps: Any = _of_regulariser(reg)
    return f"{eps.factor * times:g} of the mean cost" if isinstance(eps, Relative) else f"{eps * times:g}"


def _of_regulariser(reg: Any) -> Any:
    return reg.eps


def _cost(cost: Cost) -> str:
    return "cosine" if isinstance(cost, Cosine) else type(cost).__name__


def _adams(*optimizers: object) -> dict[Setting, str]:
    """Step size of the second optimiser, betas and decay of both, once where they agree."""
    both = [optimizer for optimizer in optimizers if isinstance(optimizer, Adam)]
    assert len(both) == len(optimizers) == 2
    other = both[-1]
    betas = dict.fromkeys(f"{adam.beta1:g}, {adam.beta2:g}" for adam in both)
    decays = dict.fromkeys("none" if a.end == 1 else f"to {a.end:g} from {a.hold:g} of the run on" for a in both)
    return {
        Setting.DISCRIMINATOR_STEP: f"{other.lr:g}",
        Setting.BETAS: "; ".join(betas),
        Setting.DECAY: "; ".join(decays),
    }


def _split(net: nets.CriticNet, shape: tuple[int, ...]) -> dict[Setting, str]:
    """Trunk and head of a discriminator on samples, or the whole of one that is not in two parts."""
    with torch.device("meta"):
        if not isinstance(net, nets.SplitCriticNet):
            return {Setting.HEAD: layers(net.build(shape, 1))}
        head = net.head(net.trunk_features(shape), 1)
        gain = "learnt" if getattr(net, "affine", False) else "none"
        return {Setting.FEATURES: layers(net.trunk(shape)), Setting.HEAD: layers(head), Setting.GAIN: gain}


def _swgan(method: SWGAN, shape: tuple[int, ...]) -> dict[Setting, str]:
    oracle, learnt = method.oracle, method.features
    found = _adams(method.generator_optimizer, oracle.optimizer) | {
        Setting.LAMBDA: _weight(method.reg, method.anneal_from),
        Setting.REGULARISER: type(method.reg).__name__,
        Setting.COST: _cost(method.cost),
        Setting.SPACE: "samples" if learnt is None else "features",
        Setting.OBJECTIVE: "Sinkhorn loss" if isinstance(method, SWGANSinkhorn) else "plain value",
        Setting.ANNEALING: _annealing(method),
        Setting.UPDATES: str(oracle.most),
        Setting.STOP: "none",
        Setting.DRAWS: f"a pool of {method.pool} a step" if method.pool else "fresh",
        Setting.UNIT: "the mean cost at the start" if oracle.relative else "1",
        Setting.CAP: f"{oracle.guard:g}",
    }
    if isinstance(oracle.until, MeanMass | MarginalError):
        equation = "(26)" if isinstance(oracle.until, MeanMass) else "(25)"
        found |= {Setting.STOP: equation, Setting.TOLERANCE: f"{oracle.until.tol:g}"}
    else:
        assert isinstance(oracle.until, Steps)
    if learnt is None:
        trunks = "shared" if oracle.shared else "one each"
        return found | _split(oracle.f, shape) | {Setting.TRUNKS: trunks}
    assert isinstance(oracle.f, nets.HeadOf)
    found |= {Setting.RATIO: f"{learnt.every:,}", Setting.SIGNS: str(learnt.signs)}
    return found | _split(oracle.f.net, shape)


def _annealing(method: SWGAN) -> str:
    if method.anneal_from == 1:
        return "none"
    return f"to {1 / method.anneal_from:g} of it in {method.anneal_steps:,} steps"


def _rival(method: Method, shape: tuple[int, ...]) -> dict[Setting, str]:
    critic: nets.CriticNet = _of(method, "critic")
    found = _adams(_of(method, "generator_optimizer"), _of(method, "critic_optimizer"))
    if isinstance(method, WGANGP):
        more = {Setting.UPDATES: str(method.n_critic), Setting.PENALTY: f"{method.penalty.weight:g}"}
        return found | more | _split(critic, shape)
    assert isinstance(method, SinkhornAutoDiff | OTGAN)
    assert isinstance(critic, nets.TrunkOf)
    found |= {
        Setting.LAMBDA: _weight(method.reg),
        Setting.REGULARISER: type(method.reg).__name__,
        Setting.COST: _cost(method.cost),
        Setting.SPACE: "features",
        Setting.SOLVER_STEPS: str(method.max_steps),
    }
    whole = _split(critic.net, shape)
    found |= {Setting.FEATURES: whole[Setting.FEATURES], Setting.GAIN: whole[Setting.GAIN]}
    if isinstance(method, OTGAN):
        return found | {Setting.RATIO: str(method.critic_every)}
    return found | {Setting.UPDATES: str(method.n_critic)}
