"""Adnan et al. 2021: what its experiments claim, beside what otgen's runs have shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.claims.relations import Cited, Relation

_SETTING = "Digits, small networks, a minute or two and a half on one core; the paper takes 400,000 steps and more."


def _cited(label: str, figure: str, found: str, *, supported: bool) -> Relation:
    return Cited(label=label, found=found, source=f"experiments/seqsgda/{figure}", supported=supported)


class LargeBatches(Theorem):
    """Section IV.A: batches must be small."""

    key: ClassVar[str] = "B6"
    where: ClassVar[str] = "section IV.A, Figure 11"
    statement: ClassVar[str] = "Batches of 200 and 300 make the game unstable, as it needs m far below N."
    conditions: ClassVar[str] = f"{_SETTING} Quality was measured, not the losses' fluctuation."
    recorded: ClassVar[TheoremStatus] = TheoremStatus.UNSUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        found = (
            "Two seeds: the Frechet distance falls, 43.3 at m = 100, 27.4 at 200 and 19.0 at 300, in fewer steps of "
            "the same time."
        )
        return [_cited("larger batches do harm", "fig11/report.md", found, supported=False)]


class BetterThanAutoDiff(Theorem):
    """Figures 4 and 5."""

    key: ClassVar[str] = "AE1"
    where: ClassVar[str] = "Figures 4, 5 and 10"
    statement: ClassVar[str] = "On digits SeqSGDA makes better, less blurry samples than SGD-AutoDiff."
    conditions: ClassVar[str] = _SETTING
    recorded: ClassVar[TheoremStatus] = TheoremStatus.SUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        distance = "Three seeds: Frechet distance 9.6 (6.7 to 12.9) against 24.7 (21.3 to 27.3)."
        score = "Classifier score 6.13 (5.42 to 6.58) against 4.16 (3.95 to 4.40)."
        return [
            _cited("lower Frechet distance", "fig4/report.md", distance, supported=True),
            _cited("higher score", "fig4/report.md", score, supported=True),
        ]


class Cats(Theorem):
    """Figures 6, 8 and 10."""

    key: ClassVar[str] = "AE2"
    where: ClassVar[str] = "Figures 6, 8 and 10"
    statement: ClassVar[str] = "On cats too SeqSGDA comes nearer to the data than SGD-AutoDiff."
    conditions: ClassVar[str] = "One seed at scale cpu, by W1 of pixels; faces of CelebA were not tried."
    recorded: ClassVar[TheoremStatus] = TheoremStatus.SUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        found = "One seed: W1 of pixels to the data 12.9 against 16.0; no cat can be told in either's samples."
        return [_cited("nearer to the data", "fig6/report.md", found, supported=True)]


class BetterThanOthers(Theorem):
    """Section V: the comparison with the other games."""

    key: ClassVar[str] = "AE3"
    where: ClassVar[str] = "section V"
    statement: ClassVar[str] = "It is better than OT-GAN, EOT-GAN and SWGAN too."
    conditions: ClassVar[str] = f"{_SETTING} The paper shows no run of the three."
    recorded: ClassVar[TheoremStatus] = TheoremStatus.UNSUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        ot_gan = "Three seeds: Frechet distance 9.6 (6.7 to 12.9) against 7.0 (6.5 to 7.2): the seeds overlap."
        eot_gan = "EOT-GAN has 2.0 (1.9 to 2.0): no seed is better than any of its."
        swgan = "SWGAN with the Sinkhorn loss has 19.1 (17.5 to 20.6): every seed is better."
        return [
            _cited("better than OT-GAN", "fig4/report.md", ot_gan, supported=False),
            _cited("better than EOT-GAN", "fig4/report.md", eot_gan, supported=False),
            _cited("better than SWGAN", "fig4/report.md", swgan, supported=True),
        ]


class BatchSize(Theorem):
    """Figure 12."""

    key: ClassVar[str] = "AE4"
    where: ClassVar[str] = "Figure 12"
    statement: ClassVar[str] = "The quality of samples does not depend on m in 100, 200, 300; m = 10 is poor."
    conditions: ClassVar[str] = _SETTING
    recorded: ClassVar[TheoremStatus] = TheoremStatus.UNSUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        alike = "Two seeds: Frechet distance 43.3, 27.4 and 19.0; every seed at 200 and 300 is better than at 100."
        poor = "At m = 10 it is 66.6 (64.8 to 68.3)."
        return [
            _cited("alike from 100 on", "fig11/report.md", alike, supported=False),
            _cited("poor at 10", "fig11/report.md", poor, supported=True),
        ]


class LowerEps(Theorem):
    """Figures 13 and 14."""

    key: ClassVar[str] = "AE5"
    where: ClassVar[str] = "Figures 13 and 14"
    statement: ClassVar[str] = "A lower eps makes better samples."
    conditions: ClassVar[str] = f"{_SETTING} eps is relative to the mean cost of the features."
    recorded: ClassVar[TheoremStatus] = TheoremStatus.UNSUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        found = "Two seeds: Frechet distance 29.6 at 20 % of the mean cost, 42.0 at 5 %, 47.0 at 1 %: lower is worse."
        return [_cited("lower is better", "fig13/report.md", found, supported=False)]


class MoreSteps(Theorem):
    """Figures 15 and 16."""

    key: ClassVar[str] = "AE5b"
    where: ClassVar[str] = "Figures 15 and 16"
    statement: ClassVar[str] = "More than 10 Sinkhorn steps do not make better samples."
    conditions: ClassVar[str] = _SETTING
    recorded: ClassVar[TheoremStatus] = TheoremStatus.UNSUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        fifty = "Two seeds: Frechet distance 42.8 at L = 10 and 38.5 at 50; every seed is better."
        hundred = "At L = 100 it is 41.6: the seeds overlap with those at 10."
        return [
            _cited("50 steps are no better", "fig15/report.md", fifty, supported=False),
            _cited("100 steps are no better", "fig15/report.md", hundred, supported=True),
        ]


class BestPower(Theorem):
    """Figures 17 and 18."""

    key: ClassVar[str] = "AE6"
    where: ClassVar[str] = "Figures 17 and 18"
    statement: ClassVar[str] = "p = 2 is better than 5 and 7, and all of them converge to samples of like quality."
    conditions: ClassVar[str] = _SETTING
    recorded: ClassVar[TheoremStatus] = TheoremStatus.UNSUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        alike = "The scores are 2.97, 1.83 and 1.21: at p = 7 next to no digit can be told."
        five = "Two seeds: Frechet distance 55.6 (51.3 to 60.0) at p = 2, 71.1 (53.2 to 89.1) at 5: the seeds overlap."
        seven = "At p = 7 it is 94.3 (86.7 to 101.9)."
        return [
            _cited("samples of like quality", "fig17/report.md", alike, supported=False),
            _cited("2 is better than 5", "fig17/report.md", five, supported=False),
            _cited("2 is better than 7", "fig17/report.md", seven, supported=True),
        ]


class LittleAboveTwo(Theorem):
    """Figures 19 and 20."""

    key: ClassVar[str] = "AE7"
    where: ClassVar[str] = "Figures 19 and 20"
    statement: ClassVar[str] = "For p from 2.05 to 2.3 the samples are alike."
    conditions: ClassVar[str] = _SETTING
    recorded: ClassVar[TheoremStatus] = TheoremStatus.UNSUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        found = (
            "Two seeds: Frechet distance 45.6 (44.1 to 47.1) at p = 2.05, 55.7 (48.7 to 62.7) at 2.1, 47.2 (46.1 to "
            "48.4) at 2.15, 57.4 (48.1 to 66.8) at 2.3: every seed at 2.05 is better than every one at 2.1 and 2.3."
        )
        return [_cited("alike", "fig19/report.md", found, supported=False)]


class SimilarityOfWeights(Theorem):
    """Figures 21 and 22."""

    key: ClassVar[str] = "AE8"
    where: ClassVar[str] = "Figures 21 and 22"
    statement: ClassVar[str] = (
        "The SSIM of the weights tends to 1 at the stopping point, and the slope of log(1/SSIM) over log updates is a "
        "rate kappa."
    )
    conditions: ClassVar[str] = "One run, p = 2.15 and 5 critic updates; see B4."
    recorded: ClassVar[TheoremStatus] = TheoremStatus.UNSUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        rate = "The slope is -0.010, with a 95 % interval from -0.025 to 0.005: not told from 0."
        one = "The similarity is 1 at the stopping point and falls to both sides."
        return [
            _cited("the slope is a rate", "README.md", rate, supported=False),
            _cited("the similarity tends to 1", "README.md", one, supported=True),
        ]


class CriticUpdates(Theorem):
    """Section IV.C: the step ratio."""

    key: ClassVar[str] = "AE9"
    where: ClassVar[str] = "section IV.C, Figure 22"
    statement: ClassVar[str] = "With 5, 10 and 15 critic updates a step at p = 2.15 the generator ends as well."
    conditions: ClassVar[str] = f"{_SETTING} In equal time, not in equal steps."
    recorded: ClassVar[TheoremStatus] = TheoremStatus.UNSUPPORTED

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        found = "Two seeds: Frechet distance 50.4 with 1 update, 58.3 with 5, 66.8 with 10 and 72.9 with 15."
        return [_cited("alike", "fig21/report.md", found, supported=False)]
