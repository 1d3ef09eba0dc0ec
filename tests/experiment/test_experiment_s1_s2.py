"""Sentinel-1 and Sentinel-2 by two backbones: what a run tells at its start, its rates, and its embeddings."""

import json

import numpy as np
import pytest

from multimodal_lab.config.resolvers import stored
from multimodal_lab.data.source import DataError
from multimodal_lab.experiment import run as experiment
from multimodal_lab.predict import load

OWN = [
    "data.source.made.patches=60", "data.source.made.size=16", "data.batch_size=8", "log=none", "figures=[]",
    "backbone.model=test_resnet", "backbones.s2_rgb.model=test_vit", "train.max_steps=2", "train.log_every=1", "evaluate=[head]",
]  # fmt: skip
LATE = ["+head@heads.late=late_fusion", "+loss@losses.late=bce", "losses.late.name=late", "losses.late.logits=out.late"]


@pytest.fixture(scope="module")
def ran(composed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("s1_s2")
    experiment.run(composed("experiment=s1_s2/dinov3_resnet101", *OWN, *LATE, small=False), folder)
    return folder


def test_a_value_of_stored_data_and_one_of_made_up_ones():
    assert [stored(root, "cache", "random") for root in (None, "/data")] == ["random", "cache"]


def test_the_backbones_learn_at_a_tenth_of_the_rate(ran):
    rows = [json.loads(line) for line in (ran / "metrics.jsonl").read_text().splitlines()]
    (first, *_) = [row for row in rows if "train/total" in row]
    assert first["lr/backbones"] == pytest.approx(0.1 * first["lr/rest"])


@pytest.fixture(scope="module")
def patches():
    """{band: three patches of it}, in stored units."""
    draw = np.random.default_rng(0)
    optical = draw.integers(100, 3000, (3, 16, 16, 12), dtype=np.uint16)
    names = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
    bands = {name: optical[..., i] for i, name in enumerate(names)}
    bands |= {name: draw.normal(-12, 3, (3, 16, 16)).astype("float32") for name in ("VV", "VH")}
    return bands


def of_streams(bands):
    rgb = {name: bands[name] for name in ("B04", "B03", "B02")}
    rest = {name: x for name, x in bands.items() if name not in rgb}
    return {"s2_rgb": rgb, "s2_rest_s1": rest}


def test_the_embeddings_of_each_backbone_and_of_both_are_given(ran, patches):
    predictor, given = load(ran), of_streams(patches)
    found = predictor(**given, return_embeddings=True)
    width = {name: x.shape[1] for name, x in found.embeddings.vectors.items()}
    assert width["fused"] == width["s2_rgb"] + width["s2_rest_s1"]
    assert found.table().shape[0] == 3
    without = predictor(s2_rgb=given["s2_rgb"], return_embeddings=True)
    assert not without.embeddings.present["s2_rest_s1"].any()


def test_decision_level_fusion_mixes_the_probabilities_of_each_label_also_where_no_label_is_given(ran, patches):
    predictor, given = load(ran), of_streams(patches)
    said = {name: predictor.predict(**{name: x})["late/labels"].probability for name, x in given.items()}
    weights = dict(zip(predictor.system.heads["late"].names, predictor.system.heads["late"].scores.softmax(0).tolist()))
    both = predictor.predict(**given)["late/labels"].probability
    np.testing.assert_allclose(both, sum(weights[name] * own for name, own in said.items()), atol=1e-6)
    assert (abs(said["s2_rgb"] - said["s2_rest_s1"]) > 1e-3).any()


def of_sensors(bands):
    radar = {name: bands[name] for name in ("VH", "VV")}
    return {"s1": radar, "s2": {name: x for name, x in bands.items() if name not in radar}}


def test_sensors_are_shared_among_the_streams_by_their_bands(ran, patches):
    predictor, sensors = load(ran), of_sensors(patches)
    stacked = {
        "s1": np.stack([sensors["s1"]["VV"], sensors["s1"]["VH"]], 1),
        "s2": np.stack([*sensors["s2"].values()], 1),
    }
    want = predictor(**of_streams(patches), return_embeddings=True).embeddings.vectors["fused"]
    for given in (sensors, stacked, {"anything": patches}):
        found = predictor(**given, return_embeddings=True).embeddings
        np.testing.assert_array_equal(found.vectors["fused"], want)
    colours = predictor.embed(optical={name: patches[name] for name in ("B02", "B03", "B04")})
    assert colours.present["s2_rgb"].all()
    assert not colours.present["s2_rest_s1"].any()


def test_what_sensors_lack_have_twice_or_are_not_is_refused_by_name(ran, patches):
    predictor, own = load(ran), of_sensors(patches)
    stack = np.stack([*own["s2"].values()], 1)
    for given, said in [
        ({"s2": own["s2"]}, r"stream s2_rest_s1: band VV is in none of what is given \(s2\)"),
        ({**own, "more": {"B04": patches["B04"]}}, "band B04 is given twice, by s2 and by more"),
        ({**own, "s2_rgb": of_streams(patches)["s2_rgb"]}, "band B04 is given twice, by stream s2_rgb and by s2"),
        ({**own, "s2": stack[:, :11]}, r"s2: an array of shape \(3, 11, 16, 16\), expected its 12 bands \(B01 … B12\)"),
        ({"s3": stack}, r"no stream 's3' in this run; expected one of s2_rgb, s2_rest_s1, s2, s1.*or \{band: array\}"),
        ({"uv": {"U": patches["B04"]}}, r"no stream 'uv' in this run and none of its bands \(U\) is one of a stream"),
        ({"s2": ["a.tif"]}, "s2: list, expected an array of its 12 bands"),
    ]:
        with pytest.raises(DataError, match=said):
            predictor.predict(**given)
    with pytest.raises(DataError, match="no stream 's2' in this run"):
        predictor.retrieve(s2=own["s2"])


def test_what_the_backbones_begin_with_is_told(composed):
    from multimodal_lab.config.plain import as_plain

    plain = as_plain(composed("experiment=s1_s2/dinov3_resnet101", small=False))
    (said,) = experiment.begins(plain)
    assert said == (
        "backbones: s2_rgb vit_base_patch16_dinov3.lvd1689m weights=random, s2_rest_s1 resnet101 weights=random"
    )
    assert not experiment.begins(as_plain(composed()))
