"""The pages of the methods name code, options and logged numbers that exist."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import otgen
from otgen import methods
from otgen.data import Gaussian2D, Normal
from otgen.methods import Method, PixelSinkhorn
from otgen.nets import MlpCritic, MlpGenerator
from otgen.train import RunConfig, RunDir, Trainer, TrainerConfig
from otgen.train.hooks import Log

PAGES = Path(__file__).parents[2] / "docs" / "methods"
PACKAGE = Path(otgen.__file__).parent
INDEX = "index"

_NET = MlpCritic(widths=(4,))
_ORACLE = methods.DualOracle(f=_NET, g=_NET, most=2)
# Each method as small as it goes, with everything switched on that logs a number.
TINY: tuple[Method, ...] = (
    methods.SWGAN(batch=8, support=8, report_every=1, oracle=_ORACLE, features=methods.LearntFeatures(every=1)),
    methods.SWGANSinkhorn(batch=8, support=8, report_every=1, oracle=_ORACLE),
    methods.SeqSGDA(batch=8, critic=_NET, features=2, n_critic=1, max_steps=2),
    methods.SimSGDA(batch=8, critic=_NET, features=2, max_steps=2),
    methods.SinkhornAutoDiff(batch=8, critic=_NET, features=2, n_critic=1, max_steps=2),
    methods.OTGAN(batch=8, critic=_NET, features=2, critic_every=1, max_steps=2),
    methods.EOTGAN(batch=8, critic=_NET, features=2, max_steps=2),
    methods.SiNG(batch=8, max_steps=2, cg_steps=1),
    methods.SemiDiscreteGAN(batch=8, atoms=8, most=1, first=1),
    methods.SCO(batch=8, samples=100, max_steps=2),
    methods.WGAN(batch=8, critic=_NET, n_critic=1),
    methods.WGANGP(batch=8, critic=_NET, n_critic=1),
    PixelSinkhorn(batch=8, max_steps=2),
)
PLANE = RunConfig(data=Gaussian2D(mean=(2.0, -1.0), std=(0.5, 1.0)), latent=Normal(dim=2), steps=1)
PLANE = replace(PLANE, generator=MlpGenerator(widths=(4,)), trainer=TrainerConfig(log_every=1))
METHODS = {type(method).__name__: method for method in TINY}

every_method = pytest.mark.parametrize("name", METHODS)

Row = dict[str, str]
Logged = Callable[[str], set[str]]


@cache
def sections() -> dict[str, str]:
    """The text of each method's section, and that of the page on all methods, by name."""
    found = {INDEX: (PAGES / "index.md").read_text(encoding="utf-8")}
    for page in sorted(PAGES.glob("*.md")):
        if page.stem != INDEX:
            _, *parts = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
            found |= {part.split("\n", 1)[0].strip(): part for part in parts}
    return found


def tables(text: str) -> Iterator[Row]:
    """The rows of all tables, by the names of their columns."""
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells or not header:
            header = cells
        elif not set(line) <= set("|- "):
            assert len(cells) == len(header), f"{line}: {len(cells)} cells under {header}"
            yield dict(zip(header, cells, strict=True))


def words(cell: str) -> list[str]:
    """What a cell has in code type."""
    return re.findall(r"`([^`]+)`", cell)


def column(name: str, section: str) -> set[str]:
    """What a column of a section's tables has in code type."""
    return {word for row in tables(sections()[section]) if name in row for word in words(row[name])}


def lineage(method: Method) -> list[str]:
    """The sections that describe a method: its own, and those of the methods that it extends."""
    return [cls.__name__ for cls in type(method).__mro__ if cls.__name__ in sections()]


def subclasses(cls: type) -> Iterator[type]:
    yield cls
    for child in cls.__subclasses__():
        yield from subclasses(child)


def is_option(cls: type, path: str) -> bool:
    """Whether a path of names with dots leads to a field, through any component that may stand there."""
    name, _, rest = path.partition(".")
    if not dataclasses.is_dataclass(cls) or name not in {field.name for field in dataclasses.fields(cls)}:
        return False
    hint = get_type_hints(cls)[name]
    kinds = [kind for kind in (hint, *get_args(hint)) if inspect.isclass(kind)]
    return not rest or any(is_option(child, rest) for kind in kinds for child in subclasses(kind))


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """The keys that a step of a method logs, by the method's name."""

    @cache
    def keys(name: str) -> set[str]:
        config = replace(PLANE, method=METHODS[name])
        run = RunDir.create(tmp_path_factory.mktemp("methods") / name, config)
        Trainer(config, run, hooks=[Log()]).train()
        (record,) = run.read_metrics()
        return set(record)

    return keys


def test_every_exported_method_has_a_section_and_a_tiny_run() -> None:
    classes = [cls for name in methods.__all__ if inspect.isclass(cls := getattr(methods, name))]
    exported = {cls.__name__ for cls in classes if issubclass(cls, Method) and not inspect.isabstract(cls)}
    assert exported == set(METHODS), "TINY in this file has one of each"
    assert exported == set(sections()) - {INDEX}, "docs/methods has a section with the class's name for each"
    page = sections()[INDEX]
    assert [name for name in exported if f"#{name.lower()})" not in page] == [], "the table of docs/methods/index.md"


@every_method
def test_every_option_named_is_a_field_and_every_field_is_named(name: str) -> None:
    cls, named = type(METHODS[name]), column("option", name)
    assert [path for path in named if not is_option(cls, path)] == []
    # Those of its base classes stand in their sections, or on the page on all methods.
    own = {field.name for field in dataclasses.fields(cls)} & set(cls.__annotations__)
    assert own - {path.partition(".")[0] for path in named} == set()


@every_method
def test_every_number_named_is_logged_and_every_number_logged_is_named(name: str, logged: Logged) -> None:
    assert column("logged", name) - logged(name) == set()
    named = set.union(*(column("logged", section) for section in (*lineage(METHODS[name]), INDEX)))
    assert logged(name) - named == set()


@every_method
def test_what_tells_a_failure_exists(name: str, logged: Logged) -> None:
    rows = [row for row in tables(sections()[name]) if "in the log" in row]
    assert rows or len(lineage(METHODS[name])) > 1
    named = {word for row in rows for cell in row.values() for word in words(cell)}
    names = {word for word in named if re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", word)}
    assert [word for word in names if word not in logged(name) and not is_option(type(METHODS[name]), word)] == []


def test_the_page_on_all_methods_names_options_and_numbers_that_exist(logged: Logged) -> None:
    homes = (RunConfig, PixelSinkhorn)
    assert [path for path in column("option", INDEX) if not any(is_option(cls, path) for cls in homes)] == []
    assert column("logged", INDEX) <= logged("PixelSinkhorn") | logged("SeqSGDA")


@pytest.mark.parametrize("section", [*METHODS, INDEX])
def test_the_code_named_exists(section: str) -> None:
    cells = [row["code"] for row in tables(sections()[section]) if "code" in row]
    assert cells
    for cell in cells:
        module: object = None
        for word in words(cell):
            if word.endswith(".py"):
                assert (PACKAGE / word).is_file(), f"{section}: {word}"
                module = importlib.import_module("otgen." + word.removesuffix(".py").replace("/", "."))
            else:
                assert module is not None, f"{section}: {cell} names no file before {word}"
                operator.attrgetter(word)(module)
