"""Metrics of generated samples: features (extracted once) -> statistics -> metric."""

from otgen.metrics.base import Metric
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
from otgen.metrics.frechet import FrechetDistance, frechet_distance
from otgen.metrics.inception_score import ClassifierScore, classifier_score
from otgen.metrics.modes import ModeAssignment, ModeCoverage
from otgen.metrics.neighbours import CopyCheck, Neighbours, nearest_neighbours
from otgen.metrics.statistics import Gaussian, fit_gaussian
from otgen.metrics.wasserstein import Bracket, Order, WassersteinDistance, exact_wasserstein

__all__ = [
    "Bracket",
    "CifarClassifier",
    "CifarFeatures",
    "Classifier",
    "ClassifierCard",
    "ClassifierFeatures",
    "ClassifierScore",
    "CopyCheck",
    "DigitClassifier",
    "DigitFeatures",
    "Extractor",
    "Features",
    "FrechetDistance",
    "Gaussian",
    "Identity",
    "Metric",
    "ModeAssignment",
    "ModeCoverage",
    "Neighbours",
    "Order",
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
