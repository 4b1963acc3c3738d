"""The networks of Adnan et al. 2021, and spectral normalisation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cases.errors import input_error
from cases.layers import count
from otgen import nets
from otgen.nets import CriticNet, GeneratorNet, MlpCritic, SpectralNorm
from otgen.nets.layers import channels_last

GREY, COLOUR = (1, 32, 32), (3, 32, 32)

GENERATORS = nets.SeqSGDADcganGenerator, nets.SeqSGDAResnetGenerator
CRITICS = nets.SeqSGDADcganCritic, nets.SeqSGDAResnetCritic


def sides(module: nn.Sequential, x: Tensor) -> list[tuple[int, ...]]:
    """Shapes after every convolution of a sequence."""
    found = []
    for layer in module:
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            found.append(tuple(x.shape[1:]))
    return found


def test_the_dcgan_generator() -> None:
    module = nets.SeqSGDADcganGenerator().build((100,), GREY, (-1.0, 1.0))
    assert sides(module, torch.randn(2, 100)) == [(256, 4, 4), (128, 8, 8), (64, 16, 16), (1, 32, 32)]
    # Kernels of 4, no bias; gain and bias of three normalisations
    assert count(module) == 16 * (100 * 256 + 256 * 128 + 128 * 64 + 64) + 2 * (256 + 128 + 64)
    out = module(torch.randn(3, 100)).detach()
    assert out.shape == (3, *GREY)
    assert float(out.abs().max()) <= 1


def test_the_dcgan_critic() -> None:
    module = nets.SeqSGDADcganCritic().build(COLOUR, 100)
    assert sides(module, torch.rand(2, *COLOUR)) == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (100, 1, 1)]
    assert count(module) == 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 100) + 64 + 128 + 256 + 100
    assert module(torch.rand(2, *COLOUR)).shape == (2, 100)


def test_initial_weights_are_small() -> None:
    module = nets.SeqSGDADcganGenerator().build((100,), GREY, None)
    weights = torch.cat([m.weight.detach().flatten() for m in module if isinstance(m, nn.ConvTranspose2d)])
    assert float(weights.std()) == pytest.approx(0.02, rel=0.02)
    gains = torch.cat([m.weight.detach() for m in module if isinstance(m, nn.BatchNorm2d)])
    assert float(gains.mean()) == pytest.approx(1, abs=0.01)


def test_the_residual_generator() -> None:
    module = nets.SeqSGDAResnetGenerator().build((100,), COLOUR, (0.0, 1.0))
    block = 2 * (9 * 64 * 64 + 64) + 2 * 2 * 64
    assert count(module) == 101 * 1024 + 3 * block + 2 * 64 + 9 * 64 * 3 + 3
    out = module(torch.randn(3, 100)).detach()
    assert out.shape == (3, *COLOUR)
    assert 0 <= out.min() <= out.max() <= 1


def test_the_residual_critic() -> None:
    module = nets.SeqSGDAResnetCritic().build(COLOUR, 100)
    plain = 2 * (9 * 64 * 64 + 64)
    first = 9 * 3 * 64 + 64 + 9 * 64 * 64 + 64 + 3 * 64 + 64
    assert count(module) == first + (plain + 64 * 64 + 64) + 2 * plain + 65 * 100
    assert module(torch.rand(2, *COLOUR)).shape == (2, 100)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize("net", [net() for pair in (GENERATORS, CRITICS) for net in pair])
def test_other_sides_are_refused(net: GeneratorNet | CriticNet) -> None:
    options = ((100,), (1, 28, 28), None) if isinstance(net, GeneratorNet) else ((1, 28, 28), 10)
    input_error("needs images of side 32, got samples of shape", net.build, *options)


def spectral_norms(module: nn.Module) -> list[float]:
    weights = [part.weight.detach() for part in module.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    return [float(torch.linalg.matrix_norm(weight.flatten(1), 2)) for weight in weights]


@pytest.mark.parametrize("scale", [1.0, 1.7])
@pytest.mark.parametrize(
    "net", [MlpCritic(widths=(32, 16)), nets.SeqSGDADcganCritic(width=4), nets.SeqSGDAResnetCritic(width=4)]
)
def test_every_weight_gets_its_norm(net: MlpCritic, scale: float) -> None:
    module = SpectralNorm(net=net, scale=scale).build(GREY, 5)
    x = torch.rand(2, *GREY)
    for _ in range(200):
        module(x)
    module.eval()
    assert spectral_norms(module) == pytest.approx([scale] * len(spectral_norms(module)), rel=1e-3)
    assert len(spectral_norms(module)) == len(spectral_norms(net.build(GREY, 5)))


def test_a_normalised_mlp_is_lipschitz() -> None:
    module = SpectralNorm(net=MlpCritic(widths=(32, 16)), scale=1.5).build((6,), 5)
    for _ in range(100):
        module(torch.randn(4, 6))
    module.eval()
    x, y = torch.randn(500, 6), torch.randn(500, 6)
    slopes = (module(x) - module(y)).norm(dim=1) / (x - y).norm(dim=1)
    assert slopes.max().item() <= 1.5**3 * 1.001


def test_the_power_method_goes_on_in_training_only() -> None:
    module = SpectralNorm(net=MlpCritic(widths=(8,))).build((6,), 2)
    vectors = [b.clone() for b in module.buffers()]
    module.eval()
    module(torch.randn(4, 6))
    assert all(torch.equal(a, b) for a, b in zip(vectors, module.buffers(), strict=True))
    module.train()
    module(torch.randn(4, 6))
    assert not all(torch.equal(a, b) for a, b in zip(vectors, module.buffers(), strict=True))


@pytest.mark.parametrize("shape", [(2, 1, 5, 5), (2, 3, 1, 1), (1, 3, 4, 5), (2, 1, 1, 1)], ids=str)
def test_the_layout_of_images_is_all_that_changes(shape: tuple[int, ...]) -> None:
    """Values and gradients, also where a side or the channels are one, and PyTorch cannot tell the layouts apart."""
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    found = channels_last(x)
    assert torch.equal(found, x)
    n, c, h, w = shape
    assert found.stride() == (c * h * w, 1, c * w, c)
    weights = torch.randn(shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((found * weights).sum(), x)
    assert torch.equal(gradient, weights)


@pytest.mark.parametrize(
    "net", [nets.SeqSGDADcganCritic(width=4), nets.SeqSGDAResnetCritic(width=4)], ids=lambda n: type(n).__name__
)
def test_a_critic_on_images_is_the_sequence_of_its_layers(net: CriticNet) -> None:
    module = net.build(COLOUR, 5)
    x = torch.rand(3, *COLOUR)
    plain = nn.Sequential(*module.children())
    assert isinstance(module, nn.Sequential)
    assert list(module.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(module(x), plain(x))
    gradients = (torch.autograd.grad(m(x).square().sum(), list(m.parameters())) for m in (module, plain))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
