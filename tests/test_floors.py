"""The house rules that an ast can see: floors, no pickle, conf/ as the package's mirror."""

import ast
from pathlib import Path

import pytest
from floors import BELOW_ALL, FLOORS, HYDRA_FROM, floor_of, line

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "multimodal_lab"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{a.name}" for a in node.names}
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of_file(path: Path) -> int:
    """That of its room; what `python -m` runs of a room is a command."""
    return len(FLOORS) - 1 if path.name == "__main__.py" else floor_of(room(path))


def ours(path: Path) -> set[str]:
    """The rooms that a file imports."""
    names = {name for name in imports(path) if name.startswith("multimodal_lab.")}
    return {name.split(".")[1] for name in names - {BELOW_ALL}}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_its_own_floor_and_those_below(path):
    here = room(path)
    floor = floor_of_file(path)
    for other in ours(path) - {here}:
        above = floor_of(other)
        assert above <= floor, f"{path.name} on floor {floor} imports {other} from floor {above}"
        if above == floor:
            assert FLOORS[floor].beside, f"{here} imports its sibling {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_hydra_and_omegaconf_live_on_the_top_floors_only(path):
    if floor_of_file(path) < HYDRA_FROM:
        assert not {n for n in imports(path) if n.split(".")[0] in {"hydra", "omegaconf"}}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_stay_small_and_nothing_unpickles(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 250
    for phrase in ("weights_only=False", "allow_pickle=True", "import pickle", "torch.hub", "joblib.load"):
        assert phrase not in text


def test_the_floor_test_sees_a_wrong_import(tmp_path, monkeypatch):
    bad = tmp_path / "fusion" / "bad.py"
    bad.parent.mkdir()
    bad.write_text("from multimodal_lab.system import System\n")
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    with pytest.raises(AssertionError, match="floor 1 imports system"):
        test_a_file_imports_only_its_own_floor_and_those_below(bad)


def test_contributing_has_the_floors_of_the_table():
    assert line() in (ROOT / "CONTRIBUTING.md").read_text()


def test_few_modules_lie_loose_in_the_package():
    assert len([p for p in PACKAGE.glob("*.py") if p.name != "__init__.py"]) <= 16


def test_conf_is_the_mirror_of_the_package():
    free = {"modality", "hydra"}
    for folder in (p for p in (ROOT / "conf").iterdir() if p.is_dir() and p.name not in free):
        assert (PACKAGE / folder.name).is_dir(), folder
