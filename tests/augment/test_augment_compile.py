"""A device's way of making views, compiled: one graph, the same views, and none compiled anew while a run goes on."""

import shutil
from dataclasses import replace

import pytest
import torch
from test_augment_conf import FILES, batch, load, made, streams

from multimodal_lab.augment import augment, op, warp

QUICK = ("none", "text", "spectra", "resize_and_pad", "phenoscape_docs")  # together nearly every op
pytestmark = pytest.mark.filterwarnings("error:augment. not compiled")
WRITES = pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile writes C++ on a CPU: no g++ here")


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """The CPU plays a device."""
    for place in (augment, op, warp):
        monkeypatch.setattr(place, "holds", lambda x: False)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Counted:
    """A backend that counts the graphs it is given."""

    def __init__(self, name):
        self.backend, self.graphs = torch._dynamo.lookup_backend(name), 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return self.backend(graph, inputs)


def given(path, rows=6, seed=0):
    """A batch with masks and missing modalities, and its augmentation that drops some more."""
    of = streams(load(path))
    b = batch(of, rows)
    torch.manual_seed(seed)
    for i, name in enumerate(b.present):
        b.present[name][i::4] = False
    if any(s.kind == "image" for s in of.values()):
        size = b.inputs["rgb"].shape[-1]
        b = b.replace(
            inputs={k: x + 0.1 * torch.rand_like(x) if x.is_floating_point() else x for k, x in b.inputs.items()},
            mask=(torch.rand(rows, 1, size, size) > 0.2).float(),
        )
    conf = load(path)
    conf.modality_dropout = 0.3 if len(of) > 1 else 0.0
    return made(conf, of), replace(b, ids=b.ids + 100 * seed)


def assert_same(found, expected, near=0.0):
    for name, x in expected.inputs.items():
        torch.testing.assert_close(found.inputs[name], x, atol=near, rtol=0)
        assert torch.equal(found.present[name], expected.present[name])
    assert torch.equal(found.ids, expected.ids)
    assert (found.mask is None) is (expected.mask is None)
    assert found.mask is None or torch.equal(found.mask, expected.mask)


CASES = [
    *(pytest.param(p, "eager", id=p.stem) for p in FILES if p.stem in QUICK),
    *(pytest.param(p, "aot_eager", id=f"{p.stem}-whole", marks=pytest.mark.slow) for p in FILES),
]


@pytest.mark.parametrize(("path", "name"), CASES)
def test_every_preset_is_one_graph_for_all_batches_epochs_and_seeds(path, name):
    augment, _ = given(path)
    turns = [(0, 0), (0, 1), (7, 2), (10**12, 3)]
    asked = [(given(path, seed=i)[1], *turn) for i, turn in enumerate(turns)]
    expected = [augment(*each) for each in asked]
    backend = Counted(name)
    augment.compile(backend=backend, fullgraph=True)
    for each, views in zip(asked, expected, strict=True):
        assert_same(augment(*each), views, near=1e-6)
    assert backend.graphs == 1


def test_batches_of_other_sizes_are_compiled_once_more():
    path = next(p for p in FILES if p.stem == "spectra")
    augment, _ = given(path)
    asked = [given(path, rows)[1] for rows in (6, 5, 4, 6, 3)]
    expected = [augment(b, 0, 0) for b in asked]
    backend = Counted("eager")
    augment.compile(backend=backend, fullgraph=True)
    for b, views in zip(asked, expected, strict=True):
        assert_same(augment(b, 0, 0), views, near=1e-6)
    assert backend.graphs == 2


def test_on_the_cpu_nothing_is_compiled(monkeypatch):
    monkeypatch.undo()
    augment, b = given(FILES[0])
    backend, expected = Counted("eager"), augment(b, 0, 0)
    augment.compile(backend=backend)
    assert_same(augment(b, 0, 0), expected)
    assert backend.graphs == 0


@WRITES
@pytest.mark.slow
@pytest.mark.parametrize("name", ["spectra", "resize"])
def test_what_a_compiler_makes_of_them_gives_the_same_views(name):
    augment, b = given(next(p for p in FILES if p.stem == name))
    expected = augment(b, 3, 1)
    augment.compile(fullgraph=True)
    assert_same(augment(b, 3, 1), expected, near=1e-5)


def test_where_it_cannot_be_compiled_the_same_views_are_made_and_it_is_said():
    def fails(graph, inputs):
        raise RuntimeError("no compiler")

    augment, b = given(next(p for p in FILES if p.stem == "classify"))
    expected = augment(b, 3, 5)
    augment.compile(backend=fails)
    with pytest.warns(UserWarning, match="augment: not compiled, slower"):
        assert_same(augment(b, 3, 5), expected)
    assert_same(augment(b, 3, 5), expected)
