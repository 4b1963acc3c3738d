import pytest
import torch
from torch import Tensor, nn

from otgen.nets import DcganCritic, MlpGenerator, ToRange, scoring, seeded


def _weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def _build(seed: int) -> Tensor:
    with seeded(torch.Generator().manual_seed(seed)):
        return _weights(MlpGenerator(widths=(8, 8)).build((3,), (5,), None))


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    assert torch.equal(_build(1), _build(1))
    assert not torch.equal(_build(1), _build(2))


def test_weights_do_not_depend_on_the_global_random_state() -> None:
    torch.manual_seed(0)
    one = _build(7)
    torch.manual_seed(1)
    assert torch.equal(one, _build(7))


def test_seeded_leaves_the_global_random_state() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with seeded(torch.Generator().manual_seed(5)):
        DcganCritic(width=4).build((1, 28, 28), 2)
        assert not torch.equal(torch.get_rng_state(), before)  # else there would be nothing to put back
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_puts_the_state_back_after_an_error() -> None:
    before = torch.get_rng_state()

    def fail() -> None:
        with seeded(torch.Generator().manual_seed(5)):
            torch.randn(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_two_networks_of_one_stream_differ() -> None:
    rng, drawn = torch.Generator().manual_seed(0), []
    for _ in range(2):
        with seeded(rng):
            drawn.append(torch.randn(4))
    assert not torch.equal(*drawn)


@pytest.mark.parametrize("span", [(0.0, 1.0), (-1.0, 1.0), (0.1, 0.7), (-0.3, 0.9), (5.0, 5.1), (-1e3, 1e-3)])
def test_to_range_keeps_the_interval_and_reaches_its_ends(span: tuple[float, float]) -> None:
    out = ToRange(span)(torch.tensor([-1e9, -200.0, -1.0, 0.0, 1.0, 200.0, 1e9]))
    low, high = torch.tensor(span)
    assert bool(((out >= low) & (out <= high)).all())
    middle_and_ends = torch.stack([low, (low + high) / 2, high])
    torch.testing.assert_close(out[[0, 3, -1]], middle_and_ends, rtol=1e-6, atol=1e-7 * (span[1] - span[0]))
    assert bool((out.diff() >= 0).all())


def test_to_range_without_an_interval_is_the_identity() -> None:
    x = torch.linspace(-1e6, 1e6, 9)
    assert torch.equal(ToRange(None)(x), x)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 3)], ids=lambda m: type(m).__name__)
def test_scoring_is_in_evaluation_mode_and_leaves_the_mode_as_it_was(layer: nn.Module) -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Sequential(layer))
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    with scoring(module):
        scored = module(x)
    assert all(part.training for part in module.modules())
    assert torch.equal(module.eval()(x), scored)
    with scoring(module):
        assert torch.equal(module(x), scored)
    assert not module.training
