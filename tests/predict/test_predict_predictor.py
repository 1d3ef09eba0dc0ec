"""A trained run is asked about samples without its data: it says what it said when it was judged."""

import copy
import functools
import json
import math
import operator
import random
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from multimodal_lab import stage
from multimodal_lab.checkpoint.manifest import CheckpointError
from multimodal_lab.data.learnt_form import require_learnt
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.scaling import DatasetStats
from multimodal_lab.data.synthetic.specimens import Specimens
from multimodal_lab.experiment import run as experiment
from multimodal_lab.predict import load
from multimodal_lab.runs.records import LayoutError

CLASSIFY = ["head=classifier", "loss=cross_entropy", "augment=none", "evaluate=[head]", "fusion=concat",
            "train.max_steps=2", "train.validate_every=0"]  # fmt: skip


@pytest.fixture(scope="module")
def run(composed, tmp_path_factory):
    """A classifier of the species of specimens, moved after it was trained."""
    folder = tmp_path_factory.mktemp("run")
    experiment.run(composed(*CLASSIFY, "+head@heads.sex=classifier", "heads.sex.label=sex",
                            "+loss@losses.sex=cross_entropy", "losses.sex.logits=out.sex",
                            "losses.sex.target=batch.targets.sex"), folder)  # fmt: skip
    moved = folder.with_name(f"{folder.name}_moved")
    shutil.move(folder, moved)
    return moved


@pytest.fixture(scope="module")
def specimens():
    """The samples that the run was trained and judged on: ids, 16-bit cubes and masks."""
    source = Specimens(individuals=64, species=4, size=16)
    cubes, masks = zip(*(source.array(i) for i in range(len(source.samples))), strict=True)
    return list(source.samples["id"]), np.stack(cubes), np.stack(masks)


def test_it_says_of_samples_what_the_run_said_of_them(run, specimens):
    ids, cubes, masks = specimens
    predictor = load(run)
    said = predictor.predict(rgb=cubes[:, :3], uv=cubes[:, 3:], mask=masks).table().assign(id=ids).set_index("id")
    own = pq.read_table(run / "predictions.parquet").to_pandas()
    for label in ("species", "sex"):
        rows = own[own.label == label].set_index("id")
        assert len(rows) > 10
        assert list(said.loc[rows.index, label]) == list(rows.predicted)
        truth = [said.loc[i, f"{label}/{c}"] for i, c in rows.truth.items()]
        np.testing.assert_allclose(truth, rows.probability, atol=1e-6)


def test_embeddings_are_those_of_the_run(run, specimens):
    from multimodal_lab.evaluate.embeddings import Embeddings

    ids, cubes, masks = specimens
    found = load(run)(rgb=cubes[:, :3], uv=cubes[:, 3:], mask=masks, return_embeddings=True).embeddings
    own = Embeddings.load(run / "embeddings")
    at = [ids.index(i) for i in own.ids]
    for name in ("rgb", "uv", "fused"):
        np.testing.assert_allclose(found.vectors[name][at], own.vectors[name], atol=1e-5)


def test_bands_may_come_by_name_one_sample_at_a_time_as_tensors_and_with_streams_missing(run, specimens):
    _, cubes, masks = specimens
    predictor = load(run, device="cpu", batch_size=3)
    rgb = {b: cubes[:4, i] for i, b in enumerate("RGB")} | {"NIR": cubes[:4, 0]}
    whole = predictor.embed(rgb=cubes[:4, :3], mask=masks[:4])
    named = predictor.embed(rgb=rgb, mask=masks[:4])
    listed = predictor.embed(
        rgb=[cubes[0, :3], None, {k: v[2] for k, v in rgb.items()}], uv=[*cubes[:3, 3:]], mask=masks[:3]
    )
    assert np.array_equal(whole.vectors["rgb"], named.vectors["rgb"])
    np.testing.assert_allclose(listed.vectors["rgb"][2], whole.vectors["rgb"][2], atol=1e-6)
    assert list(listed.present["rgb"]) == [True, False, True]
    assert not whole.present["uv"].any()
    alone = predictor.predict(rgb=cubes[0, :3], mask=masks[0])
    assert len(alone) == 1
    assert alone["species"].probability.sum() == pytest.approx(1)


BAD = [
    ({"rbg": 1}, r"no stream 'rbg' in this run; expected one of rgb, uv; nearest: rgb"),
    ({}, r"nothing is given; this run reads rgb, uv"),
    ({"rgb": {"R": 0, "B": 0}}, r"stream rgb: no band 'G'; expected one of R, B"),
    ({"rgb": np.zeros((2, 2, 8, 8), np.uint16)}, r"stream rgb: 2 bands, expected 3 \(R, G, B\), bands first"),
    ({"rgb": np.zeros((3, 16), np.uint16)}, r"stream rgb: an array of shape \(3, 16\), expected \(3, 16, 16\), or N"),
    ({"rgb": np.zeros((3, 16, 16), np.uint8)}, r"values of type uint8, expected uint16, as the run was trained on"),
    ({"rgb": np.zeros((3, 16, 16), np.uint16)}, r"trained with the specimen's mask; give mask=…"),
    ({"rgb": np.zeros((2, 3, 16, 16), np.uint16), "uv": np.zeros((3, 16, 16), np.uint16)}, r"as many samples of each"),
    ({"rgb": 3.5}, r"stream rgb: float, expected an array"),
    ({"rgb": [None]}, r"sample 0: every stream is missing"),
    ({"rgb": "nowhere.png"}, r"nowhere\.png: not there"),
]


@pytest.mark.parametrize(("given", "said"), BAD, ids=[said[:30] for _, said in BAD])
def test_what_can_not_be_used_is_one_sentence(run, given, said):
    with pytest.raises(DataError, match=said) as told:
        load(run)(**given)
    assert "\n" not in str(told.value)


def test_another_size_than_the_trained_one_is_a_sentence(run):
    with pytest.raises(DataError, match=r"stream rgb has shape \[3, 8, 8\], .* \[3, 16, 16\]"):
        load(run)(rgb=np.zeros((3, 8, 8), np.uint16), mask=np.ones((8, 8)))


def test_a_directory_without_checkpoints_and_one_without_a_run_are_told(run, tmp_path):
    from multimodal_lab.checkpoint.manifest import CheckpointError

    with pytest.raises(DataError, match=r"no run here \(expected config\.yaml in it\)"):
        load(tmp_path)
    shutil.copytree(run, tmp_path / "bare", ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(CheckpointError, match="no checkpoint here; was the run trained to its end"):
        load(tmp_path / "bare")


def test_a_record_that_is_not_whole_is_one_sentence(run, tmp_path):
    shutil.copytree(run, tmp_path / "broken", ignore=shutil.ignore_patterns("embeddings", "figures"))
    record = json.loads((run / "data.json").read_text())
    for spoil in (
        {"labels": None},
        {"streams": {"rgb": {}}},
        {"streams": {**record["streams"], "x": record["streams"]["uv"]}},
    ):
        (tmp_path / "broken/data.json").write_text(json.dumps({**record, **spoil}))
        with pytest.raises(LayoutError, match=r"are not whole, or not of one run|not as a run writes it"):
            load(tmp_path / "broken")


def places(x, path=()):
    """The path of every part of nested values; of a list the first item alone."""
    inside = x.items() if isinstance(x, dict) else enumerate(x[:1]) if isinstance(x, list) else ()
    yield path
    for key, value in inside:
        yield from places(value, (*path, key))


@pytest.mark.parametrize("file", ["data.json", "config.yaml"])
def test_whatever_stands_in_a_record_or_a_config_is_a_sentence_or_of_no_matter(run, tmp_path, file):
    """Any part of either replaced by nothing, a list, a text, a number beyond all bounds and NaN; a sample of 45, by a seed."""
    here = shutil.copytree(run, tmp_path / "run")
    text = (run / file).read_text()
    whole = yaml.safe_load(text) if file == "config.yaml" else json.loads(text)
    odd = [None, [1], "odd", 10**30, math.nan]
    cases = [(path, value) for path in places(whole) for value in odd if path]
    refused, escaped = 0, []
    for path, value in random.Random(0).sample(cases, 45):
        made = copy.deepcopy(whole)
        at = functools.reduce(operator.getitem, path[:-1], made)
        at[path[-1]] = value
        (here / file).write_text(json.dumps(made) if file == "data.json" else yaml.safe_dump(made))
        try:
            load(here, "cpu")
        except Exception as error:
            refused += 1
            escaped += [] if stage.deliberate(error) else [(path, value, error)]
    assert not escaped
    assert refused > 10


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"std": [1.0]}, "streams.rgb.std is [1.0], expected 3 numbers, one a band"),
        ({"mean": [0.0, None, 0.0]}, "streams.rgb.mean is [0.0, None, 0.0], expected 3 numbers"),
        ({"fill": [0.0, math.nan, 0.0]}, "streams.rgb.fill is"),
        ({"scaling": {"mean": [1, 2, 3, 4], "std": [None] * 4}}, "streams.rgb.scaling.std is [None, None,"),
        ({"scaling": {"mean": [1, 2, 3, 4]}}, "streams.rgb.scaling.std is None, expected 4 numbers"),
        ({"pca": {"mean": [0.0] * 4, "components": [[1.0] * 4] * 2}}, "streams.rgb.pca.components is [0.0, 0.0], expected 3"),
        ({"pca": {"mean": [0.0] * 4, "components": [[1.0] * 4, [1e39] * 4, []]}}, "streams.rgb.pca.components.1 is [1e+39"),
    ],
)  # fmt: skip
def test_what_a_stream_learnt_are_as_many_numbers_as_it_has_bands(changed, said):
    facts = {
        "stored": [["a"]] * 4,
        "bands": [["a"]] * 3,
        "scaling": {"mean": [1.0] * 4, "std": [1.0] * 4},
        "mean": [0.0] * 3,
    }
    require_learnt("rgb", facts, DatasetStats())
    with pytest.raises(DataError, match=re.escape(said)):
        require_learnt("rgb", facts | changed, DatasetStats())


def test_weights_of_another_system_are_one_sentence(run, tmp_path):
    here = shutil.copytree(run, tmp_path / "run")
    whole = yaml.safe_load((here / "config.yaml").read_text())
    for widths, said in (([4, 16], "has backbones.*of shape "), ([8, 16, 16], "lacks backbones.* and .* more")):
        for node in (
            n for path in places(whole) if isinstance(n := functools.reduce(operator.getitem, path, whole), dict)
        ):
            if "widths" in node:
                node["widths"] = widths
        (here / "config.yaml").write_text(yaml.safe_dump(whole))
        with pytest.raises(
            CheckpointError, match=rf"step_00000002: the checkpoint {said}.*say another system than it trained"
        ):
            load(here, "cpu")


def test_a_run_without_a_head_that_tells_a_label_embeds_and_says_so(composed, tmp_path, specimens):
    words = ["fusion=separate", "loss=simclr", "evaluate=[collapse]", "train.max_steps=1", "train.validate_every=0"]
    experiment.run(composed(*words), tmp_path)
    _, cubes, masks = specimens
    predictor = load(tmp_path)
    with pytest.raises(DataError, match=r"no head of this run tells a label \(it has projection\)"):
        predictor.predict(rgb=cubes[:2, :3], mask=masks[:2])
    found = predictor(rgb=cubes[:2, :3], mask=masks[:2], return_embeddings=True)
    assert found.answers == {}
    assert found.embeddings.projected["rgb"].shape[0] == 2


def test_a_trained_run_needs_no_file_of_pretrained_weights(composed):
    """A checkpoint has all of a backbone, so that one whose file is gone is built with random weights, and then loaded."""
    from multimodal_lab.config.instantiate import safe_instantiate
    from multimodal_lab.experiment.build import build_system

    words = ["backbone=resnet18", "backbone.weights=/gone/resnet18.safetensors", "fusion=separate"]
    cfg = composed(*words, "data.source.individuals=16", "data.source.size=32",
                   "data.source.species=2", "data.split.stratify=null", small=False)  # fmt: skip
    data = safe_instantiate(cfg.data).prepare(safe_instantiate(cfg.modality), 0)
    assert build_system(cfg, data, trained=True).backbones.each["rgb"].dim == 512
    with pytest.raises(FileNotFoundError, match="/gone/resnet18"):
        build_system(cfg, data)


def test_recordings_have_a_time_axis_of_any_length(composed, tmp_path):
    words = ["experiment=sensor", "data.source.subjects=4", "train.max_steps=1", "train.validate_every=0", "log=none"]
    experiment.run(composed(*words, "figures=[]", "evaluate=[head]", small=False), tmp_path)
    from multimodal_lab.config import compose
    from multimodal_lab.config.instantiate import safe_instantiate

    source = safe_instantiate(compose.composed(words).data.source)
    predictor = load(tmp_path)
    raws = [source.read(i, list(predictor.streams.values())).inputs for i in range(len(source.samples))]
    said = predictor.predict(**{name: [raw[name] for raw in raws] for name in predictor.streams})
    table = said.table().assign(id=source.samples.id).set_index("id")
    own = pq.read_table(tmp_path / "predictions.parquet").to_pandas()
    assert len({raw["wrist"].shape[1] for raw in raws}) > 1
    assert list(table.loc[own.id, own.label[0]]) == list(own.predicted)
    alone = {b.name: raws[0]["wrist"][i] for i, b in enumerate(predictor.streams["wrist"].bands)}
    assert len(predictor.predict(wrist=alone)) == 1
    with pytest.raises(DataError, match=r"stream wrist has 9999 steps, expected at most"):
        predictor(wrist=np.zeros((len(alone), 9999), np.float32))
