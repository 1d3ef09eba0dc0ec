from __future__ import annotations

import pytest
import torch

DIMS = {"rgb": 6, "uv": 4, "fused": 8}


def test_every_name_gets_dim(build, make, batch):
    out = build("projection", DIMS, dim=7)(make(DIMS, 3), batch(3))
    assert {k: tuple(z.shape) for k, z in out.items()} == {"rgb": (3, 7), "uv": (3, 7), "fused": (3, 7)}


def test_own_mlps_are_the_paper_formula(build, make, batch):
    head, features = build("projection", DIMS, hidden=9), make(DIMS, 3)
    mlp = head.own["uv"]
    want = torch.relu(features["uv"].pooled @ mlp.first.weight.T + mlp.first.bias) @ mlp.last.weight.T + mlp.last.bias
    torch.testing.assert_close(head(features, batch(3))["uv"], want)


def test_shared_is_one_mlp_and_adapts_other_widths_only(build, make, batch):
    equal = build("projection", {"rgb": 6, "uv": 6}, shared=True)
    features = make({"rgb": 6}, 3)
    out = equal({"rgb": features["rgb"], "uv": features["rgb"]}, batch(3))
    assert torch.equal(out["rgb"], out["uv"])
    assert not list(equal.adapt)
    assert sorted(build("projection", DIMS, shared=True).adapt) == ["rgb", "uv"]
    own = build("projection", {"rgb": 6, "uv": 6})({"rgb": features["rgb"], "uv": features["rgb"]}, batch(3))
    assert (own["rgb"] - own["uv"]).abs().max() > 1e-2


def test_null_hidden_is_linear(build, make, batch):
    head = build("projection", {"rgb": 6}, hidden=None)
    x = make({"rgb": 6}, 3)["rgb"]
    double = make({"rgb": 6}, 3)["rgb"]
    double.pooled = x.pooled * 2
    bias = head.own["rgb"].last.bias
    one, two = head({"rgb": x}, batch(3))["rgb"], head({"rgb": double}, batch(3))["rgb"]
    torch.testing.assert_close(2 * (one - bias), two - bias)


def test_a_norm_without_a_hidden_layer_is_refused(build):
    with pytest.raises(ValueError, match="norm=batch stands in the hidden layer, and hidden is null"):
        build("projection", DIMS, hidden=None, norm="batch")


def test_what_is_unprojected_passes_as_it_is_and_the_rest_comes_to_its_width(build, make, batch):
    features = make(DIMS, 3)
    for shared in (True, False):
        head = build("projection", DIMS, dim="auto", unprojected=["uv"], shared=shared)
        out = head(features, batch(3))
        assert torch.equal(out["uv"], features["uv"].pooled)
        assert {k: z.shape[1] for k, z in out.items()} == dict.fromkeys(DIMS, 4)
        assert not any(name.startswith(("own.uv", "adapt.uv")) for name, _ in head.named_parameters())
    assert not list(build("projection", {"a": 6, "b": 6}, dim="auto", unprojected=["a", "b"]).parameters())


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"unprojected": ["vu"]}, r"head\.unprojected: no stream 'vu'; .* nearest: uv"),
        ({"unprojected": ["uv"], "dim": 7}, "must have the width of the rest, found uv 4, dim 7"),
        ({"unprojected": ["uv", "rgb"], "dim": "auto"}, "found uv 4, rgb 6"),
        ({"dim": "auto"}, r"head\.dim=auto is the width of what is unprojected, and head\.unprojected is empty"),
    ],
)
def test_widths_that_cannot_meet_are_refused(build, own, words):
    with pytest.raises(ValueError, match=words):
        build("projection", DIMS, **own)


@pytest.mark.parametrize("shared", [True, False])
def test_dropout_is_of_what_comes_in_while_training_and_of_nothing_unprojected(build, make, batch, shared):
    head = build("projection", {"rgb": 6, "uv": 6}, dim=6, hidden=None, dropout=0.5, shared=shared, unprojected=["uv"])
    features, given = make({"rgb": 6, "uv": 6}, 200), batch(200)
    last = (head.shared if shared else head.own["rgb"]).last
    with torch.no_grad():
        last.weight.copy_(torch.eye(6))  # so that what comes in comes out
        last.bias.zero_()
    torch.testing.assert_close(head.eval()(features, given)["rgb"], features["rgb"].pooled)
    out = head.train()(features, given)
    dropped = out["rgb"] == 0
    assert 0.4 < dropped.double().mean() < 0.6
    torch.testing.assert_close(out["rgb"][~dropped], 2 * features["rgb"].pooled[~dropped])
    assert torch.equal(out["uv"], features["uv"].pooled)
