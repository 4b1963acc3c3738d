"""What differs from the paper in all of its experiments on images."""

from __future__ import annotations

from otgen.papers.swgan.deviations import Deviation, Kind
from otgen.papers.swgan.settings import Setting

CRITIC_OF_WGAN_GP = Deviation(
    kind=Kind.PRINTED,
    settings=(Setting.FEATURES, Setting.HEAD),
    panels=("wgan-gp",),
    text="WGAN-GP's critic has layer normalisation where the paper's list has batch normalisation, which a gradient "
    "penalty does not allow: it is defined for one sample at a time.",
)
REGULARISER = Deviation(
    kind=Kind.OPEN,
    settings=(Setting.REGULARISER,),
    text="The paper does not name its regulariser on images. Here it is KL, but where a panel says norm 2.",
)
NETWORKS = Deviation(
    kind=Kind.OPEN,
    settings=(Setting.KERNELS, Setting.GAIN),
    text="The lists of layers leave kernels and initial weights open. Here kernels have side 5, and weights are "
    "PyTorch's. The layer normalisation has no learnt gain, with which (46) has no bound under L1.",
)
TRUNKS = Deviation(
    kind=Kind.OPEN,
    settings=(Setting.TRUNKS,),
    text="The paper does not say whether the two potentials share their trunk. Here each potential on pixels has a "
    "network of its own; potentials on features are heads on the features.",
)
CAP = Deviation(
    kind=Kind.OPEN,
    settings=(Setting.CAP,),
    text="KL's exponentials overflow at these weights, of which the paper says nothing. Here they go on linearly "
    "beyond an exponent of 10, and the log counts the updates in which they do.",
)
RIVALS = Deviation(
    kind=Kind.OPEN,
    panels=("sinkhorn-solver", "wgan-gp"),
    settings=(
        Setting.LAMBDA,
        Setting.COST,
        Setting.GENERATOR_STEP,
        Setting.DISCRIMINATOR_STEP,
        Setting.BETAS,
        Setting.STEPS,
        Setting.UPDATES,
        Setting.PENALTY,
        Setting.SOLVER_STEPS,
        Setting.BATCH,
    ),
    text="The paper gives the other methods the same networks and says no more. Here they have the table's step sizes, "
    "batch and generator steps, and as many updates of critic or features a step as the table has of potentials; the "
    "Sinkhorn solver has the cosine cost, the table's weight and 10 steps, WGAN-GP a penalty of 10.",
)
