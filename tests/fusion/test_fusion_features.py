from __future__ import annotations

import torch

from multimodal_lab.fusion.features import masked_mean, vector


def test_masked_mean_sees_real_tokens_only_even_beside_nan():
    tokens = torch.tensor([[[1.0], [3.0], [float("nan")]], [[float("inf")], [5.0], [7.0]], [[9.0], [9.0], [9.0]]])
    mask = torch.tensor([[True, True, False], [False, True, False], [False, False, False]])
    assert masked_mean(tokens, mask).tolist() == [[2.0], [5.0], [0.0]]


def test_masked_mean_of_many_halves_does_not_overflow():
    tokens = torch.full((1, 4096, 1), 40.0, dtype=torch.float16)
    mean = masked_mean(tokens, torch.ones(1, 4096, dtype=torch.bool))
    assert mean.dtype is torch.float16
    assert mean.item() == 40.0


def test_vector_makes_other_rows_missing():
    f = vector(torch.tensor([[1.0, 2.0], [float("nan"), 3.0]]), torch.tensor([True, False]))
    assert f.pooled.tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert f.tokens.shape == (2, 1, 2)
    assert f.present.tolist() == [True, False]
