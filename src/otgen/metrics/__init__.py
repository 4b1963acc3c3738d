"""Metrics of generated samples: features (extracted once) -> statistics -> metric."""

from otgen.metrics.base import EvaluationInput, FeatureSets, Label, Metric
from otgen.metrics.classifier import (
    CifarClassifier,
    Classifier,
    ClassifierCard,
    DigitClassifier,
    cifar_classifier_card,
    digit_classifier_card,
    load_cifar_classifier,
    load_digit_classifier,
)
from otgen.metrics.features import CifarFeatures, ClassifierFeatures, DigitFeatures, Extractor, Features, Identity
from otgen.metrics.statistics import Gaussian, fit_gaussian

# isort: off
# In the order in which an evaluation measures and keeps them.
from otgen.metrics.modes import ModeAssignment, ModeCoverage
from otgen.metrics.parameters import ParameterError
from otgen.metrics.frechet import FrechetDistance, frechet_distance
from otgen.metrics.inception_score import ClassifierScore, ClassShares, classifier_score
from otgen.metrics.frechet import RealFrechet
from otgen.metrics.neighbours import CopyCheck, Neighbours, nearest_neighbours
from otgen.metrics.wasserstein import Bracket, Order, WassersteinDistance, exact_wasserstein
# isort: on

__all__ = [
    "Bracket",
    "CifarClassifier",
    "CifarFeatures",
    "ClassShares",
    "Classifier",
    "ClassifierCard",
    "ClassifierFeatures",
    "ClassifierScore",
    "CopyCheck",
    "DigitClassifier",
    "DigitFeatures",
    "EvaluationInput",
    "Extractor",
    "FeatureSets",
    "Features",
    "FrechetDistance",
    "Gaussian",
    "Identity",
    "Label",
    "Metric",
    "ModeAssignment",
    "ModeCoverage",
    "Neighbours",
    "Order",
    "ParameterError",
    "RealFrechet",
    "WassersteinDistance",
    "cifar_classifier_card",
    "classifier_score",
    "digit_classifier_card",
    "exact_wasserstein",
    "fit_gaussian",
    "frechet_distance",
    "load_cifar_classifier",
    "load_digit_classifier",
    "nearest_neighbours",
]
