"""A study of images, texts and sounds of one table, of which some samples lack some: derived, run and judged by one command."""

import json

import numpy as np
import pytest
import soundfile
from PIL import Image

RATE, ROWS = 8000, 40
KINDS = ("bell", "drum")


def table(folder):
    """Sounds of two pitches tell the kind, images and words of four, which are drawn at random, do not."""
    draw = np.random.default_rng(0)
    lines = []
    for i in range(ROWS):
        t = np.arange(RATE // 8 + 40 * (i % 3)) / RATE
        noise = draw.normal(0, 0.01, len(t))
        soundfile.write(folder / f"{i}.wav", 0.3 * np.sin(2 * np.pi * (300, 1500)[i % 2] * t) + noise, RATE)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        row = {"image": f"{i}.png", "text": f"number {draw.integers(4)}", "audio": f"{i}.wav"}
        gone = {3: "image", 8: "text", 13: "audio"}.get(i % 20)
        row = {k: v for k, v in row.items() if k != gone}
        lines.append(json.dumps({"id": f"s{i}", "kind": KINDS[i % 2], **row}) + "\n")
    (folder / "pairs.jsonl").write_text("".join(lines))


@pytest.mark.slow  # twenty-one cells
def test_images_texts_and_sounds_are_compared_by_one_command(tmp_path, cli):
    table(tmp_path)
    words = [
        "study=compare", "data=pairs", "modality=audio_image_text", f"data.root={tmp_path}", "data.source.missing=keep",
        "data.size=8", f"modality.audio.rate={RATE}", "modality.text.vocab=20", "study.labels=[kind]", "study.fusions=[concat]",
        "study.seeds=[0]", "study.splits=[0]", "train.max_steps=20", "evaluate=[head]", "log=none", "figures=[]",
        f"hydra.sweep.dir={tmp_path / 'runs'}",
    ]  # fmt: skip
    said = cli(*words, small=False).stdout
    plan = said.partition("audit of")[0]
    assert "audio (vector, 1 band, 1080 steps)" in plan
    assert "audio_conv" in plan
    found = json.loads((tmp_path / "runs/study.json").read_text())["labels"]["kind"]
    streams = ("image", "text", "audio")
    arms = {*streams, "concat", "concat_image_text", "concat_image_audio", "concat_text_audio"}
    assert arms <= found["arms"].keys() | {*found.get("baselines", ())}
    controls = 5 + 3 * 3  # of all three, of every two
    assert len(list((tmp_path / "runs").glob("*/summary.json"))) == 7 + controls
