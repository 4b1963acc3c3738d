"""What the scripts that train the shipped classifiers share: the training, the card, and its table."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from otgen.metrics.classifier import Classifier
from otgen.metrics.features import Features, classify
from otgen.metrics.frechet import frechet_distance
from otgen.metrics.inception_score import classifier_score

PACKAGE_WEIGHTS = Path(__file__).parents[1] / "src" / "otgen" / "metrics" / "weights"
SAMPLES = (10000, 5000, 2000, 1000, 500, 200, 100)
SMALL = 5000  # training images that the smaller of the two references holds

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A classifier to train, and what to train and measure it on.

    Attributes:
        kind: the classifier.
        train_set: images in [0, 1] and labels.
        test_set: the same, never trained on.
        augment: what happens to the images of a batch.
        degraded: sets of known low quality for the card's table, made from the test images and labels; each
            by what it is called.
        notes: for the card.
        sorted_by_class: whether the training set is in the order of its classes. The batches that settle the
            batch norms are then drawn at random: the variance within one class is not that of the whole.
    """

    kind: type[Classifier]
    train_set: tuple[Tensor, Tensor]
    test_set: tuple[Tensor, Tensor]
    augment: Augment
    degraded: Callable[[torch.Generator], dict[str, Tensor]]
    notes: dict[str, str] = field(default_factory=dict)
    sorted_by_class: bool = False


def shifted(images: Tensor, rng: torch.Generator, shift: int, mode: str) -> Tensor:
    """Each image moved by up to `shift` pixels, down and right; `mode` of torch's `pad` says what comes in."""
    n, _, height, width = images.shape
    padded = nn.functional.pad(images, (shift, shift, shift, shift), mode=mode).movedim(1, -1)
    offsets = torch.randint(2 * shift + 1, (2, n, 1), generator=rng)
    rows, columns = offsets[0] + torch.arange(height), offsets[1] + torch.arange(width)
    index = torch.arange(n)[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def noisy(images: Tensor, rng: torch.Generator, most: float) -> Tensor:
    """Noise on half of the images, of a size between 0 and `most` that is the image's own.

    A network that has only seen clean images takes all noisy ones for the same class, and then calls a
    generator collapsed that is merely noisy.
    """
    size = most * (2 * torch.rand(len(images), 1, 1, 1, generator=rng) - 1).clamp(min=0)
    return (images + size * torch.randn(images.shape, generator=rng)).clamp(0, 1)


def batches(n: int, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """The indices of one epoch in a random order; a last short batch is left out."""
    order = torch.randperm(n, generator=rng)
    yield from order[: n - n % size].split(size)


def train(task: Task, args: argparse.Namespace) -> Classifier:
    """The network after `args.epochs` epochs of AdamW under a one-cycle learning rate."""
    images, labels = task.train_set
    rng = torch.Generator().manual_seed(args.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        network = task.kind().to(memory_format=task.kind.layout)
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    steps = args.epochs * (len(images) // args.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.lr, total_steps=steps)
    began = time.perf_counter()
    for epoch in range(args.epochs):
        total = 0.0
        for index in batches(len(images), args.batch, rng):
            loss = nn.functional.cross_entropy(network(task.augment(images[index], rng)), labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        mean = total / (len(images) // args.batch)
        print(f"epoch {epoch + 1}: loss {mean:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
    order = torch.randperm(len(images), generator=rng) if task.sorted_by_class else torch.arange(len(images))
    settle(network, images, order, task.augment, rng)
    return network.eval().to(memory_format=torch.contiguous_format)


@torch.no_grad()
def settle(network: Classifier, images: Tensor, order: Tensor, augment: Augment, rng: torch.Generator) -> None:
    """Take the batch norms' statistics from all training images, moved and noisy as they were in training."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # a plain average over the batches
    network.train()
    for part in order.split(1000):
        network(augment(images[part], rng))


def accuracy(features: Features, labels: Tensor) -> float:
    """The share of images whose likeliest class is the right one."""
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
    """`n` of the images at random: neither the first n nor every k-th of a data set are like the whole."""
    return images[torch.randperm(len(images), generator=rng)[:n]]


def baselines(extract: Callable[[Tensor], Features], task: Task) -> list[dict[str, Any]]:
    """What the metrics say of sets of known quality."""
    train_images, test_images = task.train_set[0], task.test_set[0]
    rng = torch.Generator().manual_seed(0)
    large, small = extract(train_images), extract(some(train_images, SMALL, rng))
    references = ((f"{len(train_images):,} train", large), (f"{SMALL:,} train", small))
    rows = []
    for n in SAMPLES:
        fake = extract(some(test_images, n, rng))
        rows += [baseline(f"{n:,} test", fake, against, real) for against, real in references]
    for what, images in task.degraded(rng).items():
        fake = extract(images.clamp(0, 1))
        rows += [baseline(what, fake, against, real) for against, real in references]
    return rows


def parser(description: str | None, *, epochs: int, lr: float) -> argparse.ArgumentParser:
    """The options of every such script; the data's are its own."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--out", type=Path, default=PACKAGE_WEIGHTS, help="where the two files go")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--epochs", type=int, default=epochs)
    found.add_argument("--batch", type=int, default=128)
    found.add_argument("--lr", type=float, default=lr, help="the peak of the learning rate")
    found.add_argument("--weight-decay", type=float, default=1e-2)
    found.add_argument("--threads", type=int, default=1)
    return found


def make(task: Task, args: argparse.Namespace) -> None:
    """Train, write, measure, write again."""
    began = time.perf_counter()
    network = train(task, args)
    seconds = round(time.perf_counter() - began)
    training: dict[str, Any] = {
        **task.notes,
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
    (args.out / task.kind.weights_file()).write_bytes(data)

    def extract(images: Tensor) -> Features:
        return classify(network, images, name=task.kind.subject)

    card["test_accuracy"] = accuracy(extract(task.test_set[0]), task.test_set[1])
    card["baselines"] = baselines(extract, task)
    (args.out / task.kind.card_file()).write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card, indent=2))
