"""The LSTM over tokens: torch's own with packed sequences, and what a text is padded with changes nothing."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from multimodal_lab.backbone.text_lstm import TextLSTM
from multimodal_lab.types import Stream

X = torch.tensor([[4, 5, 6, 7, 8], [9, 4, 0, 0, 0], [5, 6, 7, 0, 0]])
LENGTHS = [5, 2, 3]


def built(length=5, **own):
    torch.manual_seed(0)
    return TextLSTM(Stream("text", "text", vocab=11, length=length), width=8, embed=6, **own).eval()


@torch.no_grad()
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_it_is_torchs_lstm_of_packed_sequences(both, layers):
    ours = built(layers=layers, bidirectional=both)
    peer = nn.LSTM(6, 8 // (1 + both), layers, batch_first=True, bidirectional=both)
    for i, layer in enumerate(ours.layers):
        for name, own in [("", layer.onward), ("_reverse", layer.back)][: 1 + both]:
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(peer, f"{part}_l{i}{name}").copy_(getattr(own, f"{part}_l0"))
    packed = pack_padded_sequence(ours.words(X), LENGTHS, batch_first=True, enforce_sorted=False)
    out, (state, _) = peer(packed)
    f = ours(X)
    torch.testing.assert_close(f.tokens, pad_packed_sequence(out, batch_first=True)[0])
    torch.testing.assert_close(f.pooled, torch.cat([*state[-(1 + both) :]], 1))
    mean = torch.stack([row[:n].mean(0) for row, n in zip(f.tokens, LENGTHS, strict=True)])
    torch.testing.assert_close(built(layers=layers, bidirectional=both, pool="mean")(X).pooled, mean)


@torch.no_grad()
@pytest.mark.parametrize("pool", ["last", "mean"])
def test_padding_changes_nothing_wherever_it_stands(pool):
    net = built(12, layers=2, pool=pool)
    want = net(X)
    right = torch.cat([X, torch.zeros(3, 7, dtype=torch.long)], 1)
    left = torch.stack(
        [torch.cat([torch.zeros(12 - n, dtype=torch.long), row[:n]]) for row, n in zip(X, LENGTHS, strict=True)]
    )
    for padded in (right, left):
        found = net(padded)
        torch.testing.assert_close(found.pooled, want.pooled)
        torch.testing.assert_close(found.tokens[found.mask], want.tokens[want.mask])
    empty = net(torch.zeros(2, 5, dtype=torch.long))
    assert not empty.present.any()
    assert not empty.pooled.any()


def test_a_width_that_two_ways_cannot_share_is_refused():
    with pytest.raises(ValueError, match="width=7 is shared by two ways; expected 8 or 6"):
        TextLSTM(Stream("text", "text", vocab=11, length=5), width=7)
