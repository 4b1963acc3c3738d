"""Metrics of generated samples: features (extracted once) -> statistics -> metric."""

from otgen.exports import exported
from otgen.metrics.base import EvaluationInput as EvaluationInput
from otgen.metrics.base import FeatureSets as FeatureSets
from otgen.metrics.base import ImageFormat as ImageFormat
from otgen.metrics.base import Label as Label
from otgen.metrics.base import Metric as Metric
from otgen.metrics.classifier import CifarClassifier as CifarClassifier
from otgen.metrics.classifier import Classifier as Classifier
from otgen.metrics.classifier import ClassifierCard as ClassifierCard
from otgen.metrics.classifier import DigitClassifier as DigitClassifier
from otgen.metrics.classifier import cifar_classifier_card as cifar_classifier_card
from otgen.metrics.classifier import digit_classifier_card as digit_classifier_card
from otgen.metrics.classifier import load_cifar_classifier as load_cifar_classifier
from otgen.metrics.classifier import load_digit_classifier as load_digit_classifier
from otgen.metrics.features import CifarFeatures as CifarFeatures
from otgen.metrics.features import ClassifierFeatures as ClassifierFeatures
from otgen.metrics.features import DigitFeatures as DigitFeatures
from otgen.metrics.features import Extractor as Extractor
from otgen.metrics.features import Features as Features
from otgen.metrics.features import Identity as Identity
from otgen.metrics.inception import InceptionFeatures as InceptionFeatures
from otgen.metrics.intervals import IntervalEstimate as IntervalEstimate
from otgen.metrics.statistics import Gaussian as Gaussian
from otgen.metrics.statistics import fit_gaussian as fit_gaussian
from otgen.metrics.table_metric import TableMetric as TableMetric
from otgen.metrics.table_sets import RowSets as RowSets
from otgen.metrics.torch_files import TorchFileFeatures as TorchFileFeatures

# isort: off
# In the order in which an evaluation computes and stores them.
from otgen.metrics.modes import ModeAssignment as ModeAssignment
from otgen.metrics.modes import ModeCoverage as ModeCoverage
from otgen.metrics.parameters import ParameterError as ParameterError
from otgen.metrics.frechet import FrechetDistance as FrechetDistance
from otgen.metrics.frechet import frechet_distance as frechet_distance
from otgen.metrics.inception_score import ClassifierScore as ClassifierScore
from otgen.metrics.inception_score import ClassShares as ClassShares
from otgen.metrics.inception_score import classifier_score as classifier_score
from otgen.metrics.frechet import RealFrechet as RealFrechet
from otgen.metrics.kernel_distance import KernelDistance as KernelDistance
from otgen.metrics.kernel_distance import kernel_distance as kernel_distance
from otgen.metrics.manifolds import PrecisionRecall as PrecisionRecall
from otgen.metrics.sliced import SlicedWasserstein as SlicedWasserstein
from otgen.metrics.sliced import sliced_wasserstein as sliced_wasserstein
from otgen.metrics.similarity import PairSimilarity as PairSimilarity
from otgen.metrics.similarity import structural_similarity as structural_similarity

from otgen.metrics.label_accuracy import LabelAccuracy as LabelAccuracy
from otgen.metrics.neighbours import CopyCheck as CopyCheck
from otgen.metrics.neighbours import FeatureCopyCheck as FeatureCopyCheck
from otgen.metrics.neighbours import Neighbours as Neighbours
from otgen.metrics.neighbours import nearest_neighbours as nearest_neighbours
from otgen.metrics.wasserstein import Bracket as Bracket
from otgen.metrics.wasserstein import Order as Order
from otgen.metrics.wasserstein import WassersteinDistance as WassersteinDistance
from otgen.metrics.wasserstein import exact_wasserstein as exact_wasserstein
from otgen.metrics.table_marginals import Marginals as Marginals
from otgen.metrics.table_associations import CorrelationError as CorrelationError
from otgen.metrics.table_marginals import SpreadRatio as SpreadRatio
from otgen.metrics.table_marginals import MissingRates as MissingRates
from otgen.metrics.table_dependence import Dependence as Dependence
from otgen.metrics.table_models import TrainOnSynthetic as TrainOnSynthetic
from otgen.metrics.table_models import Detection as Detection
from otgen.metrics.table_copies import ClosestRecord as ClosestRecord
# isort: on

__all__ = exported(globals())
