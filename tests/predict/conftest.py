"""Runs whose data were taken away, and whose directories were moved, after they had been trained."""

import shutil
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from multimodal_lab.data.synthetic.specimens import Specimens
from multimodal_lab.experiment import run as experiment
from multimodal_lab.predict import __main__ as command

QUICK = ["log=none", "figures=[]", "train.max_steps=1", "train.validate_every=0", "data.batch_size=8"]
CLASSIFY = ["head=classifier", "loss=cross_entropy", "augment=none", "evaluate=[head]"]


@pytest.fixture(scope="session")
def made_run(composed):
    """A function that trains on `where/data`; gives the moved run and the files elsewhere."""

    def trained(where, *words):
        own, kept = where / "data", where / "kept"
        experiment.run(composed(*words, *QUICK, f"data.root={own}", small=False), where / "run")
        shutil.copytree(own, kept)
        shutil.rmtree(own)
        (where / "run").rename(where / "moved")
        return where / "moved", kept

    return trained


@pytest.fixture(scope="session")
def tiffs(made_run, tmp_path_factory):
    """Seven-band files of two species."""
    where = tmp_path_factory.mktemp("tiffs")
    source = Specimens(individuals=32, species=2, size=24)
    for i in range(40):
        image, mask = source.array(i)
        (where / "data" / f"kind{i % 2}").mkdir(parents=True, exist_ok=True)
        cube = np.concatenate([image, mask[None] * np.uint16(65535)])
        tifffile.imwrite(
            where / f"data/kind{i % 2}/T{i:03d}.tif", cube, photometric="minisblack", planarconfig="separate"
        )
    labels = [
        "data.source.labels.pattern=null",
        "data.source.labels.folders=[kind]",
        "data.labels=[kind]",
        "label=kind",
    ]
    words = ["data=multispectral_tiff", "data.size=20", "data.resize_mode=stretch", "backbone.widths=[8,16]"]
    return made_run(where, *CLASSIFY, *words, *labels, "fusion=concat")


@pytest.fixture(scope="session")
def captioned(made_run, tmp_path_factory):
    """Images with captions (CLIP)."""
    where = tmp_path_factory.mktemp("captioned")
    (where / "data/img").mkdir(parents=True)
    for i in range(40):
        x = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(x).save(where / f"data/img/{i}.png")
    rows = [f"img/{i}.png,picture of {i}" for i in range(40)]
    (where / "data/captions.csv").write_text("\n".join(["image,caption", *rows]))
    return made_run(where, "experiment=clip", "data=pairs", "data.size=16", "backbone.widths=[8,16]")


@pytest.fixture
def call(monkeypatch, capsys):
    """The command line, in this process: gives what it printed, or the sentence that it ended with."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["predict", *map(str, words)])
        try:
            command.main()
        except SystemExit as end:
            return str(end.code or capsys.readouterr().out)
        return capsys.readouterr().out

    return run
