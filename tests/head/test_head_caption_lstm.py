from __future__ import annotations

import itertools

import pytest
import torch

from multimodal_lab.head.caption_lstm import BOS, EOS, PAD

DIMS = {"image": 6, "caption": 4}
SMALL = {"width": 12, "embed": 8}
WORDS = torch.tensor([[1, 4, 5, 2, 0], [1, 6, 2, 0, 0], [1, 7, 8, 4, 2]])


def loud(build, **knobs):
    """A head whose words depend strongly on what it sees, unlike one fresh from its initialisation."""
    head = build("caption_lstm", DIMS, **{**SMALL, **knobs}).eval()
    for p in head.parameters():
        p.data *= 4
    return head


def test_shape_and_causality(build, make, batch):
    head = loud(build)
    features = make(DIMS, 3)
    out = head(features, batch(3, caption=WORDS))
    assert out.shape == (3, 4, 9)
    later = WORDS.clone()
    later[:, 2] = 5
    moved = head(features, batch(3, caption=later))
    assert torch.equal(out[:, :2], moved[:, :2])  # word 3 is not seen where words 2 and 3 are predicted
    assert (out[0, 3] - head(features, batch(3, caption=WORDS.flip(0)))[0, 3]).abs().max() > 1e-2


def test_state_is_carried_beyond_the_last_word(build, make, batch):
    words = torch.tensor([[1, 4, 5, 6], [1, 7, 5, 6]])
    image = make(DIMS, 1)["image"]
    both = {"image": type(image)(*(x.expand(2, *x.shape[1:]) for x in (image.tokens, image.pooled, image.mask)))}
    out = loud(build)(both, batch(2, caption=words))
    torch.testing.assert_close(out[0, 0], out[1, 0])
    assert (out[0, 2] - out[1, 2]).abs().max() > 1e-2  # same last word, other past


def test_only_the_stream_it_reads_is_read(build, make, batch):
    head, features, other = loud(build), make(DIMS, 3, seed=1), make(DIMS, 3, seed=2)
    base = head(features, batch(3, caption=WORDS))
    assert torch.equal(base, head({**features, "caption": other["caption"]}, batch(3, caption=WORDS)))
    assert (base - head({**features, "image": other["image"]}, batch(3, caption=WORDS))).abs().max() > 1e-2


def test_masked_tokens_are_not_looked_at(build, make, batch):
    head, features = loud(build), make(DIMS, 3)
    f = features["image"]
    f.mask[:, 1:] = False
    base = head(features, batch(3, caption=WORDS))
    f.tokens[:, 1:] = 50.0
    assert torch.equal(base, head(features, batch(3, caption=WORDS)))
    f.tokens[:, 0] += 1.0
    assert (base - head(features, batch(3, caption=WORDS))).abs().max() > 1e-2


def greedy(head, features, batch, length):
    """Word by word through `forward` on the growing prefix: no state is kept between words."""
    n = len(features["image"].pooled)
    words = torch.full((n, 1), BOS)
    for _ in range(length):
        padded = torch.cat([words, torch.zeros(n, 1, dtype=torch.int64)], 1)
        logits = head(features, batch(n, caption=padded))[:, -1].clone()
        logits[:, [PAD, BOS]] = float("-inf")
        ended = (words == EOS).any(1)
        words = torch.cat([words, torch.where(ended, PAD, logits.argmax(1))[:, None]], 1)
    return words[:, 1:]


def test_greedy_equals_teacher_forcing_on_its_own_words(build, make, batch):
    head, features = loud(build), make(DIMS, 8)
    got = head.generate(features, 6)
    want = greedy(head, features, batch, 6)
    assert torch.equal(got, want[:, : got.shape[1]])
    assert not want[:, got.shape[1] :].any()
    assert len({tuple(row) for row in got.tolist()}) > 1  # it says different things of different images


def test_generate_is_deterministic_even_in_training(build, make):
    head, features = loud(build).train(), make(DIMS, 4)
    assert torch.equal(head.generate(features, 6), head.generate(features, 6))
    assert head.training


@pytest.mark.parametrize("beam", [1, 3])
def test_end_stops(beam, build, make):
    head = loud(build)
    head.words.bias.data[EOS] = 1e4
    assert head.generate(make(DIMS, 3), 6, beam).tolist() == [[EOS]] * 3
    head.words.bias.data[EOS] = -1e4
    out = head.generate(make(DIMS, 3), 6, beam)
    assert out.shape == (3, 6)
    assert (out >= EOS + 1).all()


def log_p(head, features, batch, caption):
    n, words = len(caption), torch.tensor([[BOS, *caption]])
    logits = head(features, batch(1, caption=words))[0].clone()
    logits[:, [PAD, BOS]] = float("-inf")
    return sum(logits.log_softmax(1)[i, caption[i]].item() for i in range(n))


def test_a_wide_beam_finds_the_best_caption_and_greedy_is_never_better(build, make, batch):
    length, better = 3, 0
    for seed in range(6):
        head, features = loud(build, vocab=6), make({"image": 6}, 1, seed=seed)
        torch.manual_seed(seed)
        for p in head.parameters():
            torch.nn.init.normal_(p, std=0.5)
        every = [c[: c.index(EOS) + 1] if EOS in c else c for c in itertools.product(range(EOS, 6), repeat=length)]
        best = max(set(every), key=lambda c: log_p(head, features, batch, c))
        wide = [w for w in head.generate(features, length, beam=6)[0].tolist() if w != PAD]
        one = [w for w in head.generate(features, length)[0].tolist() if w != PAD]
        assert log_p(head, features, batch, wide) >= log_p(head, features, batch, one) - 1e-5
        assert log_p(head, features, batch, wide) == pytest.approx(log_p(head, features, batch, best), abs=1e-4)
        better += log_p(head, features, batch, wide) > log_p(head, features, batch, one) + 1e-4
    assert better > 0


def test_learns_a_caption_per_image(build, make, batch):
    head, features = build("caption_lstm", DIMS, dropout=0.0, width=32, embed=16), make(DIMS, 3)
    optimizer = torch.optim.Adam(head.parameters(), 0.03)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(
            head(features, batch(3, caption=WORDS)).flatten(0, 1), WORDS[:, 1:].flatten(), ignore_index=PAD
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for beam in (1, 3):
        assert head.generate(features, 4, beam).tolist() == WORDS[:, 1:].tolist()


def test_bad_input_is_one_sentence(build, make, batch):
    with pytest.raises(ValueError, match=r"input='imag' is not there; expected one of image, caption; nearest: image"):
        build("caption_lstm", DIMS, input="imag")
    with pytest.raises(ValueError, match="vocab=3 leaves no words"):
        build("caption_lstm", DIMS, vocab=3)
    head = build("caption_lstm", DIMS, **SMALL)
    with pytest.raises(ValueError, match=r"target='caption' is not there; expected one of captions; nearest: captions"):
        head(make(DIMS, 3), batch(3, captions=WORDS))
    with pytest.raises(ValueError, match=r"targets.caption is torch.int64 \(3, 1\), expected"):
        head(make(DIMS, 3), batch(3, caption=WORDS[:, :1]))
    with pytest.raises(ValueError, match="beam=0"):
        head.generate(make(DIMS, 3), 5, beam=0)
