"""NumPy's scalars, and tensors of no dimension, are numbers wherever one is asked for; a bool and a text are none."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from cases import entries
from cases.checks import refused
from cases.components import everywhere
from cases.random_problems import cloud
from cases.semi_discrete import Unit
from otgen.errors import InputError
from otgen.ot import (
    KL,
    BarycentricMap,
    Cost,
    Discrete,
    GridW1,
    OTLoss,
    Perceptron,
    PNorm,
    Regulariser,
    Relative,
    SamplesLoss,
    SemiDiscrete,
    Solver,
    Stopping,
    histogram,
    sampled_upper_bound,
    solve,
    suggest_eps,
)

KINDS: tuple[Any, ...] = (Cost, Regulariser, Solver, Stopping)
COMPONENTS = [cls for kind in KINDS for cls in sorted(everywhere(kind), key=lambda cls: cls.__name__)]
COMPONENTS += [BarycentricMap]
# Numbers of fields whose default is none.
UNSET = {"anneal": 0.5, "coarse": 10, "tau": 0.5, "rate": 0.1, "eps": 0.5}


def number_of(field: dataclasses.Field[Any]) -> float | int | None:
    """A number that the field takes; None if it takes none."""
    default = UNSET.get(field.name, field.default)
    return default if type(default) in (int, float) else None


FIELDS = [
    pytest.param(cls, field.name, number, id=f"{cls.__name__}.{field.name}")
    for cls in COMPONENTS
    for field in dataclasses.fields(cls)
    if (number := number_of(field)) is not None
]
every_field = pytest.mark.parametrize(("cls", "field", "number"), FIELDS)


def forms(number: float | int) -> list[Any]:
    """The number as NumPy and torch hold it."""
    if isinstance(number, int):
        return [np.int64(number), np.int32(number), np.array(number), torch.tensor(number)]
    doubles = [np.float64(number), np.array(number), torch.tensor(number, dtype=torch.float64)]
    return [*doubles, np.float32(number), np.float16(number), torch.tensor(number)]


def test_all_fields_are_found() -> None:
    found = {param.id for param in FIELDS}
    assert {"KL.eps", "PNorm.p", "Sinkhorn.anneal", "Sinkhorn.depth", "GridPDHG.tau", "RelGap.tol"} <= found
    assert len(found) > 30


@every_field
def test_a_component_holds_pythons_numbers(cls: Any, field: str, number: Any) -> None:
    plain = cls(**{field: number})
    for given in forms(number):
        made = cls(**{field: given})
        held = getattr(made, field)
        assert type(held) is type(number)
        assert held == float(given)
        # As a value: equal, hashed, printed and pickled like the one that was given Python's number.
        twin = cls(**{field: type(number)(given)})
        assert (made, hash(made), repr(made)) == (twin, hash(twin), repr(twin))
        assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
        if float(given) == number:
            assert made == plain


@every_field
@pytest.mark.parametrize(
    "wrong",
    [True, np.bool_(True), "1", 1j, float("nan"), float("inf"), [1.0], np.ones(2), torch.ones(1), object],
    ids=repr,
)
def test_what_is_no_number_is_refused_in_one_line(cls: Any, field: str, number: Any, wrong: Any) -> None:
    with pytest.raises(InputError) as caught:
        cls(**{field: wrong})
    message = str(caught.value)
    assert field in message or cls.__name__ in message
    assert "\n" not in message
    assert len(message) < 300


def test_fractions_of_a_step_are_no_count_and_a_fraction_is_a_number() -> None:
    assert KL(eps=Fraction(1, 4)) == KL(eps=0.25)
    assert Relative(np.float32(0.5)) == Relative(0.5)
    assert str(Relative(np.float64(0.05))) == "0.05*mean"
    x = cloud(4, 2, seed=1)
    for steps in (2.0, np.float64(2.0), torch.tensor(2.0)):
        refused("max_steps must be a whole number", solve, Discrete(x, x), max_steps=steps)
    refused(r"eps=10{20,}\.\.\.", KL, eps=10**400)


def test_a_number_that_is_learnt_is_told_that_no_gradient_reaches_it() -> None:
    """But for eps: test_eps_gradient has what reaches that."""
    learnt = torch.tensor(0.5, requires_grad=True)
    refused(r"no gradient can reach it: pass \.item\(\)", Relative, learnt)
    refused(r"no gradient can reach it: pass \.item\(\)", PNorm, p=learnt)
    assert KL(eps=learnt) == KL(eps=learnt.detach()) == KL(eps=0.5)
    refused("positive, finite eps", KL, eps=torch.tensor(0.5, device="meta"))


def test_widths_and_decays() -> None:
    assert Perceptron(widths=tuple(np.array([8, 4]))) == Perceptron(widths=(8, 4))
    assert BarycentricMap(betas=tuple(np.float32([0.5, 0.25]))) == BarycentricMap(betas=(0.5, 0.25))
    assert BarycentricMap(betas=[0.5, 0.25]) == BarycentricMap(betas=(0.5, 0.25))  # type: ignore[arg-type]
    refused("whole numbers", Perceptron, widths=(8, True))
    refused("whole numbers", Perceptron, widths=8)
    for betas in ((0.5, 1.0), (0.5,), 0.5, {0.5: 1, 0.6: 2}):
        refused("betas must be two numbers", BarycentricMap, betas=betas)


X, Y = cloud(5, 2, seed=1), cloud(6, 2, seed=2)
SOURCE = SemiDiscrete(Unit((2,)), Y, reg=KL(eps=1.0))
# Functions of options, which give what compares equal for equal options.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "solve": (lambda **o: solve(Discrete(X, Y, reg=KL(eps=1.0)), **o).value, {"tol": 0.125, "max_steps": 9}),
    "check_every": (lambda **o: solve(Discrete(X, Y, reg=KL(eps=1.0)), **o).history, {"check_every": 3, "tol": 0.125}),
    "fixed steps": (lambda **o: solve(Discrete(X, Y, reg=KL(eps=1.0)), **o).steps, {"tol": 0.0, "max_steps": 7}),
    "a loss": (lambda **o: OTLoss(reg=KL(eps=1.0), **o)(X, Y), {"tol": 0.125, "max_steps": 9}),
    "SamplesLoss": (
        lambda **o: SamplesLoss(**o)(X, Y),
        {"p": 2, "blur": 1.0, "scaling": 0.5, "tol": 0.125, "max_steps": 50},
    ),
    "GridW1": (lambda **o: repr(GridW1(entries.deposited(X) - entries.deposited(Y), **o)), {"dx": 0.5, "low": 0.25}),
    "histogram": (lambda **o: histogram(X[:, :1], outside="clamp", **o), {"shape": 4, "dx": 0.5, "low": 0.25}),
    "suggest_eps": (lambda **o: suggest_eps(X, Y, **o), {"bias": 0.5, "max_steps": 50, "points": 4}),
    "upper bound": (lambda **o: sampled_upper_bound(SOURCE, **o), {"n": 4, "repeats": 2, "max_steps": 9}),
    "sample": (lambda **o: SOURCE.sample(rng=torch.Generator().manual_seed(1), **o).matrix, {"n": 3}),
    "estimate": (lambda **o: entries.continuous().estimate(**o), {"batches": 2, "size": 4, "confidence": 0.5}),
}


@pytest.mark.parametrize(("call", "options"), CALLS.values(), ids=CALLS)
@pytest.mark.filterwarnings("ignore::otgen.errors.ConvergenceWarning")
def test_options_of_functions(call: Callable[..., Any], options: dict[str, Any]) -> None:
    expected = call(**options)
    for kind in range(4):
        found = call(**{name: forms(number)[kind] for name, number in options.items()})
        assert torch.equal(found, expected) if isinstance(found, torch.Tensor) else found == expected


@pytest.mark.parametrize(("call", "options"), CALLS.values(), ids=CALLS)
def test_options_that_are_no_numbers_are_refused(call: Callable[..., Any], options: dict[str, Any]) -> None:
    for name in options:
        for wrong in (True, "3", np.ones((2, 2)), torch.ones(3)):
            with pytest.raises(InputError) as caught:
                call(**(options | {name: wrong}))
            assert name in str(caught.value)


def test_the_corner_and_the_cells_of_a_grid_may_be_arrays() -> None:
    c = entries.deposited(X) - entries.deposited(Y)
    for low in ((0.5, 1.0), np.array([0.5, 1.0]), torch.tensor([0.5, 1.0]), [np.float32(0.5), 1]):
        assert GridW1(c, 1.0, low=low).low == (0.5, 1.0)  # type: ignore[arg-type]
    for shape in ((4, 3), np.array([4, 3]), [np.int64(4), 3], torch.Size([4, 3])):
        assert histogram(X, shape, 1.0, outside="clamp").shape == (4, 3)  # type: ignore[arg-type]
    for low in ((0.5,), np.ones((1, 2)), (0.5, float("nan")), (0.5, True), "0"):
        refused("low must be one number, or one for each of the 2 axes", GridW1, c, 1.0, low=low)
    for shape in ((4, 0), (2, 2, 2), 2.0, (2.0, 2), (), True, "4"):
        refused("shape must be N or", histogram, X, shape, 1.0)


def test_a_generator_is_torchs() -> None:
    for rng in (0, np.random.default_rng(0)):
        refused(r"rng must be a torch\.Generator.*manual_seed\(0\)", solve, SOURCE, rng=rng, max_steps=1)
