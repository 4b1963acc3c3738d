"""What the package's parts may know of each other, and limits that keep them small. Read from the source alone."""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import otgen

ROOT = Path(otgen.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
PACKAGES = sorted(path.parent for path in FILES if path.name == "__init__.py")

# From the top down: a package may import those of lower rows, never its neighbours.
LAYERS = [row.split() for row in ("cli", "runs", "papers", "train", "methods", "nets data metrics peers ot", "files")]
# What neighbours may nevertheless know of each other.
EXTRA = {"metrics": {"data", "ot"}, "peers": {"ot"}}
# What anything may import.
COMMON = {"errors", "exports", "own_modules", "renamed", "seeding", "threads", "__version__"}
# Packages under their former names, which nothing in here may import: from the former name to the present one.
FORMER = {"crosscheck": "peers", "recipes": "papers", "claims": "papers"}
# The same inside `ot`, folder by folder and file by file: a row may import those below it.
OT_ROWS = ("__init__", "losses suggest", "solve", "semi_discrete continuous grid unbalanced", "discrete")
OT_ROWS += ("costs regularisers", "core")
# Of what lies below them, grids need the core alone.
OT_ONLY = {"grid": {"core"}}

MOST_LINES = 400
MOST_BODY_LINES = 60
MOST_ARGUMENTS = 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def allowed(package: str) -> set[str]:
    """What a sub-package may import of the others."""
    level = next(k for k, row in enumerate(LAYERS) if package in row)
    return {package, *COMMON, *EXTRA.get(package, ()), *(name for row in LAYERS[level + 1 :] for name in row)}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(root: ast.AST) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(root))


def module(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST, inside: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that is imported, wherever it stands; `inside` is a package's name."""
    for child in nodes(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                base = ".".join([*inside.split(".")[: len(inside.split(".")) - child.level + 1], *filter(None, [base])])
            yield from ((child.lineno, f"{base}.{alias.name}") for alias in child.names)
        elif isinstance(child, ast.Call) and name_of(child.func) in ("importlib.import_module", "__import__"):
            yield from ((child.lineno, str(a.value)) for a in child.args[:1] if isinstance(a, ast.Constant))


def name_of(node: ast.AST) -> str:
    """``a.b.c`` for an attribute of an attribute of a name, with a question mark for what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{name_of(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def wrong_imports(node: ast.AST, package: str | None, inside: str) -> list[tuple[int, str]]:
    if package is None:
        return []
    found = [(line, name, name.split(".")) for line, name in imported(node, inside)]
    return [(line, name) for line, name, (first, *rest) in found if first == "otgen" and {*rest[:1]} - allowed(package)]


def package_name(path: Path) -> str:
    """The dotted name of the package that a file is in."""
    return module(path) if path.name == "__init__.py" else module(path.parent)


@cache
def files_imported(path: Path) -> set[Path]:
    """The files of the package that a file imports, wherever the import stands, for types too."""
    by_name = {module(file): file for file in FILES}
    # `from a.b import c` is of the module a.b.c where there is one, else of a.b.
    names = [name for _, name in imported(tree(path), package_name(path))]
    parts = {name if name in by_name else name.rpartition(".")[0] for name in names}
    return {by_name[part] for part in parts & by_name.keys()}


def ot_part(path: Path) -> str | None:
    """The folder or file of `ot` that a file is (in)."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "ot" else None


@cache
def functions(node: ast.AST) -> list[Function]:
    return [child for child in nodes(node) if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def arguments(function: Function) -> int:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return len([a for k, a in enumerate(named) if k or a.arg not in ("self", "cls")])


# Draws from a global state unless a generator is given; the last ones are methods of tensors.
DRAWS = ("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson")
IN_PLACE = ("normal_", "uniform_", "random_", "exponential_", "bernoulli_", "cauchy_", "geometric_", "log_normal_")
SEEDS = ("manual_seed", "seed", "default_generator", "set_rng_state", "rand_like", "randn_like", "randint_like")
SHARED = {f"torch.{seed}" for seed in SEEDS}
SHARED_MODULES = ("np.random", "numpy.random", "torch.cuda.manual_seed", "torch.random.")


def global_randomness(node: ast.AST) -> list[tuple[int, str]]:
    """Uses of the random state that a whole process shares."""
    found = [(line, name) for line, name in imported(node, "") if re.match(r"random(\.|$)|numpy\.random", name)]
    for child in nodes(node):
        name = name_of(child.func if isinstance(child, ast.Call) else child)
        whole, _, last = name.rpartition(".")
        wrong = isinstance(child, ast.Attribute) and (name in SHARED or name.startswith(SHARED_MODULES))
        if isinstance(child, ast.Call) and "generator" not in [keyword.arg for keyword in child.keywords]:
            wrong = (whole == "torch" and last in DRAWS) or (bool(whole) and last in IN_PLACE and "init." not in name)
        if wrong:
            found.append((child.lineno, name))
    return found


def prints(node: ast.AST) -> list[int]:
    return [c.lineno for c in nodes(node) if isinstance(c, ast.Call) and name_of(c.func) == "print"]


def package_of(path: Path) -> str | None:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else None


def test_the_files_are_found() -> None:
    assert {"otgen.ot.solve", "otgen.cli.main", "otgen.nets"} <= {module(path) for path in FILES}


OT_LEVEL = {name: k for k, row in enumerate(OT_ROWS) for name in row.split()}


def imports_inside_transport_point_downwards(path: Path) -> object:
    part = ot_part(path)
    if part is None:
        return None
    others = {other for file in files_imported(path) if (other := ot_part(file)) not in (None, part)}
    below = {name for name in OT_LEVEL if OT_LEVEL[name] > OT_LEVEL[part]}
    return sorted(others - (below & OT_ONLY.get(part, below)))


def files_of_transport_import_files_and_not_faces(path: Path) -> object:
    # A module of a folder may be imported as `from folder import module`: that is its file.
    faces = [str(file) for file in files_imported(path) if ot_part(file) and file.name == "__init__.py"]
    return faces if ot_part(path) not in (None, "__init__") else None


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def over(most: int, path: Path, count: Callable[[Function], int]) -> list[tuple[str, int]]:
    """The functions of a file of which there is more than this."""
    return [(f.name, count(f)) for f in functions(tree(path)) if count(f) > most]


def no_global_random_state(path: Path) -> object:
    found = global_randomness(tree(path))
    if path in (ROOT / "nets" / "base.py", ROOT / "seeding.py"):
        for keeper in (f for f in functions(tree(path)) if f.name in ("seeded", "python_stream_kept")):
            found = [(line, name) for line, name in found if not keeper.lineno <= line <= (keeper.end_lineno or 0)]
    return found


# A download arrives piece by piece.
WRITERS = (*(ROOT / "files").glob("*.py"), ROOT / "data" / "download.py")
# What is wrong with a file, if anything.
RULES: dict[str, Callable[[Path], object]] = {
    "imports point downwards": lambda path: wrong_imports(tree(path), package_of(path), package_name(path)),
    "imports inside transport point downwards": imports_inside_transport_point_downwards,
    "files of transport import files and not faces": files_of_transport_import_files_and_not_faces,
    "files are short": lambda path: lines(path) > MOST_LINES and lines(path),
    "functions are short": lambda path: over(MOST_BODY_LINES, path, body_lines),
    "functions take few arguments": lambda path: over(MOST_ARGUMENTS, path, arguments),
    "only the command prints": lambda path: package_of(path) != "cli" and prints(tree(path)),
    "files have one writer": lambda path: path not in WRITERS and writes(tree(path)),
    "no global random state": no_global_random_state,
}


@pytest.mark.parametrize("rule", RULES)
def test_every_file_obeys(rule: str) -> None:
    assert {str(path.relative_to(ROOT)): found for path in FILES if (found := RULES[rule](path))} == {}


def test_no_file_imports_itself_by_way_of_others() -> None:
    # Where one does, the error names the circle.
    graphlib.TopologicalSorter({path: files_imported(path) for path in FILES}).prepare()


def test_every_package_has_its_layer() -> None:
    found = {package_of(path) for path in FILES} - {None}
    assert found <= {name for row in LAYERS for name in row}
    assert {"cli", "train", "methods", "nets", "data", "metrics", "ot"} <= found


def test_every_part_of_transport_has_its_layer() -> None:
    assert {ot_part(path) for path in FILES} - {None} == set(OT_LEVEL)


def test_the_root_imports_nothing_of_the_package_but_errors_and_locks() -> None:
    roots = [path for path in FILES if package_of(path) is None]
    assert {path.stem for path in roots} == (COMMON - {"__version__"}) | {"__init__", "__main__", *FORMER}
    for path in roots:
        names = [name for _, name in imported(tree(path), "otgen") if name.startswith("otgen")]
        others = {name for name in names if not name.startswith(("otgen.errors.", "otgen.threads."))}
        above = {"__main__": {"otgen.cli.main.main"}} | {old: {f"otgen.{new}.*"} for old, new in FORMER.items()}
        assert others == above.get(path.stem, set())


def test_the_command_imports_the_rest_by_names_that_exist() -> None:
    from otgen.cli.main import COMMANDS

    assert {target for target, _ in COMMANDS.values()} <= {module(path) for path in FILES}


UPWARDS = (
    ("ot", "from otgen.nets import mlp"),
    ("ot", "def f():\n    import otgen.data.toy"),
    ("ot", "def f():\n    if True:\n        from otgen import metrics"),
    ("data", "from ..ot import solve"),
    ("metrics", "from otgen.nets import mlp"),
    ("peers", "from otgen.metrics import Wasserstein"),
    ("methods", "from otgen.train import Trainer"),
    ("train", "import importlib\nimportlib.import_module('otgen.runs')"),
    ("papers", "from otgen.runs import reproduce"),
    ("papers", "from otgen.cli.main import main"),
)
DOWNWARDS = (
    ("ot", "from otgen.errors import InputError\nimport torch\nfrom otgen.ot import solve"),
    ("ot", "from . import checks\nfrom .costs import base"),
    ("metrics", "def f():\n    from otgen.ot import solve"),
    ("cli", "from otgen import __version__\nfrom otgen.papers import x\nfrom otgen.ot import solve"),
)


@pytest.mark.parametrize(("package", "source"), UPWARDS + DOWNWARDS)
def test_an_import_upwards_is_seen_and_no_other(package: str, source: str) -> None:
    wrong = wrong_imports(ast.parse(source), package, f"otgen.{package}")
    assert len(wrong) == ((package, source) in UPWARDS)


def test_lines_and_arguments_are_counted_right() -> None:
    source = 'def f(self, a, /, b, *c, d=1, **e):\n    """One.\n\n    More.\n    """\n    x = 1\n\n    return x\n'
    (function,) = functions(ast.parse(source))
    assert (body_lines(function), arguments(function)) == (3, 5)
    (bare,) = functions(ast.parse('def g(a):\n    """Only this."""\n'))
    assert (body_lines(bare), arguments(bare)) == (0, 1)


def test_the_command_is_seen_to_print() -> None:
    assert prints(tree(ROOT / "cli" / "main.py"))


def writes(node: ast.AST) -> list[tuple[int, str]]:
    """Where a file is opened for writing, written at once, or renamed into its name."""
    done = []
    for name, call in [(name_of(c.func), c) for c in nodes(node) if isinstance(c, ast.Call)]:
        modes = [a.value for a in call.args if isinstance(a, ast.Constant)] if name.endswith("open") else []
        opened = any(re.fullmatch(r"[wax][bt+]*", str(mode)) for mode in modes)
        if opened or name.endswith((".write_text", ".write_bytes", "os.replace")):
            done.append((call.lineno, name))
    return done


def test_what_writes_a_file_is_seen() -> None:
    assert writes(tree(ROOT / "files" / "writing.py"))
    source = "path.write_text('x')\nos.replace(a, b)\npath.write_bytes(b'')\nopen(path, 'a')\npath.open('wb')"
    assert len(writes(ast.parse(source))) == 5
    assert writes(ast.parse("open(path)\npath.open('rb')\nos.open(path, flags)")) == []


GLOBAL = ("torch.manual_seed(0)", "torch.randn(3)", "def f():\n    return torch.randperm(n)[:3]", "torch.rand_like(x)")
GLOBAL += ("np.random.default_rng(0)", "from numpy.random import default_rng", "import random")
GLOBAL += (
    "from random import shuffle",
    "x.normal_()",
    "torch.cuda.manual_seed_all(1)",
    "torch.empty(3).uniform_(0, 1)",
)


@pytest.mark.parametrize("source", GLOBAL)
def test_global_random_state_is_seen(source: str) -> None:
    assert global_randomness(ast.parse(source))


def test_a_given_generator_is_no_global_state() -> None:
    assert global_randomness(ast.parse("torch.randn(3, generator=rng)\nx.normal_(generator=rng)\nrng.random(3)")) == []


@pytest.mark.parametrize("package", PACKAGES, ids=module)
def test_packages_export_what_they_import(package: Path) -> None:
    imports = [node for node in tree(package / "__init__.py").body if isinstance(node, ast.ImportFrom)]
    others = ("__future__", "otgen.exports", "otgen.renamed")
    names = [alias for node in imports if node.module not in others for alias in node.names]
    assert [alias.name for alias in names if alias.asname != alias.name] == []
    loaded = importlib.import_module(module(package))
    values = {alias.name: getattr(loaded, alias.name) for alias in names}
    own = [name for name, value in values.items() if not isinstance(value, ModuleType)]
    assert sorted(getattr(loaded, "__all__", [])) == sorted(own)


def loaded_by(name: str) -> set[str]:
    """Modules in a fresh interpreter after one import."""
    code = f"import sys, {name}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_transport_needs_nothing_but_torch() -> None:
    loaded = loaded_by("otgen.ot")
    assert {"otgen.ot", "otgen.ot.solve", "torch"} <= loaded
    assert loaded & {"ot", "scipy.optimize", "matplotlib", "mlxtend", "jsonargparse", "rich", "PIL", "pyarrow"} == set()
    parts = {name.split(".")[1] for name in loaded if name.startswith("otgen.")}
    assert parts <= {"ot", "errors", "exports", "renamed", "seeding", "threads"}


def test_the_command_starts_without_torch() -> None:
    loaded = loaded_by("otgen.cli.main")
    assert "otgen.cli.main" in loaded
    assert loaded & {"torch", "numpy", "scipy", "matplotlib", "jsonargparse"} == set()
