from __future__ import annotations

import forked
import torch
import torch.distributed as td
from torch import nn

from multimodal_lab.head.masked_norm import MaskedBatchNorm

ROWS = torch.tensor([True, False, True, True, False, True, True, True])


def data() -> torch.Tensor:
    return torch.randn(8, 5, generator=torch.Generator().manual_seed(0)) * 3 + 2


def test_equals_batch_norm_on_the_present_rows_alone():
    ours, stock = MaskedBatchNorm(5), nn.BatchNorm1d(5)
    for step in range(3):
        x = data() + step
        torch.testing.assert_close(ours(x, ROWS)[ROWS], stock(x[ROWS]))
    torch.testing.assert_close(ours.running_mean, stock.running_mean)
    torch.testing.assert_close(ours.running_var, stock.running_var)
    torch.testing.assert_close(ours.eval()(data(), ROWS), stock.eval()(data()))


def test_fewer_than_two_rows_use_and_keep_the_running_statistics():
    norm = MaskedBatchNorm(5)
    norm(data(), ROWS)
    before = norm.running_mean.clone()
    one = torch.arange(8) == 2
    y = norm(data(), one)
    assert torch.equal(norm.running_mean, before)
    torch.testing.assert_close(y, norm.eval()(data(), one))


def step(x: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, nn.Linear, MaskedBatchNorm]:
    torch.manual_seed(1)
    linear, norm = nn.Linear(5, 5), MaskedBatchNorm(5)
    return norm(linear(x), rows), torch.arange(40.0).view(8, 5).sin(), linear, norm


def _rank(rank: int, file: str, out: str) -> None:
    td.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    mine = slice(4 * rank, 4 * rank + 4)
    y, target, linear, norm = step(data()[mine], ROWS[mine])
    # each rank's mean over its own half, averaged over ranks as DDP does
    ((y - target[mine]).square() * ROWS[mine, None]).sum().div(4).backward()
    grads = [p.grad for p in (*linear.parameters(), *norm.parameters())]
    for g in grads:
        td.all_reduce(g)
        g /= 2
    if rank == 0:
        torch.save([*grads, norm.running_mean, norm.running_var], out)
    td.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    forked.spawn(_rank, (str(tmp_path / "rendezvous"), str(tmp_path / "out.pt")), nprocs=2)
    y, target, linear, norm = step(data(), ROWS)
    ((y - target).square() * ROWS[:, None]).sum().div(8).backward()
    want = [*(p.grad for p in (*linear.parameters(), *norm.parameters())), norm.running_mean, norm.running_var]
    for ours, one in zip(torch.load(tmp_path / "out.pt", weights_only=True), want):
        torch.testing.assert_close(ours, one, rtol=1e-5, atol=1e-5)
