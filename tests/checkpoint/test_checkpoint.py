import json
import os
import resource
import shutil
import signal
from pathlib import Path

import forked
import pytest
import torch
from torch import nn

from multimodal_lab.checkpoint.manifest import CheckpointError, verify
from multimodal_lab.checkpoint.state import PARTS, State, size
from multimodal_lab.checkpoint.store import CheckpointStore, load, load_weights
from multimodal_lab.train.ema import Average
from multimodal_lab.train.meters import Meters

FILES = ["model.safetensors", "optimizer.safetensors", "ema.safetensors", "state.json", "manifest.json"]


def made(step=0, seed=0, steps=3, ema=0.9):
    """The parts of a small training, as `fit` has them."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer, average = torch.optim.AdamW(net.parameters(), lr=1e-2), Average(net, ema)
    for _ in range(steps):
        net(torch.randn(16, 4)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return {
        "model": net, "optimizer": optimizer, "scaler": scaler, "ema": average,
        "meters": Meters(torch.device("cpu")), "state": State(step=step),
    }  # fmt: skip


def saved(store, *steps):
    return [store.save(made(step, seed=step)) for step in steps]


def test_a_checkpoint_gives_back_every_part(tmp_path):
    parts, other = made(3), made(seed=1)
    parts["state"].best = 0.1
    load(CheckpointStore(tmp_path, 2).save(parts), other)
    assert other["state"] == parts["state"]
    for key, value in parts["model"].state_dict().items():
        assert torch.equal(value, other["model"].state_dict()[key])
        assert torch.equal(parts["ema"].kept[key], other["ema"].kept[key])
    assert other["ema"].count == 3
    a, b = (p["optimizer"].state_dict() for p in (parts, other))
    assert a["param_groups"] == b["param_groups"]
    for one, two in zip(a["state"].values(), b["state"].values(), strict=True):
        assert all(torch.equal(one[k], two[k]) for k in one)


def test_the_newest_are_kept_and_the_best_besides(tmp_path):
    store = CheckpointStore(tmp_path, 2)
    for step in range(5):
        parts = made(step)
        parts["state"].best_step = 1 if step else None
        store.save(parts, parts["state"].best_step)
    assert [p.name[-1] for p in store.all()] == ["1", "3", "4"]
    assert store.best().name.endswith("1")
    assert sorted(os.listdir(tmp_path)) == [p.name for p in store.all()]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "zero", "remove", "swap"])
def test_a_damaged_checkpoint_is_quarantine_and_the_one_before_is_used(tmp_path, name, damage, capsys):
    store = CheckpointStore(tmp_path, 3)
    good, bad = saved(store, 1, 2)
    if damage == "swap":
        shutil.copy(good / name, bad / name)
    else:
        spoil(bad / name, damage)
    reason = verify(bad)
    assert name in reason or "manifest" in reason
    assert store.newest() == good
    assert f"{bad} is damaged ({reason})" in capsys.readouterr().out
    with pytest.raises(CheckpointError):
        load_weights(tmp_path / "step_00000002.corrupt", made()["model"])


def spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if damage == "remove":
        return path.unlink()
    if damage == "flip":
        content[middle] ^= 1
    elif damage == "zero":
        content[middle : middle + 16] = bytes(16)
    else:
        content = content[:middle]
    path.write_bytes(content)
    return None


def test_every_byte_of_the_manifest_counts(tmp_path):
    store = CheckpointStore(tmp_path, 3)
    (path,) = saved(store, 1)
    whole = (path / "manifest.json").read_bytes()
    for place in range(len(whole)):
        for bit in (0, 5):  # a digit's neighbour, a letter's other case
            content = bytearray(whole)
            content[place] ^= 1 << bit
            (path / "manifest.json").write_bytes(content)
            assert verify(path), (place, bit)


def test_a_file_too_many_and_a_whole_checkpoint_under_anothers_name_are_faults(tmp_path):
    store = CheckpointStore(tmp_path, 3)
    one, two = saved(store, 1, 2)
    (one / "more.txt").write_text("")
    assert verify(one) == "more.txt: not in manifest.json"
    shutil.copytree(two, tmp_path / "step_00000009")
    assert verify(tmp_path / "step_00000009") == "manifest.json: belongs to step_00000002"


def test_all_damaged_is_an_error_and_never_a_silent_new_start(tmp_path):
    store = CheckpointStore(tmp_path, 3)
    (path,) = saved(store, 1)
    spoil(path / "model.safetensors", "flip")
    for _ in range(2):  # the second time there are only those set aside
        with pytest.raises(CheckpointError, match="all checkpoints are damaged"):
            store.newest()


def test_no_checkpoint_is_none(tmp_path):
    assert CheckpointStore(tmp_path, 1).newest() is None
    assert CheckpointStore(tmp_path, 1).best() is None


def test_two_saves_at_one_step_never_touch_each_other(tmp_path):
    store = CheckpointStore(tmp_path, 1)
    first, second = saved(store, 4, 4)
    assert (first.name, second.name) == ("step_00000004", "step_00000004_02")
    assert store.all() == [second] and store.newest() == second  # noqa: PT018


def test_a_best_checkpoint_that_is_gone_is_an_error(tmp_path):
    store = CheckpointStore(tmp_path, 2)
    store.save(made(1))
    parts = made(2)
    parts["state"].best_step = 1
    store.save(parts, 1)
    spoil(tmp_path / "step_00000001" / "model.safetensors", "flip")
    with pytest.raises(CheckpointError, match="hash differs"):
        load_weights(store.best(), made()["model"])
    shutil.rmtree(tmp_path / "step_00000001")
    with pytest.raises(CheckpointError, match="of step 1, is not here"):
        store.best()


@pytest.mark.parametrize("name", PARTS)
def test_every_part_must_be_saved_and_must_be_found(tmp_path, name):
    store, parts = CheckpointStore(tmp_path, 2), made(1)
    with pytest.raises(ValueError, match=f"saving: the part '{name}' is missing"):
        store.save({k: v for k, v in parts.items() if k != name})
    path = store.save(parts)
    plain = json.loads((path / "state.json").read_text())
    content = {k: v for k, v in plain.items() if k != name}
    (path / "state.json").write_text(json.dumps(content))
    assert verify(path)
    with pytest.raises(ValueError, match=f"the part '{name}' is missing"):
        load(path, made())


def test_an_unknown_part_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match=r"unknown part 'models'; .*nearest: model"):
        CheckpointStore(tmp_path, 2).save({**made(1), "models": nn.Linear(1, 1)})


def test_parts_that_do_not_fit_are_refused_by_name(tmp_path):
    path = CheckpointStore(tmp_path, 2).save(made(1))
    without = made(ema=None)
    with pytest.raises(ValueError, match="the average of the weights has no place for count, weights"):
        load(path, without)
    other = made()
    other["model"] = nn.Linear(4, 8)
    with pytest.raises(ValueError, match=r"the model .* lacks bias, weight"):
        load(path, other)


def test_the_average_is_what_is_used_and_raw_weights_are_what_is_trained(tmp_path):
    parts = made(1)
    path = CheckpointStore(tmp_path, 2).save(parts)
    net, again = made(seed=5)["model"], made(seed=5)
    load_weights(path, net)
    load(path, again)
    for key, value in parts["ema"].kept.items():
        assert torch.equal(net.state_dict()[key], value)
        assert torch.equal(again["model"].state_dict()[key], parts["model"].state_dict()[key])
    assert (net[0].weight - parts["model"][0].weight).abs().max() > 1e-4


def _filled(rank: int, folder: str) -> None:
    store = CheckpointStore(Path(folder), 2)
    store.save(made(1))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    with pytest.raises(CheckpointError, match=r"not saved.*intact"):
        store.save(made(2))


def test_a_disk_that_fills_while_saving_leaves_the_checkpoint_before_intact(tmp_path):
    forked.spawn(_filled, (str(tmp_path),), nprocs=1)
    assert sorted(os.listdir(tmp_path)) == ["step_00000001"]
    assert CheckpointStore(tmp_path, 2).newest() == tmp_path / "step_00000001"


def test_too_little_space_is_refused_before_training(tmp_path):
    with torch.device("meta"):
        parts = {**made(ema=None), "model": nn.Linear(10**7, 10**6)}
        parts["optimizer"] = torch.optim.AdamW(parts["model"].parameters())
    weights = 4 * (10**13 + 10**6)
    with pytest.raises(CheckpointError, match=rf"{4 * (3 * weights + 4):,} bytes needed for checkpoints, [\d,]+ free"):
        CheckpointStore(tmp_path / "checkpoints", 2).require_space(parts)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_size_foretold_is_the_size_written(tmp_path, ema):
    fresh = made(ema=ema, steps=0)
    foretold = size(fresh)
    path = CheckpointStore(tmp_path, 1).save(made(1, ema=ema))
    tensors = sum(p.stat().st_size for p in path.glob("*.safetensors"))
    assert foretold == pytest.approx(tensors, abs=4000)  # headers and step counters
