"""Every exported method with small settings: a step of each takes milliseconds."""

from __future__ import annotations

from dataclasses import fields, replace

from cases.methods import EPS, GAMES, METHODS, SMALL
from otgen import methods
from otgen.methods import Cells, DualOracle, Method
from otgen.ot import KL, SqEuclidean, Steps

_ORACLE = DualOracle(f=SMALL, g=SMALL, most=2, until=Steps())
_DUAL = methods.SWGAN(batch=12, support=16, cost=SqEuclidean(), reg=KL(eps=EPS), oracle=_ORACLE, report_every=2)

LITTLE: dict[str, Method] = {
    **{name: replace(method, batch=12) for name, method in {**METHODS, **GAMES}.items()},
    "SiNG": methods.SiNG(batch=12, reg=KL(eps=EPS), max_steps=30, cg_steps=5, damping=0.05),
    "SWGAN": _DUAL,
    "SWGAN, codes": replace(_DUAL, potential_input=methods.PotentialInput.CODE),
    "SWGAN, features": replace(_DUAL, features=methods.LearntFeatures(every=1)),
    "SWGAN, Sinkhorn loss": methods.SWGANSinkhorn(**{f.name: getattr(_DUAL, f.name) for f in fields(_DUAL)}),
    "semi-discrete": methods.SemiDiscreteGAN(batch=12, atoms=20, first=3, most=2),
    "SCO": methods.SCO(batch=12, samples=200, cells=Cells(count=24), max_steps=100),
}
