from __future__ import annotations

import pytest
import torch

from multimodal_lab.head.classifier import Classifier

DIMS = {"rgb": 6, "uv": 4, "fused": 8}


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_logits_of_the_label_and_not_probabilities(kind, build, make, batch):
    out = build("classifier", DIMS, kind=kind)(make(DIMS, 3), batch(3))
    assert out.shape == (3, 5)
    assert not torch.allclose(out.exp().sum(1), torch.ones(3), atol=0.05)
    assert build("classifier", DIMS, kind=kind, label="sex")(make(DIMS, 3), batch(3)).shape == (3, 2)


def test_the_layers_stand_in_order(build):
    def order(kind: str) -> list[str]:
        return [type(m).__name__ for m in build("classifier", DIMS, kind=kind).layers]

    assert order("linear") == ["LayerNorm", "Dropout", "Linear"]
    assert order("mlp") == ["LayerNorm", "Linear", "Dropout", "ReLU", "Linear"]
    assert build("classifier", DIMS, kind="mlp").layers[1].out_features == 512
    assert build("classifier", DIMS).layers[1].p == 0.15


@pytest.mark.parametrize(("dims", "name", "want"), [(DIMS, None, "fused"), (DIMS, "uv", "uv"), ({"uv": 4}, None, "uv")])
def test_reads_what_it_says(dims, name, want, build, make, batch):
    head = build("classifier", dims, input=name).eval()
    features, other = make(dims, 3, seed=1), make(dims, 3, seed=2)
    base = head(features, batch(3))
    for name in dims:
        moved = (head({**features, name: other[name]}, batch(3)) - base).abs().max()
        assert moved > 1e-3 if name == want else moved < 1e-6


def test_several_streams_without_fused_are_refused_with_the_ways_out():
    with pytest.raises(
        ValueError, match=r"2 streams \(rgb, uv\) and no fused: choose a fusion that gives it, set input to one stream"
    ):
        Classifier({"rgb": 6, "uv": 4}, {"species": 5}, label="species")


def test_unknown_names_are_refused_with_the_nearest(build):
    with pytest.raises(ValueError, match=r"input='fusd' is not there; expected one of rgb, uv, fused; nearest: fused"):
        build("classifier", DIMS, input="fusd")
    with pytest.raises(
        ValueError, match=r"label='specie' is not there; expected one of species, sex; nearest: species"
    ):
        build("classifier", DIMS, label="specie")
