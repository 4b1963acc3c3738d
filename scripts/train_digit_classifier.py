"""Train the digit classifier behind `otgen.metrics.DigitFeatures`, and write its weights and its card.

    python scripts/train_digit_classifier.py --mnist FOLDER

FOLDER holds the four MNIST files in their original form (`train-images-idx3-ubyte.gz` and so on). It takes
about five minutes on one core. The network sees the 60,000 train digits only; the 10,000 test digits
measure it.
"""

from __future__ import annotations

import torch
from classifier_training import Task, make, noisy, parser, shifted
from torch import Tensor, nn

from otgen.data import Mnist, Split
from otgen.metrics import DigitClassifier

SHIFT = 2  # pixels, each way
NOISE = 0.3  # standard deviation, at most


def augment(images: Tensor, rng: torch.Generator) -> Tensor:
    """All digits moved, background where nothing was, and half of them noisy."""
    return noisy(shifted(images, rng, SHIFT, "constant"), rng, NOISE)


def main() -> None:
    """Read, train, write, measure."""
    options = parser(__doc__, epochs=12, lr=4e-3)
    options.add_argument("--mnist", required=True, help="the folder of the four MNIST files")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    train_source, test_source = (Mnist(folder=args.mnist, split=split) for split in (Split.TRAIN, Split.TEST))
    train_images, images, labels = train_source.support(), test_source.support(), test_source.labels()

    def degraded(rng: torch.Generator) -> dict[str, Tensor]:
        return {
            "10,000 test, pixel noise 0.1": images + 0.1 * torch.randn(images.shape, generator=rng),
            "10,000 test, pixel noise 0.3": images + 0.3 * torch.randn(images.shape, generator=rng),
            "10,000 test, blurred (mean of 3x3)": nn.functional.avg_pool2d(images, 3, 1, 1),
            "test without the digit 7": images[labels != 7],
            "test, the digit 1 only": images[labels == 1],
            "the mean train digit, 100 times": train_images.mean(0).expand(100, 1, 28, 28),
            "10,000 of uniform noise": torch.rand(10000, 1, 28, 28, generator=rng),
        }

    task = Task(
        kind=DigitClassifier,
        train_set=(train_images, train_source.labels()),
        test_set=(images, labels),
        augment=augment,
        degraded=degraded,
        notes={
            "data": "MNIST, 60,000 train digits",
            "augmentation": f"shifts of up to {SHIFT} pixels; on half of the digits noise of up to {NOISE}",
        },
    )
    make(task, args)


if __name__ == "__main__":
    main()
