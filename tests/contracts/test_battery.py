"""What every component of the library promises, in the manner of scikit-learn's `check_estimator` (Reliability 65).

Every exported loss, solver, cost, regulariser, metric, extractor, source, network and method goes through it.
"""

from __future__ import annotations

import builtins
import copy
import dataclasses
import gc
import io
import itertools
import os
import pickle
import random
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.battery import METHODS, METRICS, NETWORKS, SOURCES, SUBJECTS, TRANSPORT, Inputs, Subject, exported
from cases.checks import is_a_value
from cases.components import public
from cases.errors import input_error
from cases.processes import at_once
from otgen import data, methods, metrics, nets, ot
from otgen.errors import InputError
from otgen.ot import Discrete, SamplesLoss, solve


def every(subjects: dict[str, Subject], slow: Iterable[str] = ()) -> pytest.MarkDecorator:
    marks = {name: (pytest.mark.slow,) if name in slow else () for name in subjects}
    return pytest.mark.parametrize(
        "subject", [pytest.param(one, id=name, marks=marks[name]) for name, one in subjects.items()]
    )


every_subject = every(SUBJECTS)
# A step of each method takes tens of milliseconds: what needs many is checked by `make slow`.
every_subject_but_methods_slowly = every(SUBJECTS, slow=METHODS)
# Solves in threads have a test of their own, in test_threads.py.
every_subject_but_transport_slowly = every(SUBJECTS, slow=[*METHODS, *TRANSPORT])
every_given = every({name: one for name, one in SUBJECTS.items() if one.inputs(torch.float64)})
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
LOSSES = {name: one for name, one in TRANSPORT.items() if hasattr(one.make(), "last")}
every_loss = every(LOSSES)


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    """To the bit."""
    return len(one) == len(other) and all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def process() -> dict[str, Any]:
    """The settings and random streams that all code of a process shares."""
    return {
        "torch's stream": torch.get_rng_state().numpy().tobytes(),
        "NumPy's stream": np.random.get_state()[1].tobytes(),  # type: ignore[union-attr]  # noqa: NPY002
        "Python's stream": random.getstate(),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "TF32": (torch.backends.cuda.matmul.allow_tf32, torch.get_float32_matmul_precision()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
        "NumPy's errors": np.geterr(),
        "warning filters": list(warnings.filters),
        "directory": Path.cwd(),
    }


def is_value(component: Any) -> bool:
    """Whether it is compared by its settings."""
    return dataclasses.is_dataclass(component) and type(component).__eq__ is not object.__eq__


@pytest.fixture(scope="module")
def imported() -> None:
    """Torch imports parts of itself on first use, and these add warning filters of their own."""
    for name in ("NeuralDual", "OTLoss, NoReg"):
        SUBJECTS[name].use(SUBJECTS[name].make(), SUBJECTS[name].inputs(torch.float64))


def bytes_of(given: Inputs) -> list[Any]:
    return [(t.numpy(force=True).tobytes(), t._version, t.requires_grad, t.grad, t.data_ptr()) for t in given]


@pytest.mark.usefixtures("imported")
@every_subject
def test_a_use_leaves_process_and_inputs_as_they_were_and_repeats(subject: Subject) -> None:
    """Global random state, global settings, inputs; and the results share no memory with the inputs."""
    component, given = subject.make(), subject.inputs(torch.float64)
    before, shared = bytes_of(given), process()
    first = subject.use(component, given)
    assert process() == shared
    assert bytes_of(given) == before
    inputs = {t.untyped_storage().data_ptr() for t in given}
    if not isinstance(component, metrics.Identity):
        assert not inputs & {t.untyped_storage().data_ptr() for t in first.all if t.numel()}
    assert same(subject.use(component, given).all, first.all)


FIRST_USE = """
import sys, warnings
sys.path.insert(0, "tests")
from cases.battery import SUBJECTS
import numpy, random, torch
def streams():
    return random.getstate(), numpy.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()
for name, subject in SUBJECTS.items():
    given, before = subject.inputs(torch.float64), streams()
    subject.use(subject.make(), given)
    assert streams() == before, name
"""


@pytest.mark.slow
def test_a_first_use_draws_nothing_either() -> None:
    """In a fresh process: what is imported on first use draws when it is imported."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", FIRST_USE], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@every_given
@every_dtype
def test_dtype_and_device_are_kept(subject: Subject, dtype: torch.dtype) -> None:
    given = subject.inputs(dtype)
    found = subject.use(subject.make(), given)
    assert {t.dtype for t in found.kept} <= {dtype}
    assert {t.device for t in found.all} == {torch.device("cpu")}
    assert all(bool(torch.isfinite(t).all()) for t in found.kept)


@every_given
def test_tensors_without_numbers_are_refused_in_words(subject: Subject) -> None:
    """On the meta device: an error that names it, unless the component is an ordinary function of tensors."""
    given = [t.to("meta") for t in subject.inputs(torch.float32)]
    if subject.refuses_meta:
        message = input_error("meta", subject.use, subject.make(), given)
        assert "\n" not in message
    else:
        with pytest.MonkeyPatch.context() as patch:
            # A network's own weights are on the CPU: torch says so in its own words.
            patch.setattr(torch.Tensor, "numpy", lambda t: pytest.fail("numbers of a tensor that has none"))
            try:
                found = subject.use(subject.make(), given)
            except (InputError, RuntimeError):
                return
        assert {t.device.type for t in found.kept} == {"meta"}


def copies(component: Any) -> list[Any]:
    return [pickle.loads(pickle.dumps(component)), copy.deepcopy(component)]


@every_subject_but_methods_slowly
def test_copies_are_as_good_before_and_after_use(subject: Subject) -> None:
    component, given = subject.make(), subject.inputs(torch.float64)
    fresh = copies(component)
    wanted = subject.use(component, given).all
    for twin in (*fresh, *copies(component)):
        assert type(twin) is type(component)
        assert same(subject.use(twin, given).all, wanted)
        if is_value(component):
            assert component == twin
            assert hash(component) == hash(twin)


@every_subject_but_transport_slowly
def test_one_object_in_eight_threads_gives_what_it_gives_in_one(subject: Subject) -> None:
    component, given = subject.make(), subject.inputs(torch.float64)
    wanted = subject.use(subject.make(), given)
    # What a loss keeps of its last call is of any thread's last call; all are the same here.
    for found in at_once([lambda: subject.use(component, given)] * 8):
        assert same(found.all, wanted.all)


@pytest.fixture
def read_only(tmp_path: Path) -> Callable[[Tensor], Tensor]:
    """The same numbers in a file that is mapped into memory for reading: writing there ends the process."""

    number = itertools.count()

    def mapped(t: Tensor) -> Tensor:
        file = tmp_path / f"{next(number)}.npy"
        np.save(file, t.numpy())
        with warnings.catch_warnings():
            # Torch warns that it cannot mark a tensor as not writable.
            warnings.simplefilter("ignore")
            return torch.from_numpy(np.load(file, mmap_mode="r"))

    return mapped


@every_given
def test_memory_that_cannot_be_written_is_read(subject: Subject, read_only: Callable[[Tensor], Tensor]) -> None:
    given = subject.inputs(torch.float64)
    wanted = subject.use(subject.make(), given).all
    assert same(subject.use(subject.make(), [read_only(t) for t in given]).all, wanted)


@every_given
def test_the_layout_of_memory_does_not_matter(subject: Subject) -> None:
    """Reliability 35: transposed, strided and offset memory."""
    given = subject.inputs(torch.float64)
    wanted = subject.use(subject.make(), given).all
    wide = [torch.stack([t, t + 1], dim=-1)[..., 0] for t in given]
    turned = [t.mT.contiguous().mT if t.ndim == 2 else torch.cat([t[:1], t])[1:] for t in given]
    for other in (wide, turned):
        found = subject.use(subject.make(), other).all
        for left, right in zip(found, wanted, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-11)


# --- graphs


class Mark:
    """Alive as long as the node of a graph that holds it."""


class Marked(torch.autograd.Function):
    """Times 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mark: Mark) -> Tensor:  # type: ignore[override]
        ctx.mark = mark
        return x * 1

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return grad, None


class Watched:
    """Points that come out of a layer, whose graph is watched."""

    def __init__(self, given: Inputs) -> None:
        mark = Mark()
        self.mark = weakref.ref(mark)
        self.points: list[Tensor] = [Marked.apply(t.requires_grad_(), mark) for t in given]

    def alive(self) -> bool:
        """Whether anybody but the caller, who drops the points, holds the graph."""
        self.points = []
        if self.mark() is not None:
            gc.collect()
        return self.mark() is not None


def called(loss: Any, given: Inputs) -> Tensor:
    x, y, a, b = given
    value: Tensor = loss(a, x, b, y) if isinstance(loss, SamplesLoss) else loss(x, y, a, b)
    return value


@every_loss
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_what_a_loss_keeps_holds_no_graph(subject: Subject, read: bool) -> None:
    loss, watched = subject.make(), Watched(subject.inputs(torch.float64))
    value = called(loss, watched.points)
    if read and loss.last is not None:
        repr(loss.last)
    value.sum().backward()  # type: ignore[no-untyped-call]
    assert watched.mark() is not None
    del value
    assert not watched.alive()


@every_loss
def test_backward_touches_the_leaves_it_should_and_no_others(subject: Subject) -> None:
    """Not a leaf that is detached, nor one of another call; and twice is twice, not a third of something else."""
    loss, given = subject.make(), subject.inputs(torch.float64)
    x, y, a, b = (t.clone().requires_grad_() for t in given)
    bystander = given[0].clone().requires_grad_()
    called(loss, [bystander, *given[1:]])
    called(loss, [x, y.detach(), a.detach(), b.detach()]).backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert all(t.grad is None for t in (y, a, b, bystander))
    once = x.grad.clone()
    called(loss, [x, y.detach(), a.detach(), b.detach()]).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(x.grad, 2 * once, rtol=1e-12, atol=0)
    with torch.no_grad():
        assert not called(loss, [x, y, a, b]).requires_grad


@pytest.mark.parametrize("reg", [ot.KL(eps=0.5), ot.Quadratic(eps=0.5), ot.NoReg()], ids=lambda r: type(r).__name__)
def test_a_detached_solution_holds_no_graph(reg: ot.Regulariser) -> None:
    watched = Watched([torch.randn(5, 2, generator=torch.Generator().manual_seed(k)) for k in range(2)])
    solution = solve(Discrete(*watched.points, reg=reg), max_steps=20, on_unconverged="ignore")
    assert solution.value.requires_grad
    kept = solution.detached()
    parts = [kept.lower, kept.plan(), kept.potentials, kept.state]
    del solution
    del kept
    assert not watched.alive()
    assert len(parts) == 4


# --- construction


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever opens or lists a file, fails."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "scandir"), (os, "listdir")):

            def refused(*args: Any, what: str = name, **options: Any) -> None:
                pytest.fail(f"{what}{args}")

            patch.setattr(module, name, refused)
        yield


@every_subject
def test_construction_does_no_work(subject: Subject, request: pytest.FixtureRequest) -> None:
    """It draws nothing, opens nothing and computes nothing."""
    subject.make()
    request.getfixturevalue("no_files")
    before = process()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("solve", "certify"):
            patch.setattr(ot, name, lambda *_, **__: pytest.fail("a solve in a constructor"))
        subject.make()
    assert process() == before


NAMESPACE = {name: getattr(package, name) for package in (ot, data, metrics, nets, methods) for name in package.__all__}
VALUES = {name: one for name, one in SUBJECTS.items() if is_value(one.make())}


@every(VALUES)
def test_hyper_parameters_are_a_value(subject: Subject) -> None:
    """Frozen, equal and hashed by their settings, replaced, and printed as one writes them."""
    component = subject.make()
    is_a_value(component)
    assert len({component, subject.make()}) == 1
    text = repr(component)
    # The repr of an enum's member, or of a tensor, is none that Python reads.
    if "<" not in text and "tensor(" not in text:
        assert eval(text, dict(NAMESPACE)) == component


def test_the_battery_leaves_nothing_out() -> None:
    """Every exported class of each kind is somewhere in it, without being listed here."""

    def kinds(subjects: dict[str, Subject]) -> set[type[Any]]:
        return {type(one.make()) for one in subjects.values()}

    transport = exported(ot, ot.TransportLoss, ot.Solver, ot.Cost, ot.Regulariser)
    assert kinds(TRANSPORT) - {SamplesLoss} == transport
    assert {*public(ot.Solver)} <= transport  # type: ignore[type-abstract]
    # A base class without an abstract method.
    measuring = exported(metrics, metrics.Metric, metrics.Extractor) - {metrics.ClassifierFeatures}
    # Those that are read from files have tests of their own.
    measuring -= {metrics.InceptionFeatures, metrics.TorchFileFeatures}
    assert kinds(METRICS) == measuring
    assert kinds(NETWORKS) == exported(nets, nets.GeneratorNet, nets.CriticNet)
    of_methods = {one for one in kinds(METHODS) if one.__module__.startswith("otgen.")}
    assert of_methods == exported(methods, methods.Method)
    # Those that are read from files have laws of their own, in the tests of the data.
    read = {cls for cls in exported(data, data.Source) if issubclass(cls, data.FiniteSource)}
    assert kinds(SOURCES) == exported(data, data.Source) - read
