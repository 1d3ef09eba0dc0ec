"""Sounds, images, videos and texts in one table, or in folders joined by name, where some lack some: experiments of pairs run."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.joined import Joined
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.experiment import run
from multimodal_lab.types import Band, Stream

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import made_videos

ROWS, RATE = 24, 8000
WORDS = ("low red", "low blue", "high red", "high blue")
TUXPAINT = {
    "file": "image",
    "text_en": "text",
    "text_fr": "text",
    "text_es": "text",
    "speech_fr": "audio",
    "sound": "audio",
}
SMALL = {
    "text": ["backbones.text.width=16", "backbones.text.layers=1", "backbones.text.heads=2", "modality.text.vocab=40"],
    "audio": [f"modality.audio.rate={RATE}", "{}.widths=[8,16]", "{}.mel.n_mels=16", "{}.mel.n_fft=256"],
    "image": ["data.size=8", "backbone.widths=[8,16]"],
}
QUICK = [
    "data.batch_size=8",
    "data.split.column=split",
    "log=none",
    "figures=[]",
    "train.max_steps=2",
    "train.log_every=1",
]


def tone(i):
    """A quarter of a second or less of one of two pitches."""
    t = np.arange(RATE // 4 - 50 * (i % 5)) / RATE
    return 0.3 * np.sin(2 * np.pi * (300 if i % 4 < 2 else 1200) * t)


def colour(i):
    return np.full((8, 8, 3), (200, 60, 30) if i % 2 == 0 else (20, 40, 210), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """pairs.jsonl with image, audio and text, of which the row of every third sample lacks one; and a folder a modality."""
    made = tmp_path_factory.mktemp("pairs")
    for name in ("pictures", "sounds/deep", "words", "films"):
        (made / name).mkdir(parents=True)
    lines = []
    for i in range(ROWS):
        split = "train" if i < 16 else "test"
        gone = {1: "image", 4: "audio", 7: "text"}.get(i % 9) if split == "train" else None
        row = {"id": f"s{i}", "image": f"pictures/s{i}.png", "audio": f"sounds/deep/s{i}.wav", "text": WORDS[i % 4]}
        if gone != "image":
            Image.fromarray(colour(i)).save(made / row["image"])
        if gone != "audio":
            soundfile.write(made / row["audio"], tone(i), RATE)
        if i % 2 == 0:
            row["video"] = f"films/s{i}.mp4"
            made_videos.write(
                made / row["video"], count=4 + i % 3, fps=5, size=(16, 16), colour=colour(i)[0, 0].tolist()
            )
        if gone != "text":
            (made / f"words/s{i}.txt").write_text(row["text"])
        row = {k: v for k, v in row.items() if k != gone}
        row |= {new: row[k] for new, k in TUXPAINT.items() if k in row and not (new == "sound" and i % 2)}
        lines.append(json.dumps(row | {"split": split, "category": WORDS[i % 4][:3]}) + "\n")
    (made / "pairs.jsonl").write_text("".join(lines))
    return made


def words(name, folder):
    if name == "any_to_any":
        own = ["data.source.file=pairs.jsonl", "data.source.audio=[speech_fr,sound]", "data.size=8"]
        own += [f"modality.{sound}.{k}" for sound in ("speech", "sound") for k in (f"rate={RATE}", "steps=1800")]
        return [f"experiment={name}", f"data.root={folder}", *own, *QUICK]
    if name == "video_text":
        own = [*SMALL["text"], "data.size=16", "backbone.image.widths=[8,16]", "data.source.frames.count=3"]
        return [f"experiment={name}", f"data.root={folder}", "data.source.missing=keep", *own, *QUICK]
    text = {"audio_text": ["text", "audio"], "image_audio": ["image", "audio"]}.get(name, [*SMALL])
    own = [
        w.format("backbone" if name == "audio_text" else "backbones.audio") for stream in text for w in SMALL[stream]
    ]
    return [f"experiment={name}", f"data.root={folder}", "data.source.missing=keep", *own, *QUICK]


@pytest.mark.parametrize("name", ["audio_text", "image_audio", "video_text", "audio_image_text", "any_to_any"])
def test_every_pair_of_modalities_is_searched_both_ways(composed, tmp_path, folder, name):
    run.run(composed(*words(name, folder), small=False), tmp_path)
    found = json.loads((tmp_path / "summary.json").read_text())
    streams = [s for s in ("audio", "image", "video", "text") if s in name.split("_")] or [
        "image",
        "en",
        "fr",
        "speech",
        "sound",
    ]
    pairs = {f"{a}->{b}" for a in streams for b in streams if a != b}
    assert {k.split("/")[1] for k in found if k.startswith("retrieval/")} == pairs
    for pair in pairs:
        assert found[f"retrieval/{pair}/n"] == (ROWS - 16) // (2 if "sound" in pair or "video" in pair else 1)
        assert 0 < found[f"retrieval/{pair}/map"] <= 1


def test_folders_of_images_sounds_and_texts_are_joined_by_stem(folder):
    sources = {
        "image": Images(str(folder / "pictures")),
        "audio": Pairs(str(folder), folders={"audio": "sounds"}),
        "text": Pairs(str(folder), folders={"text": "words"}),
    }
    joined = Joined(sources, root=str(folder), key="stem")
    assert set(joined.samples.id) == {f"s{i}" for i in range(ROWS)}
    asked = [
        Stream("image", bands=tuple(map(Band, "RGB"))),
        Stream("audio", "vector", (Band("mono"),), rate=RATE, field="audio.audio"),
        Stream("text", "text", field="text.text"),
    ]
    for index, name in enumerate(joined.samples.id):
        i = int(name[1:])
        gone = {1: "image", 4: "audio", 7: "text"}.get(i % 9) if i < 16 else None
        raw = joined.read(index, asked).inputs
        assert {k for k, x in raw.items() if x is None} == ({gone} if gone else set())
        if gone != "image":
            assert np.array_equal(raw["image"], colour(i).transpose(2, 0, 1))
        if gone != "audio":
            np.testing.assert_allclose(raw["audio"][0], tone(i), atol=1e-4)
        if gone != "text":
            assert raw["text"] == WORDS[i % 4]
    assert len(Joined(sources, root=str(folder), key="stem", missing="drop").samples) == ROWS - 5
    with pytest.raises(DataError, match="missing=refuse: 19 of 24 ids stand in all of image, audio, text"):
        Joined(sources, root=str(folder), key="stem", missing="refuse")
