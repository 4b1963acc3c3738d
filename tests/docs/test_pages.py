"""The pages do what they say: examples run, links lead somewhere, commands parse, lists are complete."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import re
import shlex
import sys
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from cases.images import write_photographs
from otgen.cli.main import COMMANDS, main
from otgen.papers import figure as figures
from otgen.papers import recipe as recipes
from otgen.train import TrainerConfig

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OUTSIDE = [p for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md") if (p := ROOT / name).exists()]
# Not the reports, one folder further down, which the command writes.
OUTSIDE += sorted(ROOT.glob("experiments/*/*.md"))
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts) + OUTSIDE
PACKAGES = ("ot", "data", "nets", "methods", "metrics", "train", "runs", "papers")
# CPU seconds that the examples of a page may take together.
MOST_SECONDS = 10.0

_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```[ \t]*$", re.DOTALL | re.MULTILINE)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block: the word after the fence, the text, the line it starts at, the words before it."""

    kind: str
    text: str
    line: int
    before: str

    @property
    def file(self) -> str | None:
        """The file of the working directory that the block, or the paragraph before it, says it is."""
        found = re.match(r"# (\w+\.(?:py|yaml))\n", self.text)
        if found is None and self.kind in ("python", "yaml"):
            found = re.search(r"`(\w+\.(?:py|yaml))`", self.before.rpartition("\n\n")[2])
        return found[1] if found else None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [(fence[2].strip(), fence[3], text[: fence.start()]) for fence in _FENCE.finditer(text)]
    return [Block(kind, inside, before.count("\n") + 2, before.rstrip()) for kind, inside, before in found]


def prose(page: Path) -> str:
    """The text outside fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory of its own; what examples register or import there is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.setattr(recipes, "_RECIPES", dict(recipes._RECIPES))
    monkeypatch.setattr(figures, "_FIGURES", dict(figures._FIGURES))
    before, dtype = set(sys.modules), torch.get_default_dtype()
    yield tmp_path
    torch.set_default_dtype(dtype)
    for module in set(sys.modules) - before:
        if (getattr(sys.modules[module], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[module]


def write_files(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if block.file is not None:
            (folder / block.file).write_text(block.text, encoding="utf-8")


def write_data(folder: Path) -> None:
    """The data that the commands of pages name."""
    for name in ("photos", "more"):
        write_photographs(folder / name, 3)
    rows = "\n".join(f"{k % 7},{k * k % 11 / 4},{'ab'[k % 2]}" for k in range(60))
    (folder / "table.csv").write_text(f"one,two,kind\n{rows}\n", encoding="utf-8")


WITH_EXAMPLES = [page for page in PAGES if any(block.kind == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name)
def test_examples_run(page: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("example")
    # Where dataclasses and configurations look for the classes that the examples define.
    monkeypatch.setitem(sys.modules, "example", module)
    write_files(page, workplace)
    torch.manual_seed(0)
    started = time.process_time()
    printed = io.StringIO()
    for block in blocks(page):
        if block.kind == "python":
            printed = io.StringIO()
            # Empty lines keep the numbers of the page's lines in a traceback.
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
            with contextlib.redirect_stdout(printed):
                exec(code, module.__dict__)
        elif block.kind == "text" and block.before.endswith("It prints"):
            same_up_to_rounding(printed.getvalue(), block.text)
    assert time.process_time() - started < MOST_SECONDS


def same_up_to_rounding(found: str, said: str) -> None:
    """The same words, and numbers that agree to five per cent: the last digits differ between machines."""
    assert _NUMBER.sub("#", found).split() == _NUMBER.sub("#", said).split()
    numbers = (list(map(float, _NUMBER.findall(text))) for text in (found, said))
    assert next(numbers) == pytest.approx(next(numbers), rel=0.05, abs=1e-3)


def anchors(page: Path) -> set[str]:
    """What a link into a page may name: its labels, and its headings in GitHub's spelling."""
    text = prose(page)
    labels = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return labels | {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    targets += [line for block in blocks(page) if block.kind == "{toctree}" for line in toctree(block.text)]
    for target in targets:
        if re.match(r"(https?|mailto):", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{name(page)} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{name(page)} links to {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_named_exist(page: Path) -> None:
    """Those in code type from the root of the repository on; a word in capitals in them stands for any."""
    folders = "src|tests|docs|experiments|studies|benchmarks|scripts"
    paths = re.findall(rf"`(?:python )?((?:{folders})/[^\s`*]*)[^`]*`", prose(page))
    missing = [path for path in paths if not re.search(r"\b[A-Z]{2,}\b", path) and not (ROOT / path).exists()]
    assert [path for path in missing if not path.startswith("docs/_build")] == []


def toctree(text: str) -> list[str]:
    return [f"{line}.md" for line in text.splitlines() if re.fullmatch(r"[a-z][\w/-]*", line)]


def test_every_page_is_in_the_contents() -> None:
    indices = (DOCS / "index.md", DOCS / "reference" / "index.md")
    trees = [(index.parent, block.text) for index in indices for block in blocks(index) if block.kind == "{toctree}"]
    listed = {folder / target for folder, text in trees for target in toctree(text)}
    assert {page for page in PAGES if page.is_relative_to(DOCS)} <= {DOCS / "index.md"} | listed


def command_lines(page: Path) -> list[str]:
    texts = [block.text for block in blocks(page) if block.kind in ("console", "bash", "sh", "shell")]
    lines = [line.removeprefix("$ ").strip() for text in texts for line in text.replace("\\\n", " ").splitlines()]
    return [re.sub(r"^([A-Z]+=\S+ )*(\S*/)?otgen ", "otgen ", line) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_understood(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(page, workplace)
    write_data(workplace)
    for line in command_lines(page):
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert [w for w in words[1:] if "=" not in w and w not in targets] == [], line
        if words[:1] != ["otgen"] or words[1:2] == ["--help"]:
            continue
        assert words[1] in COMMANDS, line
        if words[1] == "train" and "--help" not in words:
            # Reads every option and file, and stops there.
            words = [w for w in words[1:] if w != "--resume"]
            assert main([*words, "--print_config"]) == 0, f"{name(page)}: {line}\n{capsys.readouterr().err}"
        else:
            assert main([words[1], "--help"]) == 0
            known = capsys.readouterr().out
            for flag in (w.partition("=")[0] for w in words[2:] if w.startswith("--")):
                assert flag.partition(".")[0] in known, f"{name(page)}: {line}: {flag}"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_has_every_export(package: str) -> None:
    text = (DOCS / "reference" / f"{package}.md").read_text(encoding="utf-8")
    # Constants are described where they are defined: only there does Sphinx find their docstrings.
    described = set(re.findall(rf"^\.\. auto\w+:: otgen\.{package}\.(?:\w+\.)?(\w+)$", text, re.MULTILINE))
    assert set(importlib.import_module(f"otgen.{package}").__all__) <= described


def test_the_trainers_options_are_those_of_the_page() -> None:
    rows = re.findall(r"^\| `--trainer\.(\w+)` \| (\S+) \|", (DOCS / "command.md").read_text(), re.MULTILINE)
    fields = {field.name: str(field.default) for field in dataclasses.fields(TrainerConfig)}
    assert {option: default.strip("`") for option, default in rows} == fields


def test_the_page_on_the_command_names_every_command() -> None:
    text = (DOCS / "command.md").read_text(encoding="utf-8")
    assert [command for command in COMMANDS if f"| `otgen {command}" not in text] == []


def test_the_bibliography_is_what_is_cited() -> None:
    entries = (DOCS / "references.bib").read_text(encoding="utf-8").split("\n@")
    page = (DOCS / "bibliography.md").read_text(encoding="utf-8")
    titles = " ".join(page.split()).lower()
    keys = []
    for entry in entries:
        author = re.search(r"author = \{([^,]+),", entry)
        title, year = (re.search(rf"{field} = \{{(.*)\}}", entry) for field in ("title", "year"))
        assert None not in (author, title, year), entry
        assert plain(title[1]).lower() in titles, title[1]
        keys.append((author[1], year[1]))
    assert len(set(keys)) == len(keys)
    listed = [(line.split()[0], line[-4:]) for line in page.splitlines() if re.match(r"^[A-Z]\S+.* \d{4}$", line)]
    assert listed == keys
    sources = [p for p in PAGES if p.name != "bibliography.md"] + sorted((ROOT / "src").rglob("*.py"))
    cited = " ".join(" ".join(p.read_text(encoding="utf-8").split()) for p in sources)
    for surname, year in keys:
        assert re.search(rf"{surname}( et al\.| and \w+|, [^.]{{0,40}}?)?,? \(?{year}", cited), f"{surname} {year}"


def plain(bibtex: str) -> str:
    """A title without BibTeX's braces and accents."""
    return re.sub(r"\\'\{?(\w)\}?", lambda found: {"e": "é"}[found[1]], bibtex).replace("{", "").replace("}", "")


# Every page is read and every reference followed. The quick build leaves out the docstrings, and links to them.
QUIET = "toc.excluded,toc.not_readable,myst.xref_missing"
GUIDES = ("-D", "exclude_patterns=_build,_generated,reference", "-D", f"suppress_warnings={QUIET}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("builder", ["dummy", pytest.param("html", marks=pytest.mark.slow)])
def test_the_documentation_builds_without_a_warning(
    builder: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    build = pytest.importorskip("sphinx.cmd.build", reason="sphinx is not installed: pip install -e '.[docs]'")
    options = ["-q", "-W", "--keep-going", "-b", builder, "-d", str(tmp_path / "tree")]
    options += GUIDES if builder == "dummy" else ()
    assert build.main([*options, str(DOCS), str(tmp_path / builder)]) == 0, capfd.readouterr().err[-4000:]
    assert (tmp_path / builder / "index.html").is_file() == (builder == "html")
