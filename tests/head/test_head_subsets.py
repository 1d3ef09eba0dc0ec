"""CoMM's projections: what is said of a stream alone is the fusion's own answer, and knows nothing of the others."""

import pytest
import torch
from contract.head import fusion

from multimodal_lab.config import schema
from multimodal_lab.fusion.modality_tokens import ModalityTokens
from multimodal_lab.head.subsets import Subsets
from multimodal_lab.types import alone

STREAMS = {"a": 8, "b": 12, "c": 8, "d": 5}


def test_a_stream_alone_is_fused_as_if_the_others_were_missing(make, batch):
    torch.manual_seed(0)
    fuse = fusion()
    head = Subsets(fuse.dims, fuse, norm="none")
    given = make(STREAMS)
    other = {**given, "b": make(STREAMS, seed=1)["b"]}
    first, second = (head(fuse(features), batch(4)) for features in (given, other))
    assert list(first) == [*STREAMS, "fused"]
    same = {name for name, x in first.items() if torch.equal(x, second[name])}
    assert same == {"a", "c", "d"}
    only = fuse(alone(given, "a"))["fused"]
    torch.testing.assert_close(first["a"], head.mlp(only.pooled, only.present))
    assert not fuse(alone(given, "a"))["b"].present.any()


def test_a_fusion_that_gives_no_fused_or_changes_the_streams_is_refused(composed):
    for dims, fuse in ((STREAMS, fusion()), ({**STREAMS, "fused": 8}, ModalityTokens(STREAMS, width=8, heads=2))):
        with pytest.raises(ValueError, match=r"head=subsets: fusion=\w+ gives no fused vector of streams that stay"):
            Subsets(dims, fuse)
    for name, why in (("separate", "which gives none"), ("modality_tokens", "which changes the streams")):
        found = schema.check(composed(f"fusion={name}", "head=subsets", "loss=comm"))
        assert f"head=subsets fuses each stream alone by fusion={name}, {why}" in [p.expected for p in found]
