"""Tiny trained runs to be served, made once."""

import json
import sys
from pathlib import Path

import pytest
from once import once
from PIL import Image
from served_runs import COLOURS, HOSTILE, QUICK, drawn, served

from multimodal_lab.experiment import run as experiment

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import made_sounds
import made_videos


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
def recorded(composed, tmp_path_factory):
    """Videos, sounds and captions, and a head that tells what is heard; the data lie beside."""

    def make(where):
        data = where / "data"
        data.mkdir()
        lines = []
        for i in range(16):
            made_videos.write(data / f"{i}.mp4", 6, colour=list(COLOURS.values())[i % 4])
            made_sounds.sound(data / f"{i}.wav", i, 800)
            facts = {"id": f"r{i}", "clip": f"{i}.mp4", "audio": f"{i}.wav", "caption": f"noise {i}"}
            lines.append(json.dumps({**facts, "sort": "ab"[i % 2]}))
        (data / "index.jsonl").write_text("\n".join(lines))
        words = ["experiment=audio_text", "modality.audio.rate=8000", "modality.text.tokens=word", "data.source.frames.count=3",
                 "backbone=temporal_conv", "backbone.widths=[8,8]", "~backbone.mel", "backbones.text.width=16",
                 "backbones.text.layers=1",
                 "+modality.clip={kind: image, bands: [R, G, B], field: clip, steps: 3}", "+backbone@backbones.clip=frames",
                 "backbones.clip.image.widths=[8]", "data.size=16", "data.labels=[sort]", "label=sort",
                 "+head@heads.sort=classifier",
                 "heads.sort.label=sort", "heads.sort.input=audio", "+loss@losses.sort=cross_entropy", "augment=none",
                 "losses.sort.logits=out.sort", "losses.sort.target=batch.targets.sort"]  # fmt: skip
        experiment.run(composed(*words, *QUICK, "train.max_steps=2", f"data.root={data}", small=False), where / "run")

    return once(tmp_path_factory, "recorded_served", make)


@pytest.fixture(scope="session")
def client(captioned):
    with served(captioned / "run") as found:
        assert found.gallery.state == "ready", found.gallery.message
        yield found
