"""The reader of configurations under anything: it reads, or refuses in a line, soon, and imports nothing."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.parser_words import is_ours
from otgen import papers
from otgen.errors import OtgenError
from otgen.own_modules import only_from
from otgen.papers import Scale
from otgen.train import RunConfig
from otgen.train.config import plain
from otgen.train.config_files import load, text_of

SECONDS = float(os.environ.get("OTGEN_FUZZ_SECONDS", "20"))
CONFIGS = [recipe.build(Scale.SMOKE) for recipe in papers.names()]
ODD = ["", "null", "true", "-1", "0", "1e999", ".nan", "[]", "{}", "~", "!!str x", "&a 1", "*a", "0x1f", "1:30", "'"]
ODD += [
    "os.system",
    "otgen.data.Normal",
    "Normal",
    "otgen.ot.KL",
    "[1, [2]]",
    "{class_path: os.system}",
    "\x00",
    "\x1b",
]
ODD += [
    "{class_path: otgen.nets.HeadOf}",
    "9" * 400,
    "a.b",
    "..",
    "<<",
    "- - -",
    "? x",
    "|\n  x",
    "%YAML 9",
    "\ufeff",
    "ü",
]
ODD += [
    "{init_args: {}}",
    "{class_path: null}",
    "{dict_kwargs: {a: 1}}",
    "0.05*mean",
    "2m",
    "__main__.X",
    "{__path__: /}",
]
# Modules of Python that show when they are imported, and that nothing else imports.
TRAPS = {"antigravity", "this"}
ODD += ["antigravity.X", "this.s", "{class_path: this.d}"]


def _leaves() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(ODD).map(yaml_or_text),
    )


def yaml_or_text(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _trees() -> st.SearchStrategy[Any]:
    keys = st.one_of(
        st.sampled_from(["class_path", "init_args", "reg", "cost", "eps", "widths", "dim"]), st.text(max_size=5)
    )
    return st.recursive(
        _leaves(), lambda x: st.lists(x, max_size=4) | st.dictionaries(keys, x, max_size=4), max_leaves=8
    )


def refused_or_read(text: bytes, folder: Path) -> None:
    """The law: a configuration that can be written and read again, or one line of ours; nothing is imported."""
    file = folder / "config.yaml"
    file.write_bytes(text)
    began = time.process_time()
    try:
        with only_from():
            config = load(file)
    except OtgenError as error:
        message = str(error)
        assert "\n" not in message, message
        assert len(message) < 2000
        assert is_ours(message), message
    else:
        assert isinstance(config, RunConfig)
        file.write_text(text_of(config), encoding="utf-8")
        # Not equal where a number is NaN.
        assert repr(load(file)) == repr(config)
    assert time.process_time() - began < 3
    assert not TRAPS & set(sys.modules)


def changed(text: str, rng: random.Random) -> bytes:
    """A text with a few changes: of letters, of lines, of values."""
    content = bytearray(text.encode())
    for _ in range(rng.randint(1, 4)):
        lines = bytes(content).split(b"\n")
        number = rng.randrange(len(lines))
        way = rng.randrange(7)
        if way == 0 and content:
            content[rng.randrange(len(content))] = rng.randrange(256)
            continue
        if way == 1:
            del content[rng.randrange(len(content) + 1) :]
            continue
        if way == 2:
            lines.insert(number, lines[rng.randrange(len(lines))])
        elif way == 3:
            del lines[number]
        elif way == 4:
            lines[number] = b"  " * rng.randrange(3) + lines[number].lstrip()
        else:
            key, colon, _ = lines[number].partition(b":")
            lines[number] = key + colon + b" " + rng.choice(ODD).encode()
        content = bytearray(b"\n".join(lines))
    return bytes(content)


def _fuzz(folder: Path, seed: int, seconds: float) -> int:
    rng, count, end = random.Random(seed), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        refused_or_read(changed(text_of(rng.choice(CONFIGS)), rng), folder)
        count += 1
    return count


def test_a_few_changed_files(tmp_path: Path) -> None:
    rng = random.Random(1)
    for _ in range(20):
        refused_or_read(changed(text_of(rng.choice(CONFIGS)), rng), tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_changed_files(tmp_path: Path) -> None:
    assert _fuzz(tmp_path, int(os.environ.get("OTGEN_FUZZ_SEED", "0")), SECONDS / 2) > SECONDS


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_any_values(tmp_path: Path) -> None:
    """A part of a true configuration replaced by any tree."""
    end = time.monotonic() + SECONDS / 2

    @settings(
        max_examples=int(40 * SECONDS),
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
        deadline=None,
    )
    @given(st.integers(0, len(CONFIGS) - 1), st.integers(0, 10**6), _trees())
    def check(which: int, place: int, value: Any) -> None:
        if time.monotonic() < end:
            config = plain(CONFIGS[which])
            holders = list(_mappings(config))
            holder = holders[place % len(holders)]
            holder[list(holder)[place % len(holder)] if holder else "x"] = value
            refused_or_read(yaml.safe_dump(config, allow_unicode=True).encode("utf-8", "replace"), tmp_path)

    check()


def _mappings(value: Any) -> Any:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _mappings(item)
