"""LSTM caption decoder with attention over image tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.head.names import known
from multimodal_lab.types import Batch, Features

PAD, BOS, EOS, UNK = 0, 1, 2, 3


class _Seen(NamedTuple):
    """What is looked at: tokens (N, S, D), their keys (N, S, A), mask (N, S)."""

    tokens: Tensor
    keys: Tensor
    mask: Tensor

    def repeat(self, times: int) -> _Seen:
        return _Seen(*(x.repeat_interleave(times, 0) for x in self))


class CaptionLSTM(nn.Module):
    """Soft visual attention over tokens (Xu et al. 2015, Show, attend and tell, sec. 3.1.2 and 4.2).

    At each step a_i = softmax_i v·tanh(U x_i + W h), z = sigmoid(b·h) Σ a_i x_i; the LSTM takes the last word and z;
    the word's logits come from the last word, the new h and z. h and c start from the pooled vector. One learned token
    that is always present stands first, so that a row with nothing to look at stays finite.

    Words are int64 below `vocab`: PAD 0, BOS 1, EOS 2, UNK 3. `input` null is the first stream (never fused on its own,
    which may have seen the caption). `target` names the words in batch.targets. ValueError for an unknown `input`.
    """

    takes = "first"
    by_name = False

    def __init__(
        self,
        dims: dict[str, int],
        *,
        vocab: Count,
        width: Count = 512,
        embed: Count = 256,
        dropout: Fraction = 0.3,
        input: str | None = None,
        target: str = "caption",
    ) -> None:
        super().__init__()
        if vocab <= UNK:
            raise ValueError(
                f"head=caption_lstm: vocab={vocab} leaves no words; PAD, BOS, EOS and UNK take the first {UNK + 1}"
            )
        self.input = next(iter(dims)) if input is None else known("head=caption_lstm: input", input, dims)
        self.target = target
        dim = dims[self.input]
        self.embed = nn.Embedding(vocab, embed, padding_idx=PAD)
        self.start = nn.Linear(dim, 2 * width)
        self.token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.key = nn.Linear(dim, width)
        self.query = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)
        self.gate = nn.Linear(width, 1)
        self.cell = nn.LSTMCell(embed + dim, width)
        self.from_state = nn.Linear(width, embed)
        self.from_seen = nn.Linear(dim, embed, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.words = nn.Linear(embed, vocab)

    def forward(self, features: Mapping[str, Features], batch: Batch) -> Tensor:
        """Teacher forcing: logits (N, T-1, V) of words[:, 1:] from the image and words[:, :-1], words (N, T)."""
        words = self._words(batch)
        seen, state = self._begin(features[self.input])
        steps = []
        for word in words[:, :-1].unbind(1):
            summary, state = self._step(seen, state, word)
            steps.append(summary)
        logits: Tensor = self.words(self.dropout(torch.stack(steps, 1)))
        return logits

    @torch.no_grad()
    def generate(self, features: Mapping[str, Features], max_length: int, beam: int = 1) -> Tensor:
        """Words (N, L), L <= `max_length`, without BOS, PAD after EOS; deterministic: without dropout.

        The caption of highest total log-probability that a search over `beam` unfinished ones finds; 1 is greedy.
        """
        if max_length < 1 or not 1 <= beam <= self.words.out_features:
            raise ValueError(
                f"generate: max_length={max_length} must be >= 1 and beam={beam} in [1, {self.words.out_features}]"
            )
        return self._search(features[self.input], max_length, beam)

    def predict(self, features: Mapping[str, Features], batch: Batch) -> Tensor:
        """The words (N, T-1) that it writes, greedily, of at most as many as the targets (N, T) have; PAD after the end."""
        length = self._words(batch).shape[1] - 1
        words = self.generate(features, length)
        return nn.functional.pad(words, (0, length - words.shape[1]), value=PAD)

    def _words(self, batch: Batch) -> Tensor:
        words = batch.targets[known("head=caption_lstm: target", self.target, batch.targets)]
        if words.ndim != 2 or words.shape[1] < 2 or words.is_floating_point():
            raise ValueError(
                f"head=caption_lstm: targets.{self.target} is {words.dtype} {tuple(words.shape)}, "
                "expected int64 (N, T), T >= 2"
            )
        return words

    def _begin(self, f: Features) -> tuple[_Seen, tuple[Tensor, Tensor]]:
        tokens = torch.cat([self.token.expand(len(f.tokens), -1, -1), f.tokens], 1)
        mask = nn.functional.pad(f.mask, (1, 0), value=True)
        h, c = torch.tanh(self.start(f.pooled)).chunk(2, 1)
        return _Seen(tokens, self.key(tokens), mask), (h, c)

    def _step(self, seen: _Seen, state: tuple[Tensor, Tensor], word: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One word (N,) further: what the next word's logits are read from (N, embed), and the new state."""
        h, _ = state
        scores = self.score(torch.tanh(seen.keys + self.query(h)[:, None])).squeeze(-1)
        share = scores.masked_fill(~seen.mask, float("-inf")).softmax(1)
        z = torch.sigmoid(self.gate(h)) * (share[..., None] * seen.tokens).sum(1)
        last = self.embed(word)
        h, c = self.cell(torch.cat([last, z], 1), state)
        return last + self.from_state(h) + self.from_seen(z), (h, c)

    def _search(self, f: Features, max_length: int, beam: int) -> Tensor:
        n, v = len(f.pooled), self.words.out_features
        seen, state = self._begin(f)
        seen, state = seen.repeat(beam), (state[0].repeat_interleave(beam, 0), state[1].repeat_interleave(beam, 0))
        total = seen.tokens.new_full((n, beam), float("-inf"), dtype=torch.float32)
        total[:, 0] = 0  # all beams start alike: only the first may branch at the first step
        words = torch.full((n * beam, 1), BOS, device=f.pooled.device)
        offset = torch.arange(n, device=words.device)[:, None] * beam
        for _ in range(max_length):
            summary, state = self._step(seen, state, words[:, -1])
            ended = ((words[:, -1] == EOS) | (words[:, -1] == PAD))[:, None]
            gain = self._log_gain(self.words(summary), ended).view(n, beam, v)
            total, best = (total[..., None] + gain).flatten(1).topk(beam, 1)
            row = (offset + best // v).flatten()
            words = torch.cat([words[row], (best % v).view(-1, 1)], 1)
            state = (state[0][row], state[1][row])
            first = words.view(n, beam, -1)[:, 0, 1:]
            if bool((first <= EOS).any(1).all()):  # totals only fall: a first beam that has ended stays the best
                break
        return first[:, : int((first != PAD).any(0).sum())]

    def _log_gain(self, logits: Tensor, ended: Tensor) -> Tensor:
        """Log-probabilities (n, V) of the next word: never PAD or BOS, and after an end PAD alone, for nothing."""
        logits = logits.float()
        logits[:, [PAD, BOS]] = float("-inf")
        only_pad = torch.full_like(logits, float("-inf"))
        only_pad[:, PAD] = 0
        return torch.where(ended, only_pad, logits.log_softmax(1))
