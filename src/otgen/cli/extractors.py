"""Which extractor the word of a command means."""

from __future__ import annotations

import os
from pathlib import Path

from otgen import files
from otgen.cli.usage import UsageError
from otgen.errors import suggestion
from otgen.metrics import CifarFeatures, DigitFeatures, Extractor, Identity, InceptionFeatures, TorchFileFeatures

WORDS = ("cifar", "digits", "pixels")
_INCEPTION = "inception:"


def extractor_of(word: str) -> Extractor:
    """The extractor that a word of the command means: one of `WORDS`, ``inception:`` and a file, or a file.

    Args:
        word: the word.

    Raises:
        UsageError: it is none of the words, and no file.
    """
    if word == "cifar":
        return CifarFeatures(resized=True)
    if word == "digits":
        return DigitFeatures()
    if word == "pixels":
        return Identity()
    if word.startswith(_INCEPTION):
        return InceptionFeatures(weights=word.removeprefix(_INCEPTION))
    path = Path(os.path.expanduser(word))
    if not os.path.lexists(path):
        if path.name != word:
            raise UsageError(f"--extractor: there is no file {word}{files.near_entry(path) or '; check the path'}")
        raise UsageError(
            f"--extractor must be {', '.join(WORDS)}, {_INCEPTION}WEIGHTS or a file, got {word!r}"
            f"{suggestion(word, WORDS)}"
        )
    return TorchFileFeatures(path=word)
