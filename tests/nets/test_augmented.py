"""What a critic sees of images: changed at random in training, untouched in evaluation, the same after a resume."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cases.checks import refused
from otgen.nets import Augmented, CriticNet, DcganCritic, seeded

SHAPE = (3, 8, 8)


class _Looks(CriticNet):
    """Hands on the images that it sees."""

    def build(self, shape: tuple[int, ...], features: int) -> nn.Module:
        return nn.Identity()


def _built(seed: int = 0, **changes: float) -> nn.Module:
    with seeded(torch.Generator().manual_seed(seed)):
        return Augmented(net=_Looks(), **{"flip": False, "shift": 0.0, **changes}).build(SHAPE, 1)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(0))


def _candidates(image: Tensor, changes: dict[str, float]) -> list[Tensor]:
    """Every image that the changes may make of one, written as loops."""
    if "flip" in changes:
        return [image, image.flip(2)]
    most = round(changes["shift"] * 8)
    place = torch.arange(8)
    moves = range(-most, most + 1)
    return [image[:, (place + dy).clamp(0, 7)][:, :, (place + dx).clamp(0, 7)] for dy in moves for dx in moves]


@pytest.mark.parametrize("changes", [{"flip": True}, {"shift": 0.25}, {"shift": 1.0}], ids=str)
def test_images_are_moved_and_mirrored_exactly_and_each_by_itself(changes: dict[str, float], images: Tensor) -> None:
    seen, used = _built(**changes)(images), []
    for one, image in zip(seen, images, strict=True):
        equal = [k for k, candidate in enumerate(_candidates(image, changes)) if torch.equal(one, candidate)]
        assert equal
        used.append(equal[0])
    assert len(set(used)) >= min(5, len(_candidates(images[0], changes)))


def test_a_covered_square_has_the_mean_colour_and_the_rest_is_as_it_was(images: Tensor) -> None:
    seen = _built(cutout=0.5)(images)
    covered = (seen != images).all(1)
    assert torch.equal(seen[~covered[:, None].expand_as(seen)], images[~covered[:, None].expand_as(images)])
    means = images.mean((2, 3), keepdim=True).expand_as(images)
    torch.testing.assert_close(seen[covered[:, None].expand_as(seen)], means[covered[:, None].expand_as(means)])
    area = covered.sum((1, 2))
    assert 4 <= area.min() < area.max() == 16  # a quarter of the square is inside at least


def test_colours_change_and_shapes_do_not(images: Tensor) -> None:
    seen = _built(colour=0.5)(images)
    for one, image in zip(seen.flatten(2), images.flatten(2), strict=True):
        # A change of colours is the same at each pixel, and linear with an offset.
        design = torch.cat([image, torch.ones(1, 64)]).T
        fitted = design @ torch.linalg.lstsq(design, one.T).solution
        torch.testing.assert_close(fitted.T, one, atol=1e-4, rtol=0)
    assert (seen.mean((1, 2, 3)) - images.mean((1, 2, 3))).abs().max() > 0.1


EVERYTHING = {"flip": True, "shift": 0.25, "cutout": 0.5, "colour": 0.5}


def test_nothing_changes_in_evaluation_mode_or_without_changes(images: Tensor) -> None:
    assert torch.equal(_built(**EVERYTHING).eval()(images), images)
    assert torch.equal(_built()(images), images)


def test_each_call_changes_images_anew_and_from_the_seed_alone(images: Tensor) -> None:
    one, same, other = _built(**EVERYTHING), _built(**EVERYTHING), _built(1, **EVERYTHING)
    first = one(images)
    torch.manual_seed(5)
    assert torch.equal(same(images), first)
    assert not torch.equal(other(images), first)
    assert not torch.equal(one(images), first)


def test_saved_and_loaded_it_goes_on_with_the_same_random_numbers(images: Tensor) -> None:
    one, fresh = _built(**EVERYTHING), _built(1, **EVERYTHING)
    one(images)
    fresh.load_state_dict(copy.deepcopy(one.state_dict()))
    assert torch.equal(fresh(images), one(images))


@pytest.mark.parametrize("changes", [{"flip": True, "shift": 0.25}, EVERYTHING], ids=["moved", "everything"])
def test_the_gradient_is_that_of_the_change(changes: dict[str, float], images: Tensor) -> None:
    module, few = _built(**changes).double(), images[:3].double().requires_grad_()
    state = copy.deepcopy(module.state_dict())

    def seen(x: Tensor) -> Tensor:
        module.load_state_dict(state)
        return module(x).square()

    assert torch.autograd.gradcheck(seen, few, fast_mode=True)
    assert torch.autograd.gradgradcheck(seen, few[:1], fast_mode=True)


def test_a_critic_of_images_is_built_inside() -> None:
    with seeded(torch.Generator().manual_seed(0)):
        critic = Augmented(net=DcganCritic(width=2)).build(SHAPE, 5)
    assert critic(torch.rand(4, *SHAPE)).shape == (4, 5)


def _vectors() -> object:
    return Augmented().build((7,), 1)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (r"Augmented is for images .* got samples of shape \(7,\)", _vectors),
        ("shift is a share from 0 to 1, got 1.5", lambda: Augmented(shift=1.5)),
        ("colour is a share from 0 to 1, got nan", lambda: Augmented(colour=float("nan"))),
    ],
    ids=["vectors", "share", "nan"],
)
def test_what_it_cannot_do_is_said(words: str, call: Callable[[], object]) -> None:
    refused(words, call)
