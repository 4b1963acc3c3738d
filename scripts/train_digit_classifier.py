"""Train the digit classifier behind `otgen.metrics.DigitFeatures`, and write its weights and its card.

    python scripts/train_digit_classifier.py --mnist FOLDER

FOLDER holds the four MNIST files in their original form (`train-images-idx3-ubyte.gz` and so on). It takes
about five minutes on one core. The network sees the 60,000 train digits only; the 10,000 test digits
measure it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from otgen.metrics.classifier import CARD, WEIGHTS, DigitClassifier
from otgen.metrics.features import Features, classify
from otgen.metrics.frechet import frechet_distance
from otgen.metrics.inception_score import classifier_score

PACKAGE_WEIGHTS = Path(__file__).parents[1] / "src" / "otgen" / "metrics" / "weights"
SHIFT = 2  # pixels, each way
NOISE = 0.3  # standard deviation, at most


def read_idx(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The array in a gzipped IDX file of bytes: a magic number 0x08 and the rank, the sizes, the values."""
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\0\0\x08":
        sys.exit(f"{path}: not an IDX file of bytes")
    sizes = np.frombuffer(data, ">u4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(sizes)


def read_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images ``(n, 1, 28, 28)`` in [0, 1] and labels ``(n,)`` of "train" or "t10k"."""
    images = torch.from_numpy(read_idx(folder / f"{split}-images-idx3-ubyte.gz").copy())
    labels = torch.from_numpy(read_idx(folder / f"{split}-labels-idx1-ubyte.gz").copy())
    return images.unsqueeze(1).float() / 255, labels.long()


def shifted(images: Tensor, rng: torch.Generator) -> Tensor:
    """Each image moved by up to SHIFT pixels, down and right, background where nothing was."""
    n, _, height, width = images.shape
    padded = nn.functional.pad(images[:, 0], (SHIFT, SHIFT, SHIFT, SHIFT))
    offsets = torch.randint(2 * SHIFT + 1, (2, n, 1), generator=rng)
    rows, columns = offsets[0] + torch.arange(height), offsets[1] + torch.arange(width)
    index = torch.arange(n)[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]].unsqueeze(1)


def noisy(images: Tensor, rng: torch.Generator) -> Tensor:
    """Noise on half of the images, of a size between 0 and NOISE that is the image's own.

    A network that has only seen clean digits takes all noisy ones for the same digit, and then calls a
    generator collapsed that is merely noisy.
    """
    size = NOISE * (2 * torch.rand(len(images), 1, 1, 1, generator=rng) - 1).clamp(min=0)
    return (images + size * torch.randn(images.shape, generator=rng)).clamp(0, 1)


def batches(n: int, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """The indices of one epoch in a random order; a last short batch is left out."""
    order = torch.randperm(n, generator=rng)
    yield from order[: n - n % size].split(size)


def train(images: Tensor, labels: Tensor, args: argparse.Namespace) -> DigitClassifier:
    """The network after `args.epochs` epochs of AdamW under a one-cycle learning rate."""
    rng = torch.Generator().manual_seed(args.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        network = DigitClassifier()
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    steps = args.epochs * (len(images) // args.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.lr, total_steps=steps)
    began = time.perf_counter()
    for epoch in range(args.epochs):
        total = 0.0
        for index in batches(len(images), args.batch, rng):
            loss = nn.functional.cross_entropy(network(noisy(shifted(images[index], rng), rng)), labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        mean = total / (len(images) // args.batch)
        print(f"epoch {epoch + 1}: loss {mean:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
    settle(network, images, rng)
    return network.eval()


@torch.no_grad()
def settle(network: DigitClassifier, images: Tensor, rng: torch.Generator) -> None:
    """Take the batch norms' statistics from all digits, moved and noisy as they were in training."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # a plain average over the batches
    network.train()
    for part in images.split(1000):
        network(noisy(shifted(part, rng), rng))


def accuracy(features: Features, labels: Tensor) -> float:
    """The share of digits whose likeliest class is the right one."""
    assert features.probabilities is not None
    return (features.probabilities.argmax(1) == labels).double().mean().item()


def baseline(what: str, fake: Features, against: str, real: Features) -> dict[str, Any]:
    """One row of the table of numbers to compare with."""
    assert fake.probabilities is not None
    return {
        "fake": what,
        "real": against,
        "frechet": round(frechet_distance(fake.gaussian, real.gaussian), 4),
        "classifier_score": round(classifier_score(fake.probabilities), 4),
    }


def some(images: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """`n` of the images at random: neither the first n nor every k-th of MNIST are like the whole."""
    return images[torch.randperm(len(images), generator=rng)[:n]]


def baselines(
    extract: Callable[[Tensor], Features], train_images: Tensor, test_images: Tensor, labels: Tensor
) -> list[dict[str, Any]]:
    """What the metrics say of sets of known quality."""
    rng = torch.Generator().manual_seed(0)
    large, small = extract(train_images), extract(some(train_images, 5000, rng))
    references = (("60,000 train", large), ("5,000 train", small))
    rows = []
    for n in (10000, 5000, 2000, 1000, 500, 200, 100):
        fake = extract(some(test_images, n, rng))
        rows += [baseline(f"{n:,} test", fake, against, real) for against, real in references]
    degraded = {
        "10,000 test, pixel noise 0.1": test_images + 0.1 * torch.randn(test_images.shape, generator=rng),
        "10,000 test, pixel noise 0.3": test_images + 0.3 * torch.randn(test_images.shape, generator=rng),
        "10,000 test, blurred (mean of 3x3)": nn.functional.avg_pool2d(test_images, 3, 1, 1),
        "test without the digit 7": test_images[labels != 7],
        "test, the digit 1 only": test_images[labels == 1],
        "the mean train digit, 100 times": train_images.mean(0).expand(100, 1, 28, 28),
        "10,000 of uniform noise": torch.rand(10000, 1, 28, 28, generator=rng),
    }
    for what, images in degraded.items():
        fake = extract(images.clamp(0, 1))
        rows += [baseline(what, fake, against, real) for against, real in references]
    return rows


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, required=True, help="the folder of the four MNIST files")
    parser.add_argument("--out", type=Path, default=PACKAGE_WEIGHTS, help="where the two files go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=4e-3, help="the peak of the learning rate")
    parser.add_argument("--weight-decay", type=float, default=1e-2)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Train, write, measure, write again."""
    args = arguments()
    torch.set_num_threads(args.threads)
    train_set, test_set = read_split(args.mnist, "train"), read_split(args.mnist, "t10k")
    began = time.perf_counter()
    network = train(*train_set, args)
    seconds = round(time.perf_counter() - began)

    training: dict[str, Any] = {
        "data": "MNIST, 60,000 train digits",
        "augmentation": f"shifts of up to {SHIFT} pixels; on half of the digits noise of up to {NOISE}",
        "optimiser": "AdamW, one cycle",
        **{key: getattr(args, key) for key in ("seed", "epochs", "batch", "lr", "weight_decay", "threads")},
        "seconds": seconds,
        "torch": torch.__version__,
    }
    # One key only: the format does not keep the order of keys, and the file's hash must not depend on it.
    data = save(network.state_dict(), metadata={"training": json.dumps(training, sort_keys=True)})
    card: dict[str, Any] = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "parameters": sum(p.numel() for p in network.parameters()),
        "test_accuracy": 0.0,
        "training": training,
        "baselines": [],
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / WEIGHTS).write_bytes(data)

    def extract(images: Tensor) -> Features:
        return classify(network, images, name="digits")

    card["test_accuracy"] = accuracy(extract(test_set[0]), test_set[1])
    card["baselines"] = baselines(extract, train_set[0], *test_set)
    (args.out / CARD).write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
