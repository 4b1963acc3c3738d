"""Networks: generators and critics, built from their hyper-parameters and the shapes of what they map."""

from otgen.exports import exported
from otgen.nets.augmented import Augmented as Augmented
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
from otgen.nets.parts import SplitCritic as SplitCritic
from otgen.nets.parts import TrunkOf as TrunkOf
from otgen.nets.rescaled import Rescaled as Rescaled
from otgen.nets.seqsgda import SeqSGDADcganCritic as SeqSGDADcganCritic
from otgen.nets.seqsgda import SeqSGDADcganGenerator as SeqSGDADcganGenerator
from otgen.nets.seqsgda import SeqSGDAResnetCritic as SeqSGDAResnetCritic
from otgen.nets.seqsgda import SeqSGDAResnetGenerator as SeqSGDAResnetGenerator
from otgen.nets.spectral import SpectralNorm as SpectralNorm
from otgen.nets.swgan import CriticNorm as CriticNorm
from otgen.nets.swgan_cifar import GluReading as GluReading
from otgen.nets.swgan_cifar import SWGANCifarCritic as SWGANCifarCritic
from otgen.nets.swgan_cifar import SWGANCifarGenerator as SWGANCifarGenerator
from otgen.nets.swgan_mnist import SidesReading as SidesReading
from otgen.nets.swgan_mnist import SWGANMnistCritic as SWGANMnistCritic
from otgen.nets.swgan_mnist import SWGANMnistGenerator as SWGANMnistGenerator
from otgen.renamed import former_names
from otgen.seeding import seeded as seeded

__all__ = exported(globals())

__getattr__ = former_names(__name__)
