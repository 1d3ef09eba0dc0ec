"""Files of tensors and states that no run has written are one sentence, at once."""

import json
import os

import pytest
import torch

from multimodal_lab.checkpoint import manifest, store
from multimodal_lab.checkpoint.safetensors_reader import read
from multimodal_lab.checkpoint.safetensors_writer import write
from multimodal_lab.evaluate import parquet
from multimodal_lab.files import file_hash


@pytest.mark.parametrize(
    "content",
    [
        (1 << 30).to_bytes(8, "little") + b"{}",  # a header of 1 GB
        b"",
        b"\x00" * 7,
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"\xff\xff\xff\xff",
        (1000).to_bytes(8, "little") + b"[" * 500 + b"]" * 500,
    ],
)
def test_what_is_no_safetensors_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{path}: can't be read as safetensors \(.+\)$"):
        read(path)


def test_a_file_that_was_cut_short_is_one_sentence(tmp_path):
    path = tmp_path / "model.safetensors"
    write(path, {"a": torch.ones(100)})
    assert read(path)["a"].sum() == 100
    os.truncate(path, 200)
    with pytest.raises(ValueError, match="can't be read as safetensors"):
        read(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "model.safetensors"
    os.mkfifo(path)
    for reader in (read, file_hash, parquet.read):
        with pytest.raises(OSError, match="found a pipe or a device"):
            reader(path)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"state": ' + "9" * 5_000 + "}", "{}", "[]", "{"])
def test_a_state_that_can_t_be_read_is_named(tmp_path, text):
    (tmp_path / store.STATE).write_text(text)
    with pytest.raises(store.CheckpointError, match=rf"^{tmp_path / store.STATE}: "):
        store.read_state(tmp_path)
    (tmp_path / store.STATE).write_text(json.dumps({"state": {}}))
    assert store.read_state(tmp_path) == {}


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"checkpoint": ' + "9" * 5_000 + "}", "[]", "", None])
def test_a_manifest_that_can_t_be_read_is_damage(tmp_path, text):
    path = tmp_path / manifest.MANIFEST
    os.mkfifo(path) if text is None else path.write_text(text)
    assert manifest.verify(tmp_path).startswith("manifest.json: ")
