"""A read that fails says nothing of what is stored: it is tried again, then told; nothing is set aside."""

import errno
import os

import pytest
from test_checkpoint import FILES, made, saved

from multimodal_lab.checkpoint.manifest import CheckpointError, verify
from multimodal_lab.checkpoint.store import CheckpointStore, load, weights


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_one_failed_read_costs_no_checkpoint(tmp_path, failing, name, code):
    store = CheckpointStore(tmp_path, 3)
    _, final = saved(store, 1, 2)
    left = failing(name, 1, code)
    assert store.newest() == final
    assert left == [0]
    assert sorted(os.listdir(tmp_path)) == ["step_00000001", "step_00000002"]


@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_a_disk_that_stays_away_is_told_by_its_file_and_no_older_checkpoint_is_taken(tmp_path, failing, name, code):
    store = CheckpointStore(tmp_path, 3)
    _, final = saved(store, 1, 2)
    failing(name, 99, code)
    for read in (store.newest, lambda: weights(final)):
        with pytest.raises(CheckpointError, match=rf"step_00000002/{name}: can't be read \(.*\); that is no damage"):
            read()
    assert sorted(os.listdir(tmp_path)) == ["step_00000001", "step_00000002"]


def test_loading_is_tried_again_too(tmp_path, failing):
    parts, other = made(3), made(seed=1)
    final = CheckpointStore(tmp_path, 2).save(parts)
    failing("state.json", 2)
    load(final, other)
    assert other["state"] == parts["state"]


def test_a_file_that_is_not_there_or_is_a_folder_is_damage(tmp_path):
    final = CheckpointStore(tmp_path, 2).save(made(1))
    (final / "model.safetensors").unlink()
    (final / "model.safetensors").mkdir()
    assert "model.safetensors" in verify(final) or "Is a directory" in verify(final)
