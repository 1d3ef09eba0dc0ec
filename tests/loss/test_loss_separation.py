"""SI-SDR and mask losses: slow loops from the papers, torchmetrics, permutations, silence and what is not known."""

import itertools
import math

import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio as reference

from multimodal_lab.loss.mask import mask
from multimodal_lab.loss.si_sdr import ratio, si_sdr


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow(x, s):
    scale = sum(a * b for a, b in zip(x, s, strict=True)) / sum(b * b for b in s)
    signal = sum((scale * b) ** 2 for b in s)
    return 10 * math.log10(signal / sum((scale * b - a) ** 2 for a, b in zip(x, s, strict=True)))


def test_it_is_the_papers_and_torchmetrics_in_value_and_gradient():
    s = drawn(4, 2, 50)
    ours, theirs = ((s + 0.5 * drawn(4, 2, 50, seed=1)).requires_grad_() for _ in range(2))
    found, expected = ratio(ours, s), reference(theirs, s)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert found[2, 1].item() == pytest.approx(slow(ours[2, 1].tolist(), s[2, 1].tolist()))
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(ratio(-7 * ours, s), found)


def test_sources_in_any_order_lose_what_the_best_order_loses():
    s = drawn(5, 3, 40)
    told = s[:, [2, 0, 1]] + 0.3 * drawn(5, 3, 40, seed=2)
    found = si_sdr(told, s, permute=True, most=200.0)
    each = [
        min(
            -sum(slow(row[i].tolist(), true[j].tolist()) for i, j in enumerate(p)) / 3
            for p in itertools.permutations(range(3))
        )
        for row, true in zip(told, s, strict=True)
    ]
    assert found.item() == pytest.approx(sum(each) / 5)
    assert si_sdr(told, s) > found + 5


def test_what_is_not_known_or_silent_counts_nothing_and_most_ends_what_is_gained():
    s = drawn(4, 2, 40)
    s[1], s[2, 0] = torch.nan, 0.0
    told = (s[:, :1].nan_to_num(0.5) + 0.1 * drawn(4, 1, 40, seed=3)).requires_grad_()
    value = si_sdr(told, s, most=200.0)
    expected = -(slow(told[0, 0].tolist(), s[0, 0].tolist()) + slow(told[3, 0].tolist(), s[3, 0].tolist())) / 2
    assert value.item() == pytest.approx(expected)
    value.backward()
    assert told.grad.isfinite().all()
    assert not told.grad[1:3].any()
    assert si_sdr(s[:1, :1].clone(), s[:1], most=30.0).item() == pytest.approx(-30.0)
    with pytest.raises(
        ValueError, match=r"3 sounds are told, and the target is \(4, 2, 40\); expected \(N, 3 or more, T\)"
    ):
        si_sdr(drawn(4, 3, 40), s)


@pytest.mark.parametrize("kind", ["ratio", "binary"])
def test_masks_are_the_ideal_ones_by_slow_loops(kind):
    s, told = drawn(2, 2, 64), drawn(2, 2, 9, 9, seed=1).sigmoid()
    window = torch.hann_window(16, dtype=torch.float64)
    total = 0.0
    for row in range(2):
        stft = [torch.stft(x, 16, 8, window=window, pad_mode="constant", return_complex=True) for x in s[row]]
        mixture = (stft[0] + stft[1]).abs()
        weight = (mixture / mixture.mean()).log1p()
        weight = weight / weight.mean()
        for k, f, t in itertools.product(range(2), range(9), range(9)):
            own, other, x = stft[k][f, t].abs(), stft[1 - k][f, t].abs(), told[row, k, f, t]
            cell = (x - own / (own + other)).abs() if kind == "ratio" else -(x.log() if own >= other else (1 - x).log())
            total += float(cell * weight[f, t]) / (2 * 81)
    assert mask(told, s, hop_length=8, kind=kind).item() == pytest.approx(total / 2)
    even = mask(told, s, hop_length=8, kind=kind, weighted=False)
    assert abs(even.item() - total / 2) > 1e-5
    swapped = mask(told.flip(1), s, hop_length=8, kind=kind, permute=True)
    assert swapped <= mask(told, s, hop_length=8, kind=kind) + 1e-12
    with pytest.raises(ValueError, match=r"hop_length=4 gives \(9, 17\); expected that of the head"):
        mask(told, s, hop_length=4)
