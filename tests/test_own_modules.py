"""Whose classes a configuration may name, and that nothing is imported to find out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cases.errors import input_error
from otgen import own_modules
from otgen.own_modules import ForeignClass, only_from
from otgen.train import RunConfig
from otgen.train.config import plain
from otgen.train.config_files import load

OWN = """
from dataclasses import dataclass
from otgen.ot import Cost

@dataclass(frozen=True, kw_only=True)
class Own(Cost):
    table: str = "a.csv"
    inner: Cost | None = None

    def paired(self, x, y):
        return (x - y).abs().sum(-1)
"""


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A module that can be imported from the path, as an installed one can, and notes it; whether it was."""
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "sentinel_24.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass X: pass\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.delitem(sys.modules, "sentinel_24", raising=False)
    return (tmp_path / "executed").exists


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of the user's."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "own_24.py").write_text(OWN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("own_24", "sentinel_24"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def _file(tmp_path: Path, **changes: Any) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(plain(RunConfig(steps=1)) | changes))
    return file


def _method(**options: Any) -> dict[str, Any]:
    return {"class_path": "otgen.methods.PixelSinkhorn", "init_args": options}


S = "sentinel_24.X"
PLACES: dict[str, dict[str, Any]] = {
    "a class path": {"data": {"class_path": S}},
    "with options": {"data": {"class_path": S, "init_args": {"args": "touch x"}}},
    "a bare name": {"data": S},
    "nested": {"method": _method(cost={"class_path": S, "init_args": {}})},
    "nested, bare": {"method": _method(cost=S)},
    "in a component of a component": {"method": _method(solver={"class_path": "otgen.ot.Multiscale", "inner": S})},
    "where options belong": {"trainer": {"class_path": S}},
    "where options belong, bare": {"trainer": S},
    "options of a component": {"method": _method(generator_optimizer=S)},
    "options of a component, by class path": {"method": _method(generator_optimizer={"class_path": S})},
    "a former spelling": {"method": {"init_args": {"gradient": S}}},
    "where no component is": {"seed": {"class_path": S}},
    "in a list": {"generator": {"class_path": "otgen.nets.MlpGenerator", "init_args": {"widths": [{"class_path": S}]}}},
    "an unknown option": {"method": _method(nonsense=S)},
    "further options": {"method": {"class_path": "otgen.methods.PixelSinkhorn", "dict_kwargs": {"cost": S}}},
    "a dotted key": {"method.cost": S},
    "a dotted key of a class path": {"method.cost.class_path": S},
}


@pytest.mark.parametrize("in_command", [True, False], ids=["command", "library"])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_imported_for_a_file(place: str, in_command: bool, trap: Callable[[], bool], tmp_path: Path) -> None:
    file = _file(tmp_path, **PLACES[place])
    if in_command:
        with only_from(), pytest.raises(ForeignClass, match=r"sentinel_24\.X' is no class of otgen"):
            load(file)
    else:
        with pytest.raises(ForeignClass):
            load(file)
    assert not trap()


FOREIGN = ("os.system", "subprocess.Popen", "builtins.eval", "antigravity.fly", "torch.nn.Linear", "pathlib.Path.touch")
FOREIGN += ("__main__.X", "otgen.cli.main.main", "otgen.data.cifar10_at", "otgen.data.toy.torch.nn.Linear", "otgen.X")
FOREIGN += ("otgen.train.rundir.os.system", "otgen.files.write", "otgen", "..", "os..system")


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_component_of_otgen_is_refused(name: str, tmp_path: Path) -> None:
    before = set(sys.modules)
    with only_from():
        input_error(None, load, _file(tmp_path, data={"class_path": name, "init_args": {}}))
    assert "antigravity" not in sys.modules
    assert {found.partition(".")[0] for found in set(sys.modules) - before} <= {"otgen"}


def test_a_class_path_is_text(tmp_path: Path) -> None:
    for wrong in (["os.system"], {"class_path": "os.system"}, 3, None):
        with only_from():
            input_error(None, load, _file(tmp_path, data={"class_path": wrong}))


def test_a_folder_that_is_named_is_found_last_and_forgotten(own: Path, tmp_path: Path) -> None:
    spec = {"class_path": "own_24.Own", "init_args": {"table": "b.csv", "inner": {"class_path": "otgen.ot.L1"}}}
    file, before = _file(tmp_path, method=_method(cost=spec)), list(sys.path)
    with only_from(own):
        assert sys.path == [*before, str(own)]
        cost: Any = load(file).method.cost  # type: ignore[attr-defined]
        assert (type(cost).__name__, cost.table) == ("Own", "b.csv")
    assert sys.path == before
    with only_from(), pytest.raises(ForeignClass):
        load(file)


def test_a_folder_does_not_open_the_others(own: Path, tmp_path: Path, trap: Callable[[], bool]) -> None:
    for name in (S, "os.system", "subprocess.Popen"):
        with only_from(own), pytest.raises(ForeignClass, match=f"there is no module .* in {own}"):
            load(_file(tmp_path, data={"class_path": name}))
    nested = {"class_path": "own_24.Own", "init_args": {"inner": S}}
    with only_from(own), pytest.raises(ForeignClass):
        load(_file(tmp_path, method=_method(cost=nested)))
    assert not trap()


@pytest.mark.parametrize("name", ["json", "numpy", "zipapp", "math", "sys"])
def test_a_module_with_the_name_of_another_is_told(name: str, own: Path, tmp_path: Path) -> None:
    """It would not be found: the other goes first."""
    (own / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    with only_from(own):
        input_error("has the name of another module", load, _file(tmp_path, data={"class_path": f"{name}.X"}))
    assert not (tmp_path / "executed").exists()


def test_the_folder_beside_is_for_words_alone(own: Path) -> None:
    with only_from(beside=own):
        with pytest.raises(ForeignClass):
            own_modules.check("own_24.Own")
        assert str(own) not in sys.path
        own_modules.check("own_24.Own", in_words=True)
        assert sys.path[-1] == str(own)
        # The run that is trained has the class in its file.
        own_modules.check("own_24.Own")


def test_a_program_names_what_it_has_imported(own: Path, tmp_path: Path) -> None:
    file = _file(tmp_path, method=_method(cost={"class_path": "own_24.Own"}))
    with pytest.raises(ForeignClass, match="import it first"):
        load(file)
    sys.path.append(str(own))
    __import__("own_24")
    assert type(load(file).method.cost).__name__ == "Own"  # type: ignore[attr-defined]
