"""The text of a configuration: what could cost time, memory or more is refused at once, in a line (Reliability 66)."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from cases.errors import input_error
from otgen.data import Arrays
from otgen.train import RunConfig, yaml_text
from otgen.train.config_files import is_untouched, load, save, text_of

_NINE = ",".join(9 * ["x"])
BOMB = f"a: &a [{_NINE}]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{','.join(9 * ['*' + chr(97 + k)])}]\n" for k in range(9)
)
HOSTILE = {
    "an alias bomb": (BOMB, "anchor"),
    "a cycle": ("a: &a [*a]", "anchor"),
    "a lone alias": ("a: *b", "anchor"),
    "lists in lists": ("[" * 500_000, "nest"),
    "mappings in mappings": ("{a: " * 200_000, "nest"),
    "blocks in blocks": ("".join(" " * k + "a:\n" for k in range(500)), "nest"),
    "lists in lists on a line": ("- " * 300_000, "nest"),
    "keys that are lists": ("? " * 300_000, "key"),
    "many values": ("[" + "1," * 500_000 + "]", "values"),
    "a long value": ("a: " + "x" * 1_000_000, "characters"),
    "a long number": ("a: " + "9" * 9_000, "cannot be read"),
    "a long key": ("k" * 200_000 + ": 1", "characters"),
    "a large file": ("#" * (yaml_text.MOST_BYTES + 1), "at most"),
    "a key twice": ("steps: 1\nsteps: 2", "'steps' a second time"),
    "a key twice, quoted": ("steps: 1\n'steps': 2", "a second time"),
    "a key twice below": ("trainer: {ema: 0.1, ema: 0.2}", "a second time"),
    "a merge": ("<<: {steps: 1}", "merge"),
    "an object": ("steps: !!python/object/apply:os.system ['true']", "tag"),
    "a name": ("steps: !!python/name:os.system", "tag"),
    "bytes": ("steps: !!binary aGk=", "tag"),
    "a tag of one's own": ("%TAG ! tag:x,2000:\n--- !foo {steps: 1}", "tag"),
    "two documents": ("steps: 1\n---\nsteps: 2", "another document"),
    "a NUL": ("steps: 1\0", "character"),
    "an ESC": ("steps: \x1b[31m", "character"),
    "half of a letter": ("a: \ud800", "cannot be read"),
    "a mapping as a key": ("{{a: b}: c}", "key"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_is_refused_at_once(case: str) -> None:
    text, said = HOSTILE[case]
    tracemalloc.start()
    before = time.process_time()
    message = input_error(said, yaml_text.values, text)
    seconds, (_, peak) = time.process_time() - before, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 50e6
    assert len(message) < 300


@pytest.mark.parametrize("case", ["an alias bomb", "lists in lists", "a key twice", "an object", "a NUL"])
def test_a_hostile_file_is_refused_in_a_line(case: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(HOSTILE[case][0])
    assert input_error(None, load, file).startswith(f"{file} is no configuration of a run: ")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "link").symlink_to(fifo)
    for path in (fifo, tmp_path / "link", tmp_path, Path("/dev/zero"), Path("/dev/null"), tmp_path / "none"):
        input_error(f"{path} is no configuration of a run: ", load, path)
    (tmp_path / "latin").write_bytes(b"data: \xff")
    input_error("UTF-8", load, tmp_path / "latin")
    (tmp_path / "large").write_bytes(b"#" * (yaml_text.MOST_BYTES + 1))
    input_error("at most", load, tmp_path / "large")


def test_a_file_inside_a_folder_is_no_link_out_of_it(tmp_path: Path) -> None:
    save(RunConfig(steps=1), tmp_path / "outside.yaml")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").symlink_to(tmp_path / "outside.yaml")
    input_error("symbolic link", load, run / "config.yaml", within=run)
    save(RunConfig(steps=2), run / "config.yaml", within=run)
    assert load(run / "config.yaml", within=run) == RunConfig(steps=2)
    assert load(tmp_path / "outside.yaml") == RunConfig(steps=1)


def test_ordinary_text_is_read() -> None:
    assert yaml_text.values("a: {b: [1, {c: d}], e: ''}\nf: 1e-3\ng: yes") == {
        "a": {"b": [1, {"c": "d"}], "e": ""},
        "f": 1e-3,
        "g": True,
    }
    assert yaml_text.values("") is None


CONFIG = RunConfig(data=Arrays(path="ü.npy"), steps=12)


def test_a_saved_file_knows_that_it_is_whole(tmp_path: Path) -> None:
    save(CONFIG, tmp_path / "config.yaml")
    text = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert text == text_of(CONFIG)
    assert is_untouched(text) is True
    assert text.count("\n# ") == 0
    assert text.startswith("# sha256 of what follows: ")


def test_every_changed_letter_is_noticed() -> None:
    """Of the sum and of what it says too: a flipped digit of a value loads as another run."""
    text = text_of(CONFIG)
    for place, letter in enumerate(text):
        for other in {str((int(letter) + 1) % 10) if letter.isdigit() else "x", "\n", "#"} - {letter}:
            assert is_untouched(text[:place] + other + text[place + 1 :]) is False, place
        assert is_untouched(text[:place] + text[place + 1 :]) is not True
    for place in range(len(text)):
        assert is_untouched(text[:place]) is not True
    assert is_untouched(text + "\n") is False


@pytest.mark.parametrize(
    "text", ["", "steps: 1\n", "# A comment.\nsteps: 1\n", "\n\n", text_of(CONFIG).partition("\n")[2]]
)
def test_a_file_without_a_sum_says_nothing(text: str) -> None:
    assert is_untouched(text) is None
