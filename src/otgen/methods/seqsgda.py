"""SeqSGDA (Adnan et al. 2021): ascent of the Sinkhorn divergence, descent of its cross term, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override

from otgen.errors import InputError
from otgen.methods.feature_game import FeatureGame, Turns
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.methods.terms import SelfTerms, Term
from otgen.nets import CriticNet, MlpCritic, SpectralNorm
from otgen.ot import KL, Cost, Gradient, Regulariser, SqEuclidean, Unroll


class Descent(StrEnum):
    """The generator's objective."""

    CROSS = "cross"
    """W(G(q), p) alone, (26). Its minimiser is biased: the generated variance is too small by eps / 2 per dimension."""
    DIVERGENCE = "divergence"
    """S, which the critic ascends."""


@dataclass(frozen=True, kw_only=True)
class SeqSGDA(FeatureGame):
    """Sequential stochastic gradient descent ascent (Adnan et al. 2021, Algorithm 1).

    ``n_critic`` times, draw y and z and ascend ``S^{eps(L)}(D_phi(G_theta(z)), D_phi(y))`` in phi. Then descend
    ``W^{eps(L)}``, the first of its three terms (26), in theta, with the last z and y. The ground cost is
    ``||D_phi(x) - D_phi(y)||^p`` (20): ``SqEuclidean()`` for p = 2, ``PNorm(p=...)`` for other p, and
    ``LpPower(p=...)`` for the sum over coordinates of the authors' code. The weights of D_phi are divided by their
    spectral norms, by :class:`otgen.nets.SpectralNorm` with the paper's k_SN.

    The paper back-propagates through the L steps (``Unroll``) and does not say through which value; the authors' code
    takes the linear value with the envelope gradient. The defaults are the entropic value (27) and the usual betas of
    Adam, which the paper does not give. For p > 2 what the critic ascends may be negative, and so is no divergence.

    Attributes:
        n_critic: critic updates per generator update.
        descent: the generator's objective.
        self_terms: which two batches each self term of S compares.
    """

    batch: int = 100
    cost: Cost = SqEuclidean()
    reg: Regulariser = KL(eps=1.0)
    max_steps: int = 10
    gradient: Gradient = Unroll()
    critic: CriticNet = SpectralNorm(net=MlpCritic())
    features: int = 100
    generator_optimizer: OptimizerConfig = Adam(lr=1e-4, beta1=0.5)
    critic_optimizer: OptimizerConfig = Adam(lr=1e-4, beta1=0.5)
    n_critic: int = 10
    descent: Descent = Descent.CROSS
    self_terms: SelfTerms = SelfTerms.SAME

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_critic < 1:
            raise InputError(f"n_critic must be at least 1, got {self.n_critic}")

    @override
    def critic_terms(self) -> tuple[Term, ...]:
        # Line 6: S, (5)
        return self.self_terms.divergence()

    @override
    def generator_terms(self) -> tuple[Term, ...]:
        # Line 10: W, (26)
        divergence = self.self_terms.divergence()
        return divergence[:1] if self.descent is Descent.CROSS else divergence

    @override
    def critic_updates(self, step: int) -> int:
        # Line 2 counts t = 0, ..., n_critic, one more than the text.
        return self.n_critic

    @override
    def turns(self) -> Turns:
        # Line 10 draws no new batch.
        return Turns.SAME_BATCH


@dataclass(frozen=True, kw_only=True)
class SimSGDA(SeqSGDA):
    """Simultaneous stochastic gradient descent ascent on S (Adnan et al. 2021, (25)): both players update at once."""

    n_critic: int = 1
    descent: Descent = Descent.DIVERGENCE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_critic != 1:
            raise InputError(f"SimSGDA moves both players once a step, got n_critic {self.n_critic}; use SeqSGDA")

    @override
    def turns(self) -> Turns:
        return Turns.TOGETHER
