"""Tiny trained runs to be served, made once."""

import json

import pytest
from once import once
from PIL import Image
from served_runs import COLOURS, HOSTILE, QUICK, drawn, served

from multimodal_lab.experiment import run as experiment


@pytest.fixture(scope="session")
def captioned(composed, tmp_path_factory):
    """Pictures with captions, a head that tells their colour, and a caption that would be a script; the data lie beside."""

    def make(where):
        data = where / "data"
        (data / "img").mkdir(parents=True)
        lines = []
        for i in range(40):
            colour = [*COLOURS][i % 4]
            Image.fromarray(drawn(colour, i)).save(data / f"img/{i}.png")
            text = f"a {colour} square number {i}" if i else f"a {colour} {HOSTILE}"
            lines.append(json.dumps({"image": f"img/{i}.png", "caption": text, "colour": colour}))
        (data / "index.jsonl").write_text("\n".join(lines))
        words = ["experiment=clip", "data=pairs", "data.size=16", "backbone.widths=[8,16]", "data.labels=[colour]",
                 "label=colour",
                 "data.source.labels=[colour]", "+head@heads.colour=classifier", "heads.colour.label=colour",
                 "heads.colour.input=image", "+loss@losses.colour=cross_entropy", "losses.colour.logits=out.colour",
                 "losses.colour.target=batch.targets.colour", "augment=none"]  # fmt: skip
        experiment.run(composed(*words, *QUICK, "train.max_steps=6", f"data.root={data}", small=False), where / "run")

    return once(tmp_path_factory, "captioned_served", make)


@pytest.fixture(scope="session")
def specimens(composed, tmp_path_factory):
    """Two image streams with masks and a classifier: no text."""

    def make(where):
        words = ["head=classifier", "loss=cross_entropy", "augment=none", "evaluate=[head]", "fusion=concat"]
        experiment.run(composed(*words, "train.max_steps=2", "train.validate_every=0"), where / "run")

    return once(tmp_path_factory, "specimens_served", make)


@pytest.fixture(scope="session")
def client(captioned):
    with served(captioned / "run") as found:
        assert found.gallery.state == "ready", found.gallery.message
        yield found
