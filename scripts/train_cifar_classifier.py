"""Train the classifier behind `otgen.metrics.CifarFeatures`, and write its weights and its card.

    python scripts/train_cifar_classifier.py --cifar PATH

PATH is a folder or an archive of CIFAR-10 as JPEGs, as `otgen.data.Cifar10Jpeg` reads it. It takes about four
minutes on one core. The network sees the 50,000 train images only; the 10,000 test images measure it. It is not
the Inception network, and JPEGs are lossy: its numbers compare only with its own.
"""

from __future__ import annotations

import torch
from classifier_training import Task, make, noisy, parser, shifted
from torch import Tensor, nn

from otgen.data import CIFAR10_CLASSES, Cifar10Jpeg, Split
from otgen.metrics import CifarClassifier

SHIFT = 2  # pixels, each way
NOISE = 0.1  # standard deviation, at most


def augment(images: Tensor, rng: torch.Generator) -> Tensor:
    """Half of the images mirrored, all moved, half of them noisy."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=rng) < 0.5
    return noisy(shifted(torch.where(mirrored, images.flip(3), images), rng, SHIFT, "reflect"), rng, NOISE)


def main() -> None:
    """Read, train, write, measure."""
    options = parser(__doc__, epochs=7, lr=5e-3)
    options.add_argument("--cifar", required=True, help="the folder or the archive of JPEGs")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    train_source, test_source = (Cifar10Jpeg(path=args.cifar, split=split) for split in (Split.TRAIN, Split.TEST))
    train_images, images, labels = train_source.support(), test_source.support(), test_source.labels()
    horse = CIFAR10_CLASSES.index("horse")

    def degraded(rng: torch.Generator) -> dict[str, Tensor]:
        return {
            "10,000 test, pixel noise 0.1": images + 0.1 * torch.randn(images.shape, generator=rng),
            "10,000 test, pixel noise 0.3": images + 0.3 * torch.randn(images.shape, generator=rng),
            "10,000 test, blurred (mean of 3x3)": nn.functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False),
            "test without the horses": images[labels != horse],
            "test, the horses only": images[labels == horse],
            "the mean train image, 100 times": train_images.mean(0).expand(100, 3, 32, 32),
            "10,000 of uniform noise": torch.rand(10000, 3, 32, 32, generator=rng),
        }

    task = Task(
        kind=CifarClassifier,
        train_set=(train_images, train_source.labels()),
        test_set=(images, labels),
        augment=augment,
        degraded=degraded,
        notes={
            "data": "CIFAR-10 as JPEGs (lossy), 50,000 train images",
            "caution": "not the Inception network; numbers compare only with numbers from the same weights",
            "augmentation": f"mirrored, shifts of up to {SHIFT} pixels; on half of the images noise of up to {NOISE}",
        },
        sorted_by_class=True,
    )
    make(task, args)


if __name__ == "__main__":
    main()
