"""A head of every pixel is given a grid and a map, or the config is refused with the choices."""

import pytest

from multimodal_lab.config import schema

BASE = ["experiment=segment"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], None),
        (["fusion=attention", "head.input=fused", "~modality.s1"], None),
        (["fusion=concat", "head.input=fused"], "reads a grid of places, and fusion=concat gives one vector a sample; choose a"),
        (["+backbone@backbones.s1=vector"], "takes vector streams"),
        (["label=labels"], "head=segment tells a map of the modality; it has cover"),
        (["head=classifier", "loss=cross_entropy", "fusion=concat"], "is a map, one value a pixel, which head=classifier"),
        (["cache=features", "backbone.freeze=true", "augment=none"], "cache=features keeps no finer maps of the backbones"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(composed, words, said):
    found = [str(p) for p in schema.check(composed(*BASE, *words, small=False))]
    assert found == [] if said is None else any(said in one for one in found), found
