import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

from multimodal_lab.checkpoint import CheckpointError, Store, fault, load, load_weights


def trained(seed=0, steps=3):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(steps):
        net(torch.randn(16, 4)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return net, optimizer


def test_a_checkpoint_gives_back_weights_moments_and_state(tmp_path):
    net, optimizer = trained()
    path = Store(tmp_path, 2).save(net, optimizer, {"step": 3, "best": None})
    other, second = trained(seed=1)
    assert load(path, other, second) == {"step": 3, "best": None}
    for key, value in net.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])
    for a, b in zip(optimizer.state_dict()["state"].values(), second.state_dict()["state"].values(), strict=True):
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_the_newest_are_kept_and_the_best_besides(tmp_path):
    net, optimizer = trained()
    store = Store(tmp_path, 2)
    for step in range(5):
        store.save(net, optimizer, {"step": step}, best=step == 1)
    assert [p.name[-1] for p in store.all()] == ["1", "3", "4"]
    assert store.best().name.endswith("1")


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "zero", "remove"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(tmp_path, name, damage):
    net, optimizer = trained()
    store = Store(tmp_path, 3)
    good = store.save(net, optimizer, {"step": 1})
    bad = store.save(net, optimizer, {"step": 2})
    spoil(bad / name, damage)
    assert fault(bad)
    assert store.newest() == good
    assert (tmp_path / "step_00000002.corrupt").is_dir()
    with pytest.raises(CheckpointError):
        load_weights(tmp_path / "step_00000002.corrupt", net)


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


def test_all_damaged_is_an_error_and_never_a_silent_new_start(tmp_path):
    net, optimizer = trained()
    store = Store(tmp_path, 3)
    spoil(store.save(net, optimizer, {"step": 1}) / "model.safetensors", "flip")
    with pytest.raises(CheckpointError, match="all 1 checkpoints are damaged"):
        store.newest()


def test_no_checkpoint_is_none(tmp_path):
    assert Store(tmp_path, 1).newest() is None


def test_a_disk_that_fills_while_saving_leaves_the_checkpoint_before_intact(tmp_path):
    script = textwrap.dedent(
        """
        import resource, signal, sys, pathlib, torch
        from torch import nn
        from multimodal_lab.checkpoint import CheckpointError, Store
        store = Store(pathlib.Path(sys.argv[1]), 2)
        def save(width, step):
            net = nn.Linear(width, width)
            store.save(net, torch.optim.AdamW(net.parameters()), {"step": step})
        save(8, 1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            save(512, 2)
        except CheckpointError as error:
            print(error)
        """
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "not saved" in done.stdout
    assert "intact" in done.stdout
    assert sorted(os.listdir(tmp_path)) == ["step_00000001"]
    assert Store(tmp_path, 2).newest() == tmp_path / "step_00000001"


def test_too_little_space_is_refused_before_training(tmp_path):
    with torch.device("meta"):
        net = nn.Linear(10**7, 10**6)
    with pytest.raises(CheckpointError, match="bytes needed for checkpoints"):
        Store(tmp_path / "checkpoints", 2).require_space(net)
