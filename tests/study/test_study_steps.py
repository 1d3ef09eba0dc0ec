"""Controls of streams with a time axis: each is its arm without the information, cut and timed alike."""

import pytest
from tiny import TINY

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError

STUDY = """
  - override /data: motions
  - override /backbone: temporal_conv
study:
  arms:
    wrist: [modality=wrist, fusion=separate]
    chest: [modality=chest, fusion=separate]
    early: [modality=wrist_stacked, fusion=separate]
    concat: [modality=wrist_chest, fusion=concat]
  baselines: [wrist, chest]
  controls:
    shuffled: {of: concat, kind: shuffled, set: ['data.shuffle={stream: chest}']}
    twice: {of: concat, kind: duplicate, set: [modality=wrist_wrist]}
    early_shuffled: {of: early, kind: shuffled, set: ['data.shuffle={stream: stacked, bands: [wrist_z]}']}
    early_twice: {of: early, kind: duplicate, set: [modality=wrist_twice]}
  labels: [action]
  seeds: [0]
  splits: [0]
  margin: 0.02
  unequal: []
  tune: null
  mixed: false
label: action
backbone: {widths: [8]}
train: {max_steps: 2}
hydra: {mode: MULTIRUN}
"""
STREAM = "kind: vector, bands: all, field: wrist, steps: null"
MODALITIES = {
    "wrist_wrist": f"wrist: {{{STREAM}}}\nagain: {{{STREAM}}}\n",
    "wrist_stacked": f"stacked: {{{STREAM}}}\n",
    "wrist_twice": "stacked: {kind: vector, bands: [wrist_x], repeat: 3, field: wrist, steps: null}\n",
}


def written(folder, **changed):
    head = TINY[: TINY.index("study:")].rstrip()
    files = {f"modality/{name}": text for name, text in (MODALITIES | changed).items()}
    for name, text in {**files, "study/moving": head + STUDY}.items():
        file = folder / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return f"--config-dir={folder / 'conf'}"


def test_the_controls_of_recordings_are_taken(tmp_path):
    check_command([written(tmp_path), "study=moving"])


def test_a_duplicate_of_another_length_is_no_duplicate(tmp_path):
    other = f"wrist: {{{STREAM}}}\nagain: {{{STREAM.replace('null', '20')}}}\n"
    with pytest.raises(ConfigError, match="in control twice: expected inputs cut alike"):
        check_command([written(tmp_path, wrist_wrist=other), "study=moving"])
