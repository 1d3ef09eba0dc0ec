"""The device of a run, and whether it gives the same bits each time."""

import pytest
import torch

from multimodal_lab.device.placement import pick_device, repeatable
from multimodal_lab.experiment import run


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_gpu_is_asked_for_kernels_that_give_the_same_bits(wanted):
    torch.use_deterministic_algorithms(not wanted)
    repeatable(torch.device("cuda"), wanted)  # flags alone: no GPU is touched
    assert torch.are_deterministic_algorithms_enabled() is wanted
    assert not wanted or torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.parametrize("wanted", [True, False])
def test_a_run_passes_on_what_its_config_says(composed, tmp_path, monkeypatch, wanted):
    class Seen(Exception):
        pass

    def seen(device, asked):
        raise Seen(asked)

    monkeypatch.setattr(run, "repeatable", seen)
    with pytest.raises(Seen, match=str(wanted)):
        run.run(composed(f"deterministic={str(wanted).lower()}"), tmp_path)


def test_a_cpu_needs_no_asking():
    repeatable(torch.device("cpu"), True)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="device=cuda:99: there is no such GPU here"):
        pick_device("cuda:99")
    assert pick_device("cpu") == torch.device("cpu")
