import sys

import pytest

from multimodal_lab.config import signature, targets
from multimodal_lab.config.extensions import extension_problems
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.schema import node_problems


@pytest.fixture
def fresh():
    """The caches emptied before and after."""

    def clear():
        for cached in (targets.ours, targets.entry_points, targets.extensions, targets.allowed, targets.near_allowed):
            cached.cache_clear()
        for cached in (extension_problems, signature.module_named, signature.signature):
            cached.cache_clear()

    clear()
    yield
    clear()


@pytest.mark.parametrize("place", ["multimodal_lab/conf", "conf"])
def test_conf_is_found_in_a_wheel_and_in_a_checkout(tmp_path, monkeypatch, place):
    (tmp_path / "multimodal_lab").mkdir()
    (tmp_path / place).mkdir()
    (tmp_path / place / "config.yaml").touch()
    monkeypatch.setattr(targets, "__file__", str(tmp_path / "multimodal_lab" / "config" / "targets.py"))
    assert targets.conf_dir() == (tmp_path / place).resolve()


def test_no_conf_is_an_error_that_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "__file__", str(tmp_path / "multimodal_lab" / "config" / "targets.py"))
    with pytest.raises(FileNotFoundError, match="multimodal_lab/conf"):
        targets.conf_dir()


def test_only_names_of_this_project_that_a_file_gives_outside_comments(tmp_path, monkeypatch, fresh):
    (tmp_path / "config.yaml").write_text(
        "a: {_target_: multimodal_lab.a.A, _partial_: true}\n"
        'b:\n  "_target_": "multimodal_lab.b.B"\n'
        "# _target_: multimodal_lab.commented.C\n"
        "d: 1  # _target_: multimodal_lab.commented.D\n"
        "e: {_target_: os.system}\n"
        "f: {_target_: multimodal_lab_other.F}\n"
    )
    monkeypatch.setattr(targets, "conf_dir", lambda: tmp_path)
    assert targets.ours() == {"multimodal_lab.a.A", "multimodal_lab.b.B"}


@pytest.fixture
def install(tmp_path, monkeypatch, fresh):
    """`install(source, points)`: a package lab_extension with these entry points on the path."""

    def installed(source, points):
        info = tmp_path / "lab_extension-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab_extension\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[multimodal_lab.targets]\n{points}\n")
        (tmp_path / "lab_extension.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "lab_extension", raising=False)
        for cached in (targets.entry_points, targets.extensions, targets.allowed, extension_problems):
            cached.cache_clear()

    return installed


PART = "class Part:\n    def __init__(self, *, width: int = 3) -> None:\n        self.width = width\n"


def test_an_installed_package_may_add_a_name(install):
    assert not targets.is_allowed("lab_extension.Part")
    install(PART, "part = lab_extension:Part")
    assert safe_instantiate({"_target_": "lab_extension.Part", "width": 5}).width == 5
    found = list(node_problems({"_target_": "lab_extension.Part", "widht": "x"}, "part"))
    assert [str(p) for p in found] == ["part.widht=x: no such key; lab_extension.Part has width (nearest: part.width)"]
    assert not targets.is_allowed("lab_extension.os")


HERE = "entry point part of multimodal_lab.targets"


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("part = lab_extension:Prat",
         f"{HERE}=lab_extension:Prat: lab_extension defines no Prat; it has Part (nearest: lab_extension:Part)"),
        ("part = lab_extensoin:Part", f"{HERE}=lab_extensoin:Part: there is no module lab_extensoin"),
        ("part = lab_extension.parts:Part", f"{HERE}=lab_extension.parts:Part: there is no module "
         "lab_extension.parts, only lab_extension"),
        ("part = lab_extension:Path", f"{HERE}=lab_extension:Path: lab_extension imports Path; name the file that "
         "defines it (nearest: pathlib:Path)"),
        ("part = lab_extension", f"{HERE}=lab_extension: expected package.module:Class or package.module:function"),
    ],
)  # fmt: skip
def test_an_entry_point_that_names_nothing_is_one_sentence_and_imports_nothing(install, points, said):
    install(f"from pathlib import Path\nraise RuntimeError('imported')\n{PART}", points)
    assert [str(p) for p in node_problems({"_target_": "lab_extension.Part"}, "part")] == [said]
    assert not list(node_problems({"_target_": "multimodal_lab.head.projection.Projection", "_partial_": True}, "head"))


def test_two_parts_of_one_name_are_one_sentence(install, tmp_path):
    install(PART, "part = lab_extension:Part")
    other = tmp_path / "lab_other-1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: lab_other\nVersion: 1\n")
    (other / "entry_points.txt").write_text("[multimodal_lab.targets]\npart = lab_other:Part\n")
    (tmp_path / "lab_other.py").write_text(PART)
    (found,) = map(str, node_problems({"_target_": "lab_extension.Part"}, "part"))
    assert "lab_extension:Part" in found
    assert "lab_other:Part" in found
    assert "a part of this name is there already" in found
