import importlib
import inspect
import subprocess
import sys
from functools import reduce

import pytest

from multimodal_lab.config import signature as sig
from multimodal_lab.config.signature import Module, SourceError, call_signature, locate, signature
from multimodal_lab.config.targets import allowed


def resolve(name):
    module, qualname = locate(name)
    return reduce(getattr, qualname.split("."), importlib.import_module(module))


@pytest.mark.parametrize("name", allowed())
def test_equals_what_python_itself_says(name):
    read, real = signature(name), inspect.signature(resolve(name)).parameters
    plain = {k: p for k, p in real.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    assert list(read.parameters) == list(plain)
    assert [p.required for p in read.parameters.values()] == [p.default is p.empty for p in plain.values()]
    if name == "multimodal_lab.sweep_table.Table":  # its base is Hydra's: open, as its arguments can't be known
        return
    assert (read.open_to is not None) == any(p.kind is p.VAR_KEYWORD for p in real.values())


def test_calling_a_built_module_takes_what_its_forward_takes():
    assert list(call_signature("torch.nn.CrossEntropyLoss").parameters) == ["input", "target"]
    assert list(call_signature("multimodal_lab.loss.clip.clip").parameters)[:2] == ["z", "ids"]


@pytest.mark.parametrize(
    "name",
    [
        "multimodal_lab.fusion.attention.Attenton",
        "multimodal_lab.nothing.Here",
        "multimodal_lab.fusion",
        "no_such_pkg.x",
    ],
)
def test_what_is_not_there_is_an_error(name):
    with pytest.raises(SourceError):
        signature(name)


SOURCE = """
from dataclasses import dataclass, field
from enum import Enum

class Base:
    def __init__(self, a: int, *, b: str = "x") -> None: ...

class Child(Base):
    pass

class Foreign(Enum):
    pass

class Open(Base):
    def __init__(self, c: float, /, d=1, *rest, e, **more): ...

@dataclass
class Facts:
    one: int
    two: list[int] = field(default_factory=list)

@dataclass
class More(Facts):
    three: str = ""
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    path = tmp_path / "made_up_package.py"
    path.write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    sig.module_named.cache_clear()
    sig.signature.cache_clear()
    yield
    assert "made_up_package" not in sys.modules


@pytest.mark.parametrize(
    ("name", "required", "optional", "is_open"),
    [
        ("Base", ["a"], ["b"], False),
        ("Child", ["a"], ["b"], False),
        ("Open", ["c", "e"], ["d"], True),
        ("Foreign", [], [], True),
        ("Facts", ["one"], ["two"], False),
        ("More", ["one"], ["two", "three"], False),
    ],
)
def test_classes_of_an_installed_package_are_read_and_not_imported(made_up, name, required, optional, is_open):
    read = signature(f"made_up_package.{name}")
    assert sorted(k for k, p in read.parameters.items() if p.required) == required
    assert [k for k, p in read.parameters.items() if not p.required] == optional
    assert (read.open_to is not None) is is_open


def test_names_defined_under_type_checking_count_as_imports(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.b import C as D\n")
    assert Module("m", path).imports["D"] == ("a.b", "C")


def test_reading_every_signature_imports_neither_torch_nor_numpy():
    code = (
        "import sys\nfrom multimodal_lab.config.targets import allowed\nfrom multimodal_lab.config.signature import signature\n"
        "for name in allowed():\n    signature(name)\n"
        "print([m for m in ('torch', 'numpy', 'timm', 'pandas', 'kornia', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
