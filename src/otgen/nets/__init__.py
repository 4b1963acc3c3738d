"""Networks: generators and critics, built from their hyper-parameters and the shapes of what they map."""

from otgen.exports import exported
from otgen.nets.adnan import AdnanDcganCritic as AdnanDcganCritic
from otgen.nets.adnan import AdnanDcganGenerator as AdnanDcganGenerator
from otgen.nets.adnan import AdnanResnetCritic as AdnanResnetCritic
from otgen.nets.adnan import AdnanResnetGenerator as AdnanResnetGenerator
from otgen.nets.base import CriticNet as CriticNet
from otgen.nets.base import GeneratorNet as GeneratorNet
from otgen.nets.base import SplitCriticNet as SplitCriticNet
from otgen.nets.base import ToRange as ToRange
from otgen.nets.base import mixes_samples as mixes_samples
from otgen.nets.base import scoring as scoring
from otgen.nets.base import statistics_kept as statistics_kept
from otgen.nets.dcgan import DcganCritic as DcganCritic
from otgen.nets.dcgan import DcganGenerator as DcganGenerator
from otgen.nets.layers import ConcatenatedReLU as ConcatenatedReLU
from otgen.nets.layers import TanhToRange as TanhToRange
from otgen.nets.location_scale import LocationScale as LocationScale
from otgen.nets.location_scale import LocationScaleMap as LocationScaleMap
from otgen.nets.mlp import Activation as Activation
from otgen.nets.mlp import MlpCritic as MlpCritic
from otgen.nets.mlp import MlpGenerator as MlpGenerator
from otgen.nets.mlp import MlpSplitCritic as MlpSplitCritic
from otgen.nets.parts import HeadOf as HeadOf
from otgen.nets.parts import TrunkOf as TrunkOf
from otgen.nets.sanjabi import CriticNorm as CriticNorm
from otgen.nets.sanjabi_cifar import GluReading as GluReading
from otgen.nets.sanjabi_cifar import SanjabiCifarCritic as SanjabiCifarCritic
from otgen.nets.sanjabi_cifar import SanjabiCifarGenerator as SanjabiCifarGenerator
from otgen.nets.sanjabi_mnist import SanjabiMnistCritic as SanjabiMnistCritic
from otgen.nets.sanjabi_mnist import SanjabiMnistGenerator as SanjabiMnistGenerator
from otgen.nets.spectral import SpectralNorm as SpectralNorm
from otgen.seeding import seeded as seeded

__all__ = exported(globals())
