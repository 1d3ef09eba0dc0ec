"""The heads of sounds: an offset is found in features that agree, and a mask of ones gives the mixture back."""

import pytest
import torch

from multimodal_lab.head.separator import Separator
from multimodal_lab.head.sync import Sync
from multimodal_lab.types import Batch, Features


def of(x, mask=None):
    f = Features.from_tokens(x)
    return f if mask is None else Features(torch.where(mask[..., None], x, 0.0), f.pooled, mask)


@pytest.mark.parametrize("finer", [1, 3])
def test_the_score_of_an_offset_is_the_agreement_of_frames_that_far_apart(finer):
    head = Sync({"video": 4, "audio": 4}, frames=3, picture="video", sound="audio")
    for name in ("video", "audio"):  # embeddings are the tokens themselves
        head.embed[name] = Alone()
    x = torch.randn(5, 12, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(5, 12, dtype=torch.bool)
    mask[:, 9:] = False
    late = torch.tensor([-2, -1, 0, 1, 3])
    y = torch.stack([x[i].roll(int(k), 0) for i, k in enumerate(late)])
    heard, real = y.repeat_interleave(finer, 1), mask.repeat_interleave(finer, 1)
    said = head({"video": of(x, mask), "audio": of(heard, real)}, Batch.of({"x": x}))
    scores = said["offsets"]
    assert (scores.argmax(1) - 3).tolist() == late.tolist()
    i, k = 3, 2  # by a slow loop
    u, v = x[i, :9] - x[i, :9].mean(0), y[i, :9] - y[i, :9].mean(0)
    slow = sum(float(u[t] @ v[t + k]) / 2 for t in range(9 - k)) / (9 - k)
    assert scores[i, 3 + k].item() == pytest.approx(slow, abs=1e-5)
    others = torch.cat([scores[:, :3], scores[:, 4:]], 1)
    torch.testing.assert_close(said["logits"][:, 0], scores[:, 3] - others.exp().mean(1).log())


class Alone(torch.nn.Module):
    def forward(self, x, mask):
        return x


def mixture(n=3, steps=500):
    x = torch.randn(n, 1, steps, generator=torch.Generator().manual_seed(1))
    made = Batch.of({"audio": x}, {"kind": torch.tensor([0, 1, -1])[:n]})
    valid = torch.ones(n, steps, dtype=torch.bool)
    valid[0, 400:] = False
    tokens = torch.randn(n, 6, 4, generator=torch.Generator().manual_seed(2))
    return made.replace(valid={"audio": valid}), {"audio": of(tokens), "video": of(tokens[:, :1] + 1)}


def separator(**settings):
    torch.manual_seed(0)
    small = {"n_fft": 64, "hop_length": 16, "width": 16, "layers": 2}
    return Separator({"audio": 4, "video": 4}, {"kind": 2, "mass": 0}, **{**small, **settings}).eval()


def test_a_mask_of_ones_gives_the_real_part_of_the_mixture_back():
    batch, features = mixture()
    head = separator(sources=2)
    torch.nn.init.zeros_(head.say.weight)
    torch.nn.init.constant_(head.say.bias, 40.0)
    said = head(features, batch)
    assert said["mask"].shape == (3, 2, 33, 1 + 500 // 16)
    clean = torch.where(batch.valid["audio"], batch.inputs["audio"][:, 0], 0.0)
    torch.testing.assert_close(said["estimate"], clean[:, None].expand(-1, 2, -1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("condition", ["kind", "video"])
def test_it_hears_what_is_asked_for_whatever_the_level(condition):
    batch, features = mixture()
    head = separator(condition=condition)
    for block in head.blocks:
        torch.nn.init.normal_(block.film.weight)
    first = head(features, batch)
    turned = features["video"].tokens * torch.tensor([-1.0, 1.0, -1.0])[:, None, None]
    asked = batch.replace(targets={"kind": torch.tensor([1, 1, 0])})
    other = head({**features, "video": of(turned)}, asked)
    changed = (first["mask"] - other["mask"]).abs().amax((1, 2, 3)) > 1e-4
    assert changed.tolist() == [True, False, True]
    loud = head(features, batch.replace(inputs={"audio": 5 * batch.inputs["audio"]}))
    torch.testing.assert_close(loud["mask"], first["mask"], rtol=0, atol=1e-4)
    torch.testing.assert_close(loud["estimate"], 5 * first["estimate"], rtol=0, atol=1e-3)
    assert not first["estimate"][0, 0, 400:].any()  # behind the end it is silent


def test_what_it_cannot_read_is_one_sentence():
    with pytest.raises(ValueError, match=r"condition=kin is no stream and no label of classes; .*kind"):
        separator(condition="kin")
    with pytest.raises(ValueError, match="hop_length=40: expected at most half of n_fft=64"):
        separator(hop_length=40)
    batch, features = mixture()
    with pytest.raises(ValueError, match=r"reads the wave of stream audio, .* cache=none"):
        separator()(features, batch.replace(inputs={}))
    with pytest.raises(ValueError, match="has 2 bands, expected one"):
        separator()(features, batch.replace(inputs={"audio": batch.inputs["audio"].repeat(1, 2, 1)}))
    with pytest.raises(ValueError, match="kernel=4: expected an odd number"):
        Sync({"a": 2, "b": 2}, kernel=4)
