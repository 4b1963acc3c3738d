"""Metrics of generated samples: features (extracted once) -> statistics -> metric."""

from otgen.metrics.base import Metric
from otgen.metrics.classifier import (
    ClassifierCard,
    DigitClassifier,
    digit_classifier_card,
    load_digit_classifier,
)
from otgen.metrics.features import DigitFeatures, Extractor, Features, Identity
from otgen.metrics.frechet import FrechetDistance, frechet_distance
from otgen.metrics.inception_score import ClassifierScore, classifier_score
from otgen.metrics.modes import ModeAssignment, ModeCoverage
from otgen.metrics.neighbours import CopyCheck, Neighbours, nearest_neighbours
from otgen.metrics.statistics import Gaussian, fit_gaussian
from otgen.metrics.wasserstein import Bracket, Order, WassersteinDistance, exact_wasserstein

__all__ = [
    "Bracket",
    "ClassifierCard",
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
    "classifier_score",
    "digit_classifier_card",
    "exact_wasserstein",
    "fit_gaussian",
    "frechet_distance",
    "load_digit_classifier",
    "nearest_neighbours",
]
