import pytest
import torch

from multimodal_lab.augment.draw import Draw, mix

MASK = (1 << 64) - 1


def start(count=64, seed=1, epoch=2, view=0):
    ids = torch.arange(count)
    return Draw.start(ids, torch.full_like(ids, view), seed, epoch)


def splitmix_in_plain_python(z):
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_mix_is_splitmix64():
    assert splitmix_in_plain_python(0) == 0xE220A8397B1DCDAF  # the published first output from state 0
    values = [0, 1, -1, 2**63 - 1, -(2**63), 1234567890123]
    got = mix(torch.tensor(values)).tolist()
    assert [v & MASK for v in got] == [splitmix_in_plain_python(v & MASK) for v in values]


def test_uniform_is_flat_independent_and_below_one():
    u = start(20000).uniform(12)
    assert u.dtype == torch.float32
    assert u.min() >= 0
    assert u.max() < 1
    assert (u.mean(0) - 0.5).abs().max() < 0.01
    assert (u.var(0) - 1 / 12).abs().max() < 0.003
    between = torch.corrcoef(u.T).fill_diagonal_(0)
    assert between.abs().max() < 0.035  # 4.9 sigma
    neighbours = ((u[1:] - 0.5) * (u[:-1] - 0.5)).mean(0) * 12
    assert neighbours.abs().max() < 0.035


def test_normal_has_the_moments_of_a_normal():
    z = start(64).normal(10001)
    assert z.shape == (64, 10001)
    assert abs(z.mean()) < 0.006
    assert abs(z.std() - 1) < 0.005
    assert abs((z**3).mean()) < 0.02
    assert abs((z**4).mean() - 3) < 0.06
    assert (torch.corrcoef(z).fill_diagonal_(0)).abs().max() < 0.055
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < 0.006


@pytest.mark.parametrize(
    "other",
    [start(seed=2), start(epoch=3), start(view=1), start().fold("a"), start().fold("b"), start().fold("a").fold("b")],
)
def test_every_part_of_the_key_matters(other):
    here = start()
    assert not (here.uniform(4) == other.uniform(4)).any()
    assert abs(torch.corrcoef(torch.stack([here.normal(4096).flatten(), other.normal(4096).flatten()]))[0, 1]) < 0.01


def test_rows_do_not_depend_on_their_batch():
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    for draw in (lambda d: d.uniform(7), lambda d: d.normal(33)):
        whole = draw(start())
        assert torch.equal(draw(start().rows(order)), whole[order])
        assert torch.equal(draw(start().rows(order[:1])), whole[order[:1]])


def test_draws_are_the_same_for_ever():
    """Recorded values: a change here changes the views of every past run."""
    ids = torch.tensor([0, -5, 10**12])
    draw = Draw.start(ids, torch.ones_like(ids), 5, 6).fold("op")
    assert draw.keys.tolist() == [4542340892669300590, 6958654609955633981, -5138688233984922159]
    assert (draw.uniform(2) * 2**24).int().tolist() == [[15352671, 10146852], [8450906, 12941989], [8314586, 14083833]]
    torch.testing.assert_close(
        draw.normal(3),
        torch.tensor(
            [
                [0.863785445690155, -0.4096679091453552, -0.26604464650154114],
                [0.4138311445713043, 1.8413909673690796, -0.3518408238887787],
                [-2.007266044616699, 1.7485723495483398, -1.1861952543258667],
            ]
        ),
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_draws_the_same_bits():
    here, there = start(), Draw(start().keys.cuda())
    assert torch.equal(here.uniform(9), there.uniform(9).cpu())
    assert torch.equal(here.normal(999), there.normal(999).cpu())
