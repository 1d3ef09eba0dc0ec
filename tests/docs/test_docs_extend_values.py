"""The examples of docs/extend compute what their papers say, held against slow plain Python."""

import importlib.util
import math

import numpy as np
import pytest
import torch
from extend_pages import page

from multimodal_lab.types import Features


@pytest.fixture
def example(tmp_path):
    """A function that imports the first module of a page."""

    def load(name):
        one = page(name)
        place = tmp_path / "module.py"
        place.write_text(one.files[one.modules[0]])
        spec = importlib.util.spec_from_file_location(f"page_{name}", place)
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    return load


def unit(row):
    length = math.sqrt(sum(v * v for v in row))
    return [v / length for v in row]


def distance(a, b):
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))


def spread(rows, t):
    """Wang & Isola's L_uniform, pair by pair."""
    found = [math.exp(-t * distance(a, b)) for i, a in enumerate(rows) for b in rows[:i]]
    return math.log(sum(found) / len(found)) if found else 0.0


@pytest.mark.parametrize("t", [0.5, 2.0, 100.0])
def test_the_loss_is_alignment_and_uniformity(example, t):
    draw = torch.Generator().manual_seed(0)
    z = {name: torch.randn(10, 3, generator=draw, dtype=torch.float64) for name in ("a", "b")}
    here = {
        "a": torch.tensor([1, 1, 0, 1, 1, 1, 0, 1, 1, 1], dtype=torch.bool),
        "b": torch.ones(10, dtype=torch.bool),
    }
    found = example("loss").alignment_uniformity(z, torch.arange(5).repeat(2), here, uniformity=0.7, t=t)
    wanted = []
    for name, x in z.items():
        pairs = [
            (unit(x[i].tolist()), unit(x[i + 5].tolist())) for i in range(5) if here[name][i] and here[name][i + 5]
        ]
        align = sum(distance(p, q) for p, q in pairs) / len(pairs)
        wanted.append(align + 0.7 * (spread([p for p, _ in pairs], t) + spread([q for _, q in pairs], t)) / 2)
    assert found.item() == pytest.approx(sum(wanted) / 2, rel=1e-9)


def test_the_loss_of_one_matched_row_is_its_alignment_alone(example):
    z = {"a": torch.tensor([[3.0, 0.0], [0.0, 2.0]])}
    found = example("loss").alignment_uniformity(z, torch.tensor([0, 0]), {"a": torch.ones(2, dtype=torch.bool)})
    assert found.item() == pytest.approx(2.0)


def test_film_scales_and_shifts_by_what_is_there(example):
    torch.manual_seed(0)
    fusion = example("fusion").FiLM({"a": 2, "b": 3, "c": 2}, width=2, modulated="b").double()
    there = {"a": [1, 1, 0, 0], "b": [1, 1, 0, 1], "c": [1, 0, 1, 0]}
    features = {}
    for name, dim in (("a", 2), ("b", 3), ("c", 2)):
        x = torch.randn(4, dim, dtype=torch.float64)
        features[name] = Features.from_vector(x).keep(torch.tensor(there[name], dtype=torch.bool))
    fused = fusion(features)["fused"]

    def linear(layer, x):
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(w * v for w, v in zip(weights, x, strict=True)) + bias for weights, bias in rows]

    for i in range(4):
        pooled = {name: f.pooled[i].tolist() for name, f in features.items()}
        base = linear(fusion.project, pooled["b"]) if there["b"][i] else [0.0, 0.0]
        said = [linear(fusion.condition[s], pooled[s]) for s in "ac" if there[s][i]]
        wanted = [(1 + sum(s[j] for s in said)) * base[j] + sum(s[j + 2] for s in said) for j in range(2)]
        assert fused.pooled[i].tolist() == pytest.approx(wanted)
    assert fused.present.all()
    with pytest.raises(ValueError, match="modulated=d; expected one of a, b; nearest"):
        example("fusion").FiLM({"a": 2, "b": 3}, modulated="d")


@pytest.mark.parametrize(("dimension", "within"), [(1, 0.05), (2, 0.05), (5, 0.08)])
def test_two_nn_recovers_a_known_dimension(example, dimension, within):
    draw = np.random.default_rng(dimension)
    points = draw.random((3000, dimension))
    turned = np.concatenate([points @ draw.normal(size=(dimension, 12)), np.sin(points[:, :1])], 1)
    assert example("evaluator").dimension(turned) == pytest.approx(dimension, rel=within)


def test_two_nn_is_the_slope_of_the_paper(example):
    x = np.random.default_rng(0).normal(size=(60, 3))
    ratios = []
    for i, p in enumerate(x):
        first, second, *_ = sorted(math.dist(p, q) for j, q in enumerate(x) if j != i)
        ratios.append(second / first)
    line = [(math.log(mu), -math.log(1 - (i + 1) / 60)) for i, mu in enumerate(sorted(ratios)[:54])]
    slope = sum(a * b for a, b in line) / sum(a * a for a, _ in line)
    assert example("evaluator").dimension(x) == pytest.approx(slope)
    grid = np.stack(np.meshgrid(range(5), range(5)), -1).reshape(-1, 2).astype(float)
    assert example("evaluator").dimension(grid) is None


def test_the_head_tells_by_cosine(example):
    torch.manual_seed(0)
    head = example("head").Cosine({"fused": 3}, {"species": 2}, label="species", scale=4.0)
    x = torch.randn(2, 3)
    logits = head({"fused": Features.from_vector(x).keep(torch.tensor([True, False]))}, None)
    vectors = head.vectors.tolist()
    cosines = [sum(p * q for p, q in zip(unit(x[0].tolist()), unit(v), strict=True)) for v in vectors]
    assert logits[0].tolist() == pytest.approx([4 * c for c in cosines], rel=1e-5)
    assert logits[1].tolist() == [0, 0]
