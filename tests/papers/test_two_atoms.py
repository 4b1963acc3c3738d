"""The game of one point and two atoms against its closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from otgen.ot import AveragedSGD
from otgen.papers.semidiscrete.eq_38_two_atoms import TwoAtoms

START = torch.tensor([0.7, 0.1], dtype=torch.float64)
MIDDLE = torch.tensor([0.0, 0.5], dtype=torch.float64)


def _contraction(rate: float, steps: int) -> Tensor:
    powers = rate ** torch.arange(steps + 1, dtype=torch.float64)
    return MIDDLE + powers.unsqueeze(1) * (START - MIDDLE)


@pytest.mark.parametrize("eps", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("tau", [0.1, 0.3])
def test_with_regularisation_it_contracts(eps: float, tau: float) -> None:
    path = TwoAtoms(eps=eps, tau=tau).exact(START, 40)
    assert (path - _contraction(1 - 2 * tau, 40)).abs().max() < 1e-12


def test_without_regularisation_it_goes_to_and_fro_for_ever() -> None:
    path = TwoAtoms(eps=0.0).exact(START, 200)
    second = [START[1].item()]
    for step in range(200):
        second.append(0.8 * second[-1] + 0.2 * (step % 2))
    assert (path[:, 1] - torch.tensor(second, dtype=torch.float64)).abs().max() < 1e-12
    assert sorted(path[-2:, 1].tolist()) == pytest.approx([4 / 9, 5 / 9], abs=1e-12)
    assert path[-1, 0].abs() < 1e-12


def test_a_learnt_psi_comes_near_with_regularisation_and_nowhere_without() -> None:
    solver = AveragedSGD(batch=1)
    smooth = TwoAtoms(eps=0.1).learnt(START, 40, solver, 50)
    assert (smooth[-1] - MIDDLE).norm() < 5e-3
    late = TwoAtoms(eps=0.0).learnt(START, 60, solver, 50)[30:, 1]
    assert late.max() - late.min() > 0.1


@pytest.mark.parametrize(("eps", "tau"), [(-1.0, 0.1), (float("nan"), 0.1), (0.1, 0.0), (0.1, 0.5)])
def test_what_makes_no_sense_is_refused(eps: float, tau: float) -> None:
    refused("eps must be at least 0 and tau in", TwoAtoms, eps=eps, tau=tau)
