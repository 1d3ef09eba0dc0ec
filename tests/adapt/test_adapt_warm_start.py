"""A training may begin with all weights of a finished run: heads on frozen towers first, then low-rank updates with them."""

import json

import pytest
import torch
from test_adapt_encoders import weights

from multimodal_lab.adapt.trained import TrainedRunError
from multimodal_lab.checkpoint.manifest import CheckpointError
from multimodal_lab.config import schema
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.compose import build_system
from multimodal_lab.experiment.reload import embed_files
from multimodal_lab.runs.hashes import config_key
from multimodal_lab.types import Band, Stream

RUN = ["modality=rgb", "fusion=separate", "loss=simclr", "evaluate=[collapse]", "train.validate_every=0", "head.dim=8",
       "train.max_steps=2"]  # fmt: skip
FROZEN = [*RUN, "adapt=freeze", "train.save=trained"]
LORA = [*RUN, "adapt=lora", "adapt.target_modules=['0.0','1.0']", "adapt.r=2", "train.save=trained"]
VIEWS = "loss.fn.between=views"
AS_IT_BEGINS = "train.max_steps=0"


@pytest.fixture(scope="module")
def runs(composed, tmp_path_factory):
    """{name: folder} of a run with frozen backbones and trained heads, and of one that trained all, an EMA teacher beside it."""
    folder = tmp_path_factory.mktemp("before")
    experiment.run(composed(*FROZEN), folder / "heads")
    experiment.run(composed(*RUN, "loss=moco", VIEWS, "system.teacher_momentum=0.9"), folder / "whole")
    return {name: folder / name for name in ("heads", "whole")}


@pytest.fixture
def go(composed, tmp_path):
    """Run the words from a run; gives the folder."""

    def run(start, *words, folder="went"):
        experiment.run(composed(*words, f"train.warm_start={start}"), tmp_path / folder)
        return tmp_path / folder

    return run


def test_updates_begin_with_the_heads_that_frozen_towers_were_trained_with(runs, go, composed, tmp_path):
    given = weights(runs["heads"])
    assert any(k.startswith("heads.") for k in given)
    begun = weights(go(runs["heads"], *LORA, AS_IT_BEGINS, folder="begun"))
    assert all(torch.equal(begun[k], x) for k, x in given.items() if k.startswith(("heads.", "normalise.")))
    scratch = tmp_path / "scratch"
    experiment.run(composed(*LORA, AS_IT_BEGINS), scratch)
    assert not all(torch.equal(weights(scratch)[k], x) for k, x in given.items() if k.startswith("heads."))

    folder = go(runs["heads"], *LORA)
    after = weights(folder)
    moved = {k.split(".")[0] for k, x in after.items() if not torch.equal(x, begun[k])}
    assert {"heads", "backbones"} <= moved
    notes = json.loads((folder / "data.json").read_text())["notes"]
    assert any(n.startswith(f"warm start: all weights are those of {runs['heads']}") for n in notes)

    cfg, aside = composed(*LORA, f"train.warm_start={runs['heads']}"), runs["heads"].with_name("moved")
    runs["heads"].rename(aside)  # the frozen weights are those of the seed: what was trained is in the run
    try:
        assert "samples embedded" in embed_files(cfg, folder, tmp_path / "embedded")
    finally:
        aside.rename(runs["heads"])


def test_what_was_trained_whole_begins_everything_and_a_teacher_is_a_copy_of_it(runs, go, composed, tmp_path):
    given = weights(runs["whole"])
    assert any(k.startswith("teacher.") for k in given)
    begun = weights(go(runs["whole"], *RUN, AS_IT_BEGINS, "loss=moco", VIEWS, "system.teacher_momentum=0.9", "seed=1"))
    own = {k: x for k, x in given.items() if not k.startswith("teacher.")}
    assert all(torch.equal(begun[k], x) for k, x in own.items())
    taught = {k.split(".", 1)[1]: x for k, x in begun.items() if k.startswith("teacher.")}
    pairs = [(x, own[name]) for k, x in taught.items() for name in own if k == name or k.endswith(f".{name}")]
    assert pairs
    assert all(torch.equal(x, y) for x, y in pairs)

    words = [*LORA, "loss=simclr", "seed=1"]
    folder = go(runs["whole"], *words, folder="updates")
    notes = json.loads((folder / "data.json").read_text())["notes"]
    assert any("but for losses.moco.fn.queue.at, " in n for n in notes)  # the loss here is another
    cfg, aside = composed(*words, f"train.warm_start={runs['whole']}"), runs["whole"].with_name("moved")
    assert "samples embedded" in embed_files(cfg, folder, tmp_path / "embedded")
    runs["whole"].rename(aside)  # the frozen weights came from there, and no checkpoint here holds them
    try:
        with pytest.raises(CheckpointError, match=r"give back the weights, or the runs, that they came from"):
            embed_files(cfg, folder, tmp_path / "again")
    finally:
        aside.rename(runs["whole"])


WRONG = {
    "seed=1": (CheckpointError, r"heads/checkpoints/\S+ holds the trained weights alone .* are not those"),
    "head.dim=4": (TrainedRunError, r"train\.warm_start: heads\.projection\.\S+ is \(4, \d+\) here, and \(8, \d+\) in"),
    "backbone.widths=[8,16,16]": (
        TrainedRunError,
        r"train\.warm_start: backbones\.\S+ is \(.*\) here, and none in .*heads; choose",
    ),
    "data.split.seed=1": (TrainedRunError, r"scaled|saw stream|was trained on \d+ of the \d+ test samples"),
    "data.background=keep": (TrainedRunError, r"data\.background: keep here, but .* was trained with zero"),
    "modality=uv": (TrainedRunError, r"train\.warm_start: .*heads has no stream 'uv'; expected one of rgb"),
}


@pytest.mark.parametrize("word", WRONG)
def test_a_run_of_another_system_or_of_what_is_held_out_is_refused(runs, go, word):
    kind, said = WRONG[word]
    with pytest.raises(kind, match=said):
        go(runs["heads"], *LORA, word)


def test_a_run_with_updates_is_to_be_merged_first(runs, go):
    folder = go(runs["heads"], *LORA, AS_IT_BEGINS)
    with pytest.raises(TrainedRunError, match=r"train\.warm_start: .* low-rank updates .* merge them first"):
        go(folder, *LORA, folder="again")


def test_what_no_data_are_needed_for_is_told_before_they_are_read(runs, composed, tmp_path):
    def said(*words):
        return "\n".join(map(str, schema.check(composed(*RUN, *words))))

    near = said(f"train.warm_start={runs['heads']}x")
    assert "train.warm_start=" in near
    assert "no finished run here (expected summary.json in it)" in near
    assert f"{runs['heads']}" in near
    both = said(f"train.warm_start={runs['heads']}", "adapt=encoders", f"adapt.runs=[{runs['whole']}]")
    assert "adapt=encoders the backbones of others; keep one of the two" in both
    stream = {"rgb": Stream("rgb", "image", bands=tuple(Band(b) for b in "RGB"))}
    with pytest.raises(ConfigError, match=r"train\.warm_start: asks for the data"):
        build_system([*RUN, f"train.warm_start={runs['heads']}"], streams=stream)


def test_what_the_run_holds_is_part_of_a_configs_name(runs):
    keys = {config_key({"train": {"warm_start": str(runs[name])}}) for name in runs}
    assert len(keys) == 2
    held = next(runs["heads"].glob("checkpoints/*/manifest.json"))
    before, text = config_key({"train": {"warm_start": str(runs["heads"])}}), held.read_text()
    held.write_text(text.replace('"model.safetensors": "', '"model.safetensors": "0'))
    try:
        assert config_key({"train": {"warm_start": str(runs["heads"])}}) != before
    finally:
        held.write_text(text)
