"""Late fusion of probes against a slow loop, and what fused knows on subsets against masking by hand."""

import numpy as np
import pytest
import torch
from test_evaluate_evaluators import made
from test_system import batch, system

from multimodal_lab.evaluate.embeddings import embed_batches
from multimodal_lab.evaluate.late_fusion import LateFusionInputs, average_predictions
from multimodal_lab.evaluate.probe import Probe
from multimodal_lab.evaluate.subsets import members


def test_together_is_the_mean_over_the_streams_that_are_there():
    draw = np.random.default_rng(0)
    rows = [np.array([0, 2, 3, 7]), np.array([2, 7, 9])]
    said = [draw.random((len(r), k)) for r, k in zip(rows, (3, 2))]
    got_rows, got = average_predictions(
        [LateFusionInputs("a", "classes", rows[0], said[0]), LateFusionInputs("b", "classes", rows[1], said[1])]
    )
    assert got_rows.tolist() == [0, 2, 3, 7, 9]
    for i, row in enumerate(got_rows):
        voices = [np.pad(s[list(r).index(row)], (0, 3 - s.shape[1])) for r, s in zip(rows, said) if row in r]
        assert np.allclose(got[i], sum(voices) / len(voices))


def without_fused(e):
    e.vectors, e.present = ({k: v for k, v in d.items() if k != "fused"} for d in (e.vectors, e.present))
    return e


def test_late_is_judged_where_nothing_is_fused_and_only_there():
    probe = Probe()
    assert not any("/late/" in key for key in probe(*made()))
    scores = probe(*map(without_fused, made()))
    test = made()[1]
    late = {p.label: p for p in probe.predictions if p.stream == "late"}
    own = {(p.stream, p.label): p for p in probe.predictions}
    assert late.keys() == {"species", "sex", "coin", "traits", "mass"}
    for label in ("species", "sex", "coin"):
        p, (rgb, uv) = late[label], (own[s, label] for s in ("rgb", "uv"))
        assert scores[f"probe/late/{label}/accuracy"] == p.score.mean()
        assert scores[f"probe/late/{label}/n"] == len(p.rows) == len(test) - scores[f"probe/late/{label}/n_missing"]
        chance = {r: [v] for r, v in zip(rgb.rows, rgb.probability)}
        for r, v in zip(uv.rows, uv.probability):
            chance[r].append(v)
        assert np.allclose(p.probability, [np.mean(chance[r]) for r in p.rows])
    assert late["sex"].score.mean() > own["rgb", "sex"].score.mean() + 0.1
    assert scores["probe/late/mass/r2"] == pytest.approx(late["mass"].score.mean())
    assert {"probe/late/traits/average_precision_macro", "probe/late/traits/n_absent"} <= scores.keys()


def test_names_of_subsets_come_back():
    assert members("fused@rgb+uv") == {"rgb", "uv"}
    assert not members("fused")
    assert not members("rgb")


def test_fused_on_a_subset_is_fused_of_a_batch_without_the_rest(composed):
    made_system, one = system(composed, "fusion=concat").eval(), batch(views=1)
    one.present["uv"][2] = False
    names = {int(i): f"s{int(i)}" for i in one.ids}
    streams = list(made_system.streams)
    found = embed_batches(made_system, [("test", one)], names=names, classes={}, subsets=True)
    assert [k for k in found.vectors if members(k)] == [f"fused@{s}" for s in streams]
    for s in streams:
        present = {k: v.clone() if k == s else torch.zeros_like(v) for k, v in one.present.items()}
        with torch.no_grad():
            features = made_system.encode(one.replace(present=present))[0]["fused"]
        assert np.array_equal(found.vectors[f"fused@{s}"], features.pooled.numpy())
        assert np.array_equal(found.present[f"fused@{s}"], one.present[s].numpy())
    plain = embed_batches(made_system, [("test", one)], names=names, classes={})
    assert np.array_equal(plain.vectors["fused"], found.vectors["fused"])
    apart = np.abs(found.vectors[f"fused@{streams[0]}"] - found.vectors["fused"]).max(1)
    assert ((apart > 1e-3) | ~found.present[streams[1]]).all()
