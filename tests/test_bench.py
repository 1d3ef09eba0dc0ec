"""The benchmarks of training compare what they say: the loop trains as a run does, and both sides of CLIP train one model."""

import copy
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from multimodal_lab.keyed import Keyed
from multimodal_lab.loss.clip import clip
from multimodal_lab.loss.schedule import LearnedScalar
from multimodal_lab.types import Band, Batch, Stream


@pytest.fixture(scope="module", autouse=True)
def scripts():
    sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "bench"))
    yield
    sys.path.pop(0)


def test_the_loops_benchmark_trains_by_the_loop_as_long_as_it_says(monkeypatch):
    import loop

    steps = []
    forward = loop.Tiny.forward

    def counted(self, batch, progress=0.0):
        steps.append(progress)
        return forward(self, batch, progress)

    monkeypatch.setattr(loop.Tiny, "forward", counted)
    loop.ours(3)
    assert len(steps) == 3


def test_both_sides_of_clips_benchmark_have_one_loss_and_one_gradient(tmp_path, monkeypatch):
    open_clip = pytest.importorskip("open_clip")
    import _clip_data as data
    import _clip_sides as sides

    monkeypatch.setitem(sides.MODEL["text_cfg"], "layers", 1)
    sides.registered(tmp_path)
    theirs = open_clip.create_model(sides.NAME, output_dict=True)
    tower = copy.deepcopy(theirs)
    drawn = [data.draw(data.np.random.default_rng(i)) for i in range(6)]
    images = torch.stack([torch.from_numpy(data.np.array(image)).permute(2, 0, 1) / 255 for image, _ in drawn])
    said = [captions[0] for _, captions in drawn]
    words = open_clip.get_tokenizer(sides.NAME)(said)
    sides.tokenizer(tmp_path / "tokens")
    from transformers import AutoTokenizer

    ours = AutoTokenizer.from_pretrained(tmp_path / "tokens")(said, padding="max_length", return_tensors="pt").input_ids
    found = theirs(images, words)
    open_clip.ClipLoss()(**found).backward()

    streams = {
        "image": Stream("image", "image", tuple(map(Band, "RGB")), 64),
        "text": Stream("text", "text", vocab=49408, length=sides.CONTEXT),
    }
    loss = Keyed(
        partial(clip),
        z="out.projection",
        ids="batch.ids",
        present="present",
        temperature=LearnedScalar(0.07, 0.01, 1.0),
    )
    system = sides.system(streams, loss, tower)
    ids, there = torch.arange(6), torch.ones(6, dtype=torch.bool)
    total = system(Batch({"image": images, "text": ours}, {}, dict.fromkeys(streams, there), ids, ids))["total"]
    total.backward()
    torch.testing.assert_close(total, open_clip.ClipLoss()(**theirs(images, words)))
    for one, other in (
        (tower.token_embedding, theirs.token_embedding),
        (tower.text_projection, theirs.text_projection),
    ):
        got, want = (getattr(x, "weight", x).grad for x in (one, other))
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-6)
    assert all(len(captions) == 5 for _, captions in drawn)


def test_the_table_of_actions_asks_for_runs_that_can_be():
    import actions

    from multimodal_lab.config.check import check_command

    data = ["data=utd_mhad_video", "data.root=/nowhere", "data.size=48", "label=name"]
    for stream, own in actions.CANDIDATES.items():
        for alone, _ in own.values():
            check_command([*actions.ALONE[stream], *alone, *actions.INNER, *data])
    beside = [word for own in actions.CANDIDATES.values() for word in next(iter(own.values()))[1]]
    for arm in actions.FUSIONS.values():
        check_command([*(w for w in arm if w not in ("adapt=encoders", "cache=features")), *beside, *data])
