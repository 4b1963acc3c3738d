"""Potentials on latent codes: the networks read codes, the cost reads samples, and the gradient is the same formula."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from cases.checks import refused, same
from cases.parabola import Parabola
from cases.scale import Quantiles, ScaleNet
from cases.trainers import trainer_of
from otgen.cli.main import main
from otgen.data import Gaussian2D, Normal
from otgen.methods import SWGAN, Adam, DualOracle, LearntFeatures, Player, PotentialInput, SWGANSinkhorn
from otgen.methods.neural_potentials import DualProblem
from otgen.methods.swgan import SwganState
from otgen.methods.swgan_features_eq_46 import embedded
from otgen.methods.terms import Fake
from otgen.nets import DcganCritic, HeadOf, MlpCritic, MlpGenerator, MlpSplitCritic
from otgen.ot import KL, Discrete, MarginalError, SqEuclidean, Steps, solve
from otgen.train import Trainer, checkpoint
from otgen.train.hooks import dual_values

NET, SPLIT = MlpCritic(widths=(8,)), MlpSplitCritic(widths=(6,), size=4, head_widths=(5,))
ORACLE = DualOracle(f=NET, g=NET, most=3, until=Steps())
PLAIN = SWGAN(
    batch=16,
    support=32,
    cost=SqEuclidean(),
    reg=KL(eps=0.5),
    oracle=ORACLE,
    potential_input=PotentialInput.CODE,
    report_every=1,
)
LEARNT = replace(PLAIN, oracle=replace(ORACLE, g=HeadOf(net=SPLIT)), features=LearntFeatures(net=SPLIT, every=1))


def with_self_term(method: SWGAN) -> SWGANSinkhorn:
    return SWGANSinkhorn(**{f.name: getattr(method, f.name) for f in fields(method)})


METHODS = {
    "plain": PLAIN,
    "Sinkhorn loss": with_self_term(PLAIN),
    "features": LEARNT,
    "features, Sinkhorn loss, pool": replace(with_self_term(LEARNT), pool=32),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
# Codes of another dimension than the samples.
CODES = Normal(dim=3)


def started(method: SWGAN, folder: Path, batch_norm: bool = True) -> Trainer:
    data, generator = Gaussian2D(mean=(2.0, -1.0), std=(0.5, 1.0)), MlpGenerator(widths=(8,), batch_norm=batch_norm)
    return trainer_of(method, folder / "run", data, generator, latent=CODES, steps=4)


def duals_of(state: SwganState) -> dict[str, nn.Module]:
    known = {"cross": state.cross, "own": state.own, "real": state.real}
    return {name: duals.player.module for name, duals in known.items() if duals is not None}


@every_method
def test_each_network_reads_its_own(method: SWGAN, tmp_path: Path) -> None:
    at_work = started(method, tmp_path)
    state: SwganState = at_work.state.method
    read: dict[str, set[tuple[int, int]]] = {}
    for name, module in duals_of(state).items():
        module.register_forward_pre_hook(
            lambda _, inputs, name=name: read.setdefault(name, set()).add(tuple(x.shape[1] for x in inputs))
        )
    at_work.step()
    points = 2 if method.features is None else 4
    wanted = {"cross": {(3, points)}, "own": {(3, 3)}, "real": {(points, points)}}
    assert read == {name: wanted[name] for name in read}
    assert set(read) == set(duals_of(state))


@every_method
def test_a_code_belongs_to_its_sample(method: SWGAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = started(method, tmp_path, batch_norm=False)
    state: SwganState = at_work.state.method
    seen: list[int] = []
    ascend = DualOracle.ascend

    def watched(self: DualOracle, duals: Any, problem: DualProblem, update: Any) -> int:
        for cloud in [cloud for pair in (*problem.draw(2), problem.support()) for cloud in pair]:
            made = cloud.inputs
            if made.shape[1] == 3:
                with torch.no_grad():
                    made = embedded({Fake(): state.generator.module(made)}, state.critic)[Fake()]
            torch.testing.assert_close(made, cloud.points)
            seen.append(cloud.inputs.shape[1])
        return ascend(self, duals, problem, update)

    monkeypatch.setattr(DualOracle, "ascend", watched)
    at_work.step()
    assert set(seen) == {3, 2 if method.features is None else 4}


@pytest.mark.parametrize("method", [PLAIN, METHODS["Sinkhorn loss"]], ids=["plain", "Sinkhorn loss"])
def test_the_gradient_is_that_of_the_plans_cost_with_the_plan_held(method: SWGAN, watched: Any) -> None:
    at_work, state, batches = watched(method, fixed=True)
    codes, real = batches.latent(16), batches.real(16)
    module, gradients = state.generator.module, []

    def update(player: Player, loss: Tensor) -> None:
        if player is state.generator:
            gradients.append(torch.autograd.grad(loss, list(module.parameters())))
        else:
            at_work.update(player, loss)

    method.step(state, batches, update)
    fake, costs, total = module(codes), SqEuclidean(), 0
    for term in method.terms():
        own = isinstance(term.right, Fake)
        duals, y, right = (state.own, codes, fake) if own else (state.cross, real, real)
        f, g = duals.values(codes, y)
        matrix = costs(fake, right)
        held = KL(eps=0.5).density(f[:, None] + g - matrix.detach())
        total = total + term.weight * (held * matrix).mean()
    expected = torch.autograd.grad(total, list(module.parameters()))
    torch.testing.assert_close(gradients[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("choice", PotentialInput)
def test_an_injective_generator_has_the_same_optimum(choice: PotentialInput, tmp_path: Path) -> None:
    """On the quantiles of a normal law the best potentials are parabolas of the sample, and so of the code."""
    adam = Adam(lr=0.05, beta1=0.5, beta2=0.9)
    oracle = DualOracle(f=Parabola(), g=Parabola(), most=1000, until=MarginalError(0.01), optimizer=adam)
    method = SWGAN(batch=32, support=32, cost=SqEuclidean(), reg=KL(eps=1.0), oracle=oracle, potential_input=choice)
    law, gradient = Quantiles(), []
    at_work = trainer_of(method, tmp_path, law, ScaleNet(start=1.5), latent=law, steps=1)
    state = at_work.state.method

    def update(player: Player, loss: Tensor) -> None:
        if player is state.generator:
            gradient.extend(torch.autograd.grad(loss, list(player.module.parameters())))
        else:
            at_work.update(player, loss)

    method.step(state, at_work.batches, update)
    codes, scale = law.sample(32, torch.Generator()), torch.tensor(1.5, requires_grad=True)
    f, g = state.cross.values(codes if choice is PotentialInput.CODE else 1.5 * codes, codes)
    exact = solve(Discrete(scale * codes, codes, reg=KL(eps=1.0)), tol=1e-6)
    sums, wanted = (f[:, None] + g).double(), exact.potentials.f[:, None] + exact.potentials.g
    torch.testing.assert_close(sums, wanted.double(), atol=0.03, rtol=0.02)
    assert float(gradient[0]) == pytest.approx(float(torch.autograd.grad(exact.value, scale)[0]), rel=0.01)


@every_method
def test_a_run_goes_on_from_a_checkpoint(method: SWGAN, tmp_path: Path) -> None:
    straight, first, second = (started(method, tmp_path / name) for name in ("straight", "first", "second"))
    for trainer, steps in ((straight, 3), (first, 2)):
        for _ in range(steps):
            trainer.step()
    checkpoint.load(checkpoint.save(tmp_path, first.state, first.shapes, keep=1), second.state)
    second.step()
    modules = [[t.state.method.generator.module, *duals_of(t.state.method).values()] for t in (straight, second)]
    assert same(*([p.detach() for module in one for p in module.parameters()] for one in modules))


def test_only_the_datas_potential_is_drawn_over_points(tmp_path: Path) -> None:
    points = torch.zeros(5, 2)
    for choice, names in ((PotentialInput.CODE, ["g"]), (PotentialInput.SAMPLE, ["f", "g"])):
        method = replace(PLAIN, potential_input=choice)
        shown = dual_values(method, started(method, tmp_path / choice).state.method, points)
        assert [name.removeprefix("potential ")[0] for name in shown] == names
        assert all(values.shape == (5,) for values in shown.values())


def test_a_network_of_images_reads_no_codes(tmp_path: Path) -> None:
    method = replace(PLAIN, oracle=replace(ORACLE, f=DcganCritic(width=4)))
    refused(r"oracle\.f reads latent codes, of shape \(3,\), and .*; MlpCritic reads any", started, method, tmp_path)


def test_a_command_sets_it(capsys: Any) -> None:
    words = ["--method.potential_input", "code", "--method.oracle.f.widths", "[7]", "--print_config"]
    assert main(["train", "swgan.fig3", *words]) == 0
    options = yaml.safe_load(capsys.readouterr().out)["method"]["init_args"]
    assert options["potential_input"] == "code"
