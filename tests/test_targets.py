import pytest

from multimodal_lab import targets
from multimodal_lab.instantiate import safe_instantiate
from multimodal_lab.schema import node_problems


@pytest.fixture
def fresh():
    """The caches emptied before and after."""

    def clear():
        for cached in (targets.ours, targets.extensions, targets.allowed, targets.near_allowed):
            cached.cache_clear()

    clear()
    yield
    clear()


@pytest.mark.parametrize("place", ["multimodal_lab/conf", "conf"])
def test_conf_is_found_in_a_wheel_and_in_a_checkout(tmp_path, monkeypatch, place):
    (tmp_path / "multimodal_lab").mkdir()
    (tmp_path / place).mkdir()
    (tmp_path / place / "config.yaml").touch()
    monkeypatch.setattr(targets, "__file__", str(tmp_path / "multimodal_lab" / "targets.py"))
    assert targets.conf_dir() == (tmp_path / place).resolve()


def test_no_conf_is_an_error_that_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "__file__", str(tmp_path / "multimodal_lab" / "targets.py"))
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


def test_an_installed_package_may_add_a_name(tmp_path, monkeypatch, fresh):
    assert not targets.is_allowed("lab_extension.Part")
    info = tmp_path / "lab_extension-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab_extension\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[multimodal_lab.targets]\npart = lab_extension:Part\n")
    (tmp_path / "lab_extension.py").write_text(
        "class Part:\n    def __init__(self, *, width: int = 3) -> None:\n        self.width = width\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    targets.extensions.cache_clear()
    assert safe_instantiate({"_target_": "lab_extension.Part", "width": 5}).width == 5
    found = list(node_problems({"_target_": "lab_extension.Part", "widht": "x"}, "part"))
    assert [str(p) for p in found] == ["part.widht=x: no such key; lab_extension.Part has width (nearest: part.width)"]
    assert not targets.is_allowed("lab_extension.os")
