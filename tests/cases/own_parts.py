"""Components of a user's own, as in a module of the working directory."""

from dataclasses import dataclass

from torch import Tensor, nn

from otgen.methods import Fake, Real, Term, TransportMethod
from otgen.nets import GeneratorNet
from otgen.ot import Cost


@dataclass(frozen=True, kw_only=True)
class MyCost(Cost):
    """A cost of one's own."""

    factor: float = 1.0

    def paired(self, x: Tensor, y: Tensor) -> Tensor:
        return self.factor * (x - y).abs().sum(-1)


@dataclass(frozen=True, kw_only=True)
class MyNet(GeneratorNet):
    """A generator of one's own."""

    def build(
        self, latent: tuple[int, ...], shape: tuple[int, ...], value_range: tuple[float, float] | None
    ) -> nn.Module:
        return nn.Linear(latent[0], shape[0])


@dataclass(frozen=True, kw_only=True)
class MyMethod(TransportMethod):
    """A method of one's own."""

    def generator_terms(self) -> tuple[Term, ...]:
        return (Term(2.0, Fake(), Real()),)
