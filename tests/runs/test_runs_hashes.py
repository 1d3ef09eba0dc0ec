"""What names a config: its settings, and the weights on disk that they name."""

import json

from multimodal_lab.runs import hashes

WEIGHTS = {"backbone": {"weights": None}, "seed": 0}


def key_of(weights):
    return hashes.config_key({"backbone": {"weights": weights}, "seed": 0})


def test_other_weights_under_the_same_name_are_another_config(tmp_path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"one")
    before = key_of(str(file))
    assert key_of(str(file)) == before
    file.write_bytes(b"two")
    assert key_of(str(file)) != before
    assert key_of("random") != key_of("cache")


def run_of(folder, **files):
    where = folder / "checkpoints" / "step_00000001"
    where.mkdir(parents=True, exist_ok=True)
    (where / "manifest.json").write_text(json.dumps({"files": {f"{k}.safetensors": v for k, v in files.items()}}))


def test_an_encoder_trained_anew_in_its_directory_is_another_config(tmp_path):
    def key():
        return hashes.config_key({"adapt": {"runs": [str(tmp_path / "rgb"), str(tmp_path / "uv")]}})

    run_of(tmp_path / "rgb", model="a", optimizer="b")
    run_of(tmp_path / "uv", model="c")
    before = key()
    run_of(tmp_path / "rgb", model="a", optimizer="other")
    assert key() == before  # only what is loaded counts
    run_of(tmp_path / "uv", model="d")
    changed = key()
    assert changed != before
    run_of(tmp_path / "rgb", model="a", ema="e")
    assert key() not in (before, changed)
    (tmp_path / "uv" / "checkpoints" / "step_00000001" / "manifest.json").write_text("{")
    key()  # damaged: told by whoever loads it


def test_a_name_that_is_no_file_and_no_list_adds_nothing():
    assert key_of(None) == hashes.config_key({**WEIGHTS})
