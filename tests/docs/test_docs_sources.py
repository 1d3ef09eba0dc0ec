"""docs/sources.md: its files of `conf/data` compose, and join or mix the data sets that they name."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image

from multimodal_lab.config.check import check_command
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data.packed import finalize, probe, writer
from multimodal_lab.data.readers.images import Images
from multimodal_lab.experiment.build import modality
from multimodal_lab.study.design.cells import without_hydra

PAGE = (Path(__file__).parents[2] / "docs/sources.md").read_text()
FILES = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
SPLIT = {"train": 1.0, "val": 0.0, "test": 0.0, "min_class_policy": "refuse", "seed": 0} | dict.fromkeys(
    ("by", "stratify", "column")
)
NAMES = [f"s{i}" for i in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of s0 to s9 in seven bands and in three, and reflectance of s2 to s11."""
    made, draw = tmp_path_factory.mktemp("sources"), np.random.default_rng(0)
    for name in ("tiffs", "pictures", "conf/data"):
        (made / name).mkdir(parents=True)
    for name in NAMES[:10]:
        pixels = draw.integers(1, 255, (7, 8, 8), dtype=np.uint8)
        pixels[6] = np.eye(8) > 0  # the mask
        tifffile.imwrite(made / "tiffs" / f"{name}.tif", pixels, photometric="minisblack")
        Image.fromarray(pixels[:3].transpose(1, 2, 0)).save(made / "pictures" / f"{name}.png")
    own = {"filename": [f"{n}.tif" for n in NAMES[:10]], "individual": NAMES[:10]}
    pd.DataFrame(own).to_csv(made / "tiffs" / "labels.csv", index=False)
    places = {"island": "Abaco", "habitat": ["wood", "coast"] * 5, "locale": ["a", "a", "b", "b", "a"] * 2}
    bands = {f"nm{nm}": draw.uniform(1, 40, 10) for nm in range(300, 700, 50)}
    table = pd.DataFrame({"specimen": NAMES[2:], "split": "train", **places, **bands})
    table.to_csv(made / "dewlap_raw_408bands.csv", index=False)
    return made


def prepared(folder, text, *words):
    """The data of a file of `conf/data` and a command line."""
    (folder / "conf" / "data" / "mine.yaml").write_text(text)
    return composed([f"--config-dir={folder / 'conf'}", "data=mine", "fusion=separate", *words])


def composed(words):
    """The data of a command line, checked as a run checks it."""
    jobs = check_command(words)
    cfg, found = jobs.configured(jobs.lines)
    assert not found
    cfg = without_hydra(cfg)
    return safe_instantiate(cfg.data).prepare(modality(cfg), 0)


def test_two_other_data_sets_are_joined(folder):
    joined = next(text for text in FILES if "- joined" in text).replace("/photographs", str(folder / "tiffs"))
    words = [
        "modality=image_spectrum", "+backbone@backbones.spectrum=vector", f"data.root={folder}", "data.size=8",
        "data.source.sources.image.source.labels.table=labels.csv", "data.labels=[habitat]", "data.split.stratify=null",
        "data.split.train=0.5", "data.split.val=0", "data.split.test=0.5",
    ]  # fmt: skip
    data = prepared(folder, joined, *words)
    assert {*data.samples["individual"].dropna(), *data.samples["specimen"].dropna()} == {*NAMES}
    assert data.streams["image"].channels == 6
    assert data.streams["spectrum"].channels == 8
    batch = data.batch(np.arange(12))
    assert (int(batch.present["image"].sum()), int(batch.present["spectrum"].sum())) == (10, 10)


def test_sets_of_other_names_are_mixed(folder):
    mixed = next(text for text in FILES if "source.sources.museum" in text)
    mixed = mixed.replace("/museum", str(folder / "tiffs")).replace("/field", str(folder / "pictures"))
    data = prepared(folder, mixed, "modality=rgb", "+data.size=8")
    assert data.samples["source"].value_counts().to_dict() == {"museum": 10, "field": 10}
    assert [b.name for b in data.streams["rgb"].bands] == ["R", "G", "B"]


def test_a_packed_store_is_one_of_the_joined(folder):
    pictures, store = Images(str(folder / "pictures")), folder / "store"
    plan = writer.begin(pictures, probe.probe(pictures), store, {})
    writer.write(plan, 1, lambda done, total: None)
    choices = {"scaling": {"_target_": "multimodal_lab.data.streams.scaling.DtypeMax"}, "labels": [], "size": 8}
    choices |= {
        "resize": "area",
        "resize_mode": "pad",
        "background": "mean",
        "batch_size": 4,
        "split": SPLIT,
    }
    finalize.finish(plan, "2:mark", choices, {}, "report")
    words = [
        "data=joined",
        "data.source.key={image: stem, spectrum: specimen}",
        f"data.root={folder}",
        "data.labels=[habitat]",
    ]
    words += ["modality=image_spectrum", "+backbone@backbones.spectrum=vector", "fusion=separate", "data.size=8"]
    words += ["data@data.source.sources.spectrum=dewlap_spectra", "data.split.by=null", "data.split.stratify=null"]
    words += [f"data.source.sources.image.root={folder / 'pictures'}"]
    again = [*words[:-1], "data@data.source.sources.image=packed", f"data.source.sources.image.root={store}"]
    (plain, own), (other, theirs) = ((d, d.batch(np.arange(12))) for d in (composed(words), composed(again)))
    assert {*plain.samples["specimen"].dropna()} == {*other.samples["specimen"].dropna()} == {*NAMES[2:]}
    for name in ("image", "spectrum"):
        assert torch.equal(own.inputs[name], theirs.inputs[name])
        assert torch.equal(own.present[name], theirs.present[name])
