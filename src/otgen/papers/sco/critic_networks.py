"""What the networks in the critic's place share (Pinetz et al. 2018, section 5)."""

from __future__ import annotations

from otgen.methods import Adam
from otgen.nets import Activation, MlpCritic

# RMSprop is Adam without its first moment.
RMSPROP = Adam(lr=1e-4, beta1=0.0, beta2=0.99)
ADAM = Adam(lr=1e-4, beta1=0.0, beta2=0.9)
# Of everything on the plane.
CRITIC = MlpCritic(widths=(128, 128), activation=Activation.RELU)
TITLES = {"sco": "SCO", "wgan": "WGAN, clipping", "wgan-gp": "WGAN-GP"}
