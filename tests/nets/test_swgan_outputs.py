"""The networks of Sanjabi et al. 2018: ranges, gradients, features, errors."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from cases.errors import input_error
from cases.swgan_nets import CIFAR, MNIST, POST, PRE, SYMMETRIC, Net, build, meta, own_shape
from otgen import nets
from otgen.nets import CriticNet, GeneratorNet, GluReading, SidesReading, SplitCriticNet, TanhToRange, ToRange, seeded

# A quarter of the paper's widths, small enough for numbers, with the shape of the samples.
SMALL: list[tuple[Net, tuple[int, ...]]] = [
    (nets.SWGANMnistGenerator(width=16), MNIST),
    (nets.SWGANMnistGenerator(width=16, sides=SidesReading.KERNELS), MNIST),
    (nets.SWGANMnistGenerator(width=16, sides=SidesReading.CROPPED), MNIST),
    (nets.SWGANMnistCritic(width=16), MNIST),
    (nets.SWGANMnistCritic(width=16, affine=False), MNIST),
    (nets.SWGANCifarGenerator(width=32), CIFAR),
    (nets.SWGANCifarGenerator(width=32, glu=PRE), CIFAR),
    (nets.SWGANCifarCritic(width=64), CIFAR),
    (nets.SWGANCifarCritic(width=64, affine=False), CIFAR),
]
every_net = pytest.mark.parametrize(("net", "shape"), SMALL, ids=str)
generators = pytest.mark.parametrize(("net", "shape"), [c for c in SMALL if isinstance(c[0], GeneratorNet)], ids=str)
critics = pytest.mark.parametrize(("net", "shape"), [c for c in SMALL if isinstance(c[0], CriticNet)], ids=str)
OF_MNIST = (nets.SWGANMnistGenerator, nets.SWGANMnistCritic)
OF_CIFAR = (nets.SWGANCifarGenerator, nets.SWGANCifarCritic)
FULL = [kind() for kind in (*OF_MNIST, *OF_CIFAR)]


def _built(net: Net, shape: tuple[int, ...], *, seed: int = 0) -> nn.Module:
    with seeded(torch.Generator().manual_seed(seed)):
        return build(net, shape)


def _input(net: Net, shape: tuple[int, ...], n: int = 6) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(n, *((128,) if isinstance(net, GeneratorNet) else shape), generator=rng)


@pytest.mark.parametrize("latent", [(1,), (4,), (2, 3), (8, 1, 1)], ids=str)
@generators
def test_codes_of_any_shape(net: GeneratorNet, shape: tuple[int, ...], latent: tuple[int, ...]) -> None:
    with torch.device("meta"):
        module = net.build(latent, shape, None)
    assert module(torch.empty(2, *latent, device="meta")).shape == (2, *shape)
    assert module[0][1].in_features == math.prod(latent)


@pytest.mark.parametrize("training", [True, False])
@every_net
def test_outputs_are_finite_and_tell_inputs_apart(net: Net, shape: tuple[int, ...], training: bool) -> None:
    module, x = _built(net, shape).train(training), _input(net, shape)
    for scale in (1e-3, 1e3):
        out = module(scale * x).detach()
        assert out.shape == (6, *shape) if isinstance(net, GeneratorNet) else (6, 3)
        assert bool(out.isfinite().all())
        assert float(out.std(dim=0).max()) > 0
    assert bool(module(torch.zeros_like(x)).isfinite().all())  # no variance at all: nothing is divided by it


@every_net
def test_every_parameter_gets_a_gradient(net: Net, shape: tuple[int, ...]) -> None:
    module = _built(net, shape)
    out = module(_input(net, shape))
    (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    sizes = {name: float(p.grad.abs().max()) if p.grad is not None else 0.0 for name, p in module.named_parameters()}
    assert {name: size for name, size in sizes.items() if size < 1e-4} == {}  # rounding would leave some 1e-7


@every_net
def test_equal_seeds_build_equal_networks(net: Net, shape: tuple[int, ...]) -> None:
    one, same, other = (_built(net, shape, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if one[name].dim() > 1)


@pytest.mark.parametrize("span", [(-1.0, 1.0), (0.0, 1.0), (0.1, 0.7), (-0.3, 0.9)], ids=str)
@generators
def test_generators_keep_the_range_to_the_last_digit(
    net: GeneratorNet, shape: tuple[int, ...], span: tuple[float, float]
) -> None:
    with seeded(torch.Generator().manual_seed(0)):
        module = net.build((128,), shape, span).eval()
    out = module(1e4 * _input(net, shape, n=2)).detach()
    low, high = torch.tensor(span)
    assert low <= out.min() <= out.max() <= high
    torch.testing.assert_close(torch.stack([out.min(), out.max()]), torch.stack([low, high]), rtol=0, atol=1e-3)


@generators
def test_without_a_range_generators_give_any_number(net: GeneratorNet, shape: tuple[int, ...]) -> None:
    with seeded(torch.Generator().manual_seed(0)):
        linear = net.build((128,), shape, None).eval()
    codes = 1e4 * _input(net, shape, n=2)
    out = linear(codes).detach()
    assert float(out.abs().max()) > 10
    torch.testing.assert_close(_built(net, shape).eval()(codes).detach(), torch.tanh(out), rtol=0, atol=1e-6)


@pytest.mark.parametrize("span", [(0.0, 1.0), (-1.0, 1.0), (0.1, 0.7), (-0.3, 0.9), (5.0, 5.1), (-1e3, 1e-3)], ids=str)
def test_tanh_to_range_is_to_range_at_twice_the_slope(span: tuple[float, float]) -> None:
    x = torch.cat([torch.linspace(-12, 12, 97), torch.tensor([-1e9, 1e9])]).sort().values
    out, (low, high) = TanhToRange(span)(x), torch.tensor(span)
    width = float(high - low)
    torch.testing.assert_close(out, ToRange(span)(2 * x), rtol=1e-6, atol=1e-6 * width)
    assert bool(((out >= low) & (out <= high)).all())
    assert bool((out.diff() >= 0).all())
    torch.testing.assert_close(out[[0, -1]], torch.stack([low, high]), rtol=1e-6, atol=1e-7 * width)


def test_tanh_to_range_is_tanh_for_the_symmetric_interval_and_the_identity_for_none() -> None:
    x = torch.linspace(-20, 20, 101)
    assert torch.equal(TanhToRange(SYMMETRIC)(x), torch.tanh(x))
    assert torch.equal(TanhToRange(None)(x), x)


def test_concatenated_relu_keeps_both_signs_along_the_channels() -> None:
    x = torch.tensor([[[1.0, -2.0]], [[-3.0, 0.0]]])
    assert nets.ConcatenatedReLU()(x).tolist() == [[[1.0, 0.0], [0.0, 2.0]], [[0.0, 0.0], [3.0, 0.0]]]


def test_upsampling_repeats_pixels() -> None:
    upsample = _built(nets.SWGANCifarGenerator(width=2), CIFAR)[1][0]
    out = upsample(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert out[0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


@critics
def test_a_critic_is_its_head_after_its_trunk(net: SplitCriticNet, shape: tuple[int, ...]) -> None:
    module, x = _built(net, shape), _input(net, shape)
    trunk, head = module
    eta = trunk(x)
    assert eta.shape == (6, net.trunk_features(shape))
    assert torch.equal(head(eta), module(x))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("slope", [0.1, 0.2])
def test_mnist_features_are_standardised_before_the_activation(slope: float, training: bool) -> None:
    net = nets.SWGANMnistCritic(width=16, slope=slope, affine=False)
    eta = _built(net, MNIST).train(training)[0](_input(net, MNIST)).detach()
    normalised = torch.where(eta < 0, eta / slope, eta)
    torch.testing.assert_close(normalised.mean(dim=1), torch.zeros(6), rtol=0, atol=1e-5)
    torch.testing.assert_close(normalised.var(dim=1, correction=0), torch.ones(6), rtol=1e-2, atol=0)
    assert float(eta.norm(dim=1).max()) <= math.sqrt(64 * 16)


@pytest.mark.parametrize("training", [True, False])
def test_cifar_features_are_standardised_before_the_activation(training: bool) -> None:
    net = nets.SWGANCifarCritic(width=16, affine=False)
    eta = _built(net, CIFAR).train(training)[0](_input(net, CIFAR)).detach()
    positive, negative = eta.chunk(2, dim=1)
    assert bool((eta >= 0).all() and (positive * negative == 0).all())
    torch.testing.assert_close((positive - negative).mean(dim=1), torch.zeros(6), rtol=0, atol=1e-5)
    torch.testing.assert_close(eta.norm(dim=1), torch.full((6,), math.sqrt(64 * 16)), rtol=1e-2, atol=0)
    assert float(eta.norm(dim=1).max()) <= math.sqrt(64 * 16) * (1 + 1e-6)


NARROW = [(nets.SWGANMnistCritic(width=4), MNIST), (nets.SWGANCifarCritic(width=4), CIFAR)]


@pytest.mark.parametrize(("net", "shape"), NARROW)
def test_features_are_normalised_over_the_whole_sample_and_scaled_by_a_learnt_gain(
    net: SplitCriticNet, shape: tuple[int, ...]
) -> None:
    trunk, x = net.trunk(shape), _input(net, shape)
    before = trunk(x).detach()
    (norm,) = (m for m in trunk.modules() if isinstance(m, nn.GroupNorm))
    maps = torch.randn(2, norm.num_channels, 4, 4) + torch.arange(norm.num_channels)[:, None, None]
    torch.testing.assert_close(norm(maps), nn.functional.layer_norm(maps, maps.shape[1:]))
    with torch.no_grad():
        norm.weight *= 10
    torch.testing.assert_close(trunk(x).detach(), 10 * before)
    fixed = [name for name, _ in replace(net, affine=False).trunk(shape).named_parameters()]
    assert fixed == [name for name, p in trunk.named_parameters() if p is not norm.weight and p is not norm.bias]


def test_a_split_critic_needs_its_three_parts() -> None:
    with pytest.raises(TypeError, match="abstract"):
        SplitCriticNet()  # type: ignore[abstract]


OTHERS = [(1, 32, 32), (3, 28, 28), (1, 1, 28, 28), (28, 28), (2,), ()]


@pytest.mark.parametrize(
    ("net", "shape"), [(net, s) for net in FULL for s in (MNIST, CIFAR, *OTHERS) if s != own_shape(net)], ids=str
)
def test_other_samples_are_refused_with_what_to_use_instead(net: Net, shape: tuple[int, ...]) -> None:
    message = input_error(None, meta, net, shape)
    named, is_generator = {MNIST: OF_MNIST, CIFAR: OF_CIFAR}, isinstance(net, GeneratorNet)
    others = ["DcganGenerator", "MlpGenerator"] if is_generator else ["DcganCritic", "MlpCritic"]
    instead = [named[shape][not is_generator].__name__] if shape in named else others
    assert f"{type(net).__name__} needs samples of shape {own_shape(net)}, got {shape}; use " in message
    assert message.rpartition("use ")[2].split(" or ") == instead


def test_features_of_other_samples_are_refused() -> None:
    input_error("needs samples of shape", nets.SWGANMnistCritic().trunk_features, CIFAR)


BAD = [("width", 0), ("width", -2), ("kernel", 1), ("kernel", 4), ("kernel", -5)]


@pytest.mark.parametrize("kind", [type(net) for net in FULL])
@pytest.mark.parametrize(("field", "value"), BAD)
def test_bad_hyper_parameters_are_refused(kind: type[Net], field: str, value: int) -> None:
    needed = {"width": "width must be at least 1", "kernel": "odd and at least 3"}[field]
    input_error(f"{needed}, got {value}", kind, **{field: value})


@pytest.mark.parametrize("kind", [nets.SWGANMnistCritic, nets.SWGANCifarCritic])
@pytest.mark.parametrize("slope", [-0.1, 1.0, math.nan, math.inf])
def test_bad_slopes_are_refused(kind: type[CriticNet], slope: float) -> None:
    input_error(r"slope of a leaky ReLU must be in \[0, 1\), got", kind, slope=slope)


def test_odd_widths_are_refused_where_they_are_halved() -> None:
    gated = "width must be even, as gated units halve it, got 7; use 8"
    input_error(gated, nets.SWGANCifarGenerator, width=7, glu=PRE)
    input_error("width must be even, as CReLU makes half of it, got 7; use 8", nets.SWGANCifarCritic, width=7)
    for net, shape in ((nets.SWGANMnistGenerator(width=7), MNIST), (nets.SWGANCifarGenerator(width=7), CIFAR)):
        assert meta(net, shape)(torch.empty(2, 128, device="meta")).shape == (2, *shape)


def test_both_readings_of_the_gated_units_double_from_layer_to_layer() -> None:
    for glu in GluReading:
        kept = [glu.kept(channels) for channels in (1024, 512, 256, 128)]
        assert all(a == 2 * b for a, b in pairwise(kept))
    assert (POST.kept(1024), PRE.kept(1024)) == (1024, 512)


def _sides(sides: SidesReading) -> list[int]:
    """The sides of the maps after each layer that changes them."""
    x, found = torch.zeros(2, 128), []
    for group in build(nets.SWGANMnistGenerator(width=2, sides=sides), MNIST):
        for part in group:
            x = part(x)
            found += [x.shape[-1]] if x.dim() == 4 and x.shape[-1] not in found else []
    return found


def test_the_readings_of_the_mnist_generator_grow_as_they_say() -> None:
    doubled = {SidesReading.PADDED: [4, 7, 14, 28], SidesReading.KERNELS: [4, 7, 14, 28]}
    doubled[SidesReading.CROPPED] = [4, 8, 7, 14, 28]
    assert {sides: _sides(sides) for sides in SidesReading} == doubled


def _reached(sides: SidesReading) -> set[float]:
    """How often inner pixels are reached by the last layer's weights, all of them one."""
    last = build(nets.SWGANMnistGenerator(width=1, sides=sides), MNIST)[-1][0]
    assert isinstance(last, nn.ConvTranspose2d)
    with torch.no_grad():
        last.weight.fill_(1.0)
        last.bias.zero_()
        return set(last(torch.ones(1, 1, 14, 14))[0, 0, 4:-4, 4:-4].unique().tolist())


def test_kernels_of_four_reach_every_pixel_as_often_and_those_of_five_do_not() -> None:
    assert _reached(SidesReading.KERNELS) == {4.0}
    assert _reached(SidesReading.PADDED) == {4.0, 6.0, 9.0}
