"""Every architecture: shapes, value ranges, sizes, gradients."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import nn

from cases.errors import input_error
from cases.layers import count, dense, layer
from otgen import nets
from otgen.errors import InputError
from otgen.nets import Activation, CriticNet, DcganCritic, DcganGenerator, GeneratorNet, MlpCritic, MlpGenerator, seeded

GENERATORS = [
    MlpGenerator(widths=(16, 8)),
    MlpGenerator(widths=(16,), batch_norm=True, activation=Activation.TANH),
    MlpGenerator(widths=()),
    DcganGenerator(width=4),
    DcganGenerator(width=4, batch_norm=False),
    DcganGenerator(width=4, hidden=(16, 8)),
    DcganGenerator(width=4, hidden=(16,), batch_norm=False),
]
CRITICS = [
    MlpCritic(widths=(16, 8)),
    MlpCritic(widths=()),
    MlpCritic(activation=Activation.RELU),
    nets.MlpSplitCritic(widths=(16,), size=8),
    nets.SplitCritic(net=DcganCritic(width=4), size=8, head_widths=(16,)),
    DcganCritic(width=4),
    DcganCritic(width=4, hidden=(16, 8)),
    nets.Augmented(net=DcganCritic(width=4), cutout=0.3, colour=0.5),
    nets.Rescaled(net=DcganCritic(width=4), factor=8.0),
]
IMAGES = [(1, 28, 28), (3, 28, 28), (3, 32, 32), (1, 64, 64)]


def _built(net: GeneratorNet, latent: tuple[int, ...], shape: tuple[int, ...], span: tuple[float, float] | None):
    with seeded(torch.Generator().manual_seed(0)):
        return net.build(latent, shape, span)


@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize("net", GENERATORS, ids=str)
def test_generators_give_samples_of_the_shape_and_range(net: GeneratorNet, shape: tuple[int, ...]) -> None:
    codes = 100 * torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    out = _built(net, (7,), shape, (-1.0, 1.0))(codes).detach()
    assert (out.shape, out.dtype) == ((5, *shape), torch.float32)
    assert -1 <= out.min() < out.max() <= 1


@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize("net", CRITICS, ids=str)
@pytest.mark.parametrize("features", [1, 16])
def test_critics_give_one_row_of_features_a_sample(net: CriticNet, shape: tuple[int, ...], features: int) -> None:
    with seeded(torch.Generator().manual_seed(0)):
        critic = net.build(shape, features)
    assert critic(torch.rand(5, *shape)).shape == (5, features)


@pytest.mark.parametrize("net", [g for g in GENERATORS if isinstance(g, MlpGenerator)], ids=str)
@pytest.mark.parametrize("shape", [(1,), (2,), (3, 4)], ids=str)
def test_mlps_make_samples_of_any_shape(net: MlpGenerator, shape: tuple[int, ...]) -> None:
    assert _built(net, (2, 3), shape, None)(torch.randn(4, 2, 3)).shape == (4, *shape)


@pytest.mark.parametrize("side", range(2, 73, 2))
def test_dcgan_takes_every_even_size_or_refuses_it(side: int) -> None:
    shape = (1, side, side)
    generator = _or_none(lambda: _built(DcganGenerator(width=2), (3,), shape, None))
    modules = [generator, _or_none(lambda: DcganCritic(width=2).build(shape, 5))]
    if None in modules:
        assert modules == [None, None]
        assert side not in (8, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)  # the usual sizes
        return
    assert modules[0](torch.randn(2, 3)).shape == (2, *shape)
    assert modules[1](torch.rand(2, *shape)).shape == (2, 5)


def _or_none(build: Callable[[], nn.Module]) -> nn.Module | None:
    try:
        return build()
    except InputError:
        return None


@pytest.mark.parametrize("shape", [(1, 27, 27), (3, 28, 32), (2,), (28, 28), (1, 33, 33), (1, 2, 28, 28)], ids=str)
@pytest.mark.parametrize(
    "build", [lambda shape: DcganGenerator().build((3,), shape, None), lambda shape: DcganCritic().build(shape, 1)]
)
def test_dcgan_says_what_it_needs_what_it_got_and_what_to_do(
    shape: tuple[int, ...], build: Callable[[tuple[int, ...]], nn.Module]
) -> None:
    message = input_error(None, build, shape)
    for part in ("square images of an even size", str(shape), "use an MLP"):
        assert part in message


def test_dcgan_refuses_sizes_that_start_too_large() -> None:
    input_error(r"side 36 halve to 9 only.*use side 28, 32 or 64", DcganGenerator().build, (3,), (1, 36, 36), None)


# Layer by layer, by hand; batch normalisation has two numbers a channel and takes the bias's place.
DIGIT, SMALL, LARGE = (1, 28, 28), (3, 32, 32), (3, 64, 64)
GENERATOR_COUNTS = {
    "mlp, digits": (MlpGenerator(), 16, DIGIT, dense(16, 256, 512, 1024, 784)),
    "mlp, plane": (MlpGenerator(widths=(128,) * 3), 4, (2,), dense(4, 128, 128, 128, 2)),
    "mlp, batch norm": (MlpGenerator(widths=(32,), batch_norm=True), 16, (2,), layer(16, 32, each=2) + layer(32, 2)),
    "28": (DcganGenerator(), 100, DIGIT, layer(100, 128, 7, each=2) + layer(128, 64, 4, each=2) + layer(64, 1, 4)),
    "28, no batch norm": (
        DcganGenerator(batch_norm=False),
        *(100, DIGIT),
        dense(100, 128 * 49) + layer(128, 64, 4) + layer(64, 1, 4),
    ),
    "28, hidden layers": (
        DcganGenerator(width=16, hidden=(512, 256)),
        *(32, DIGIT),
        sum(layer(*sizes, each=2) for sizes in ((32, 512), (512, 256), (256, 32 * 49), (32, 16, 4))) + layer(16, 1, 4),
    ),
    "32": (
        DcganGenerator(),
        *(100, SMALL),
        sum(layer(*sizes, 4, each=2) for sizes in ((100, 256), (256, 128), (128, 64))) + layer(64, 3, 4),
    ),
    "64": (
        DcganGenerator(width=32),
        *(100, LARGE),
        sum(layer(*sizes, 4, each=2) for sizes in ((100, 256), (256, 128), (128, 64), (64, 32))) + layer(32, 3, 4),
    ),
}
CRITIC_COUNTS = {
    "mlp": (MlpCritic(), DIGIT, 16, dense(784, 256, 256, 16)),
    "28": (DcganCritic(), DIGIT, 16, layer(1, 64, 4) + layer(64, 128, 4) + 128 * 49 * 16 + 16),
    "28, hidden layer": (
        DcganCritic(width=16, hidden=(256,)),
        *(DIGIT, 8),
        layer(1, 16, 4) + layer(16, 32, 4) + dense(32 * 49, 256, 8),
    ),
    "32": (DcganCritic(), SMALL, 1, sum(layer(*sizes, 4) for sizes in ((3, 64), (64, 128), (128, 256), (256, 1)))),
    "64": (
        DcganCritic(width=32),
        *(LARGE, 1),
        sum(layer(*sizes, 4) for sizes in ((3, 32), (32, 64), (64, 128), (128, 256), (256, 1))),
    ),
}


@pytest.mark.parametrize("case", GENERATOR_COUNTS)
def test_parameter_counts_of_generators(case: str) -> None:
    net, latent, shape, expected = GENERATOR_COUNTS[case]
    assert count(net.build((latent,), shape, None)) == expected


@pytest.mark.parametrize("case", CRITIC_COUNTS)
def test_parameter_counts_of_critics(case: str) -> None:
    net, shape, features, expected = CRITIC_COUNTS[case]
    assert count(net.build(shape, features)) == expected


@pytest.mark.parametrize("net", [*GENERATORS, *CRITICS], ids=str)
def test_every_parameter_gets_a_gradient(net: GeneratorNet | CriticNet) -> None:
    shape = (1, 28, 28)
    module = _built(net, (7,), shape, None) if isinstance(net, GeneratorNet) else net.build(shape, 3)
    x = torch.randn(6, 7) if isinstance(net, GeneratorNet) else torch.rand(6, *shape)
    module(x).square().sum().backward()
    silent = [name for name, p in module.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert silent == []


@pytest.mark.parametrize("net", [*GENERATORS, *CRITICS], ids=str)
def test_hyper_parameters_are_frozen(net: GeneratorNet | CriticNet) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        net.width = 3  # type: ignore[misc,union-attr]
    assert dataclasses.replace(net) == net


@pytest.mark.parametrize("net", [MlpGenerator(widths=(8,), batch_norm=True)], ids=str)
def test_one_sample_has_no_batch_statistics(net: GeneratorNet) -> None:
    generator = _built(net, (3,), (2,), None)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        generator(torch.randn(1, 3))
    assert generator.eval()(torch.randn(1, 3)).shape == (1, 2)


@pytest.mark.parametrize("activation", Activation)
def test_activations_sit_after_each_hidden_layer(activation: Activation) -> None:
    expected = {Activation.RELU: nn.ReLU, Activation.LEAKY_RELU: nn.LeakyReLU, Activation.TANH: nn.Tanh}[activation]
    module = MlpGenerator(widths=(4, 4), activation=activation).build((3,), (2,), None)
    assert sum(type(m) is expected for m in module.modules()) == 2


@pytest.mark.parametrize(
    "build",
    [
        lambda: MlpGenerator(widths=(16, 0)),
        lambda: MlpCritic(widths=(0,)),
        lambda: DcganGenerator(hidden=(0,)),
        lambda: DcganGenerator(width=0),
        lambda: DcganCritic(hidden=(16, -1)),
    ],
)
def test_layers_without_units_are_refused(build: Callable[[], object]) -> None:
    input_error("widths of hidden layers must be at least 1, got", build)
