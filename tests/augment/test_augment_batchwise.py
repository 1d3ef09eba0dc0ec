"""Ops on whole batches: what they owe, oracles from the papers, and losses that find the targets they add."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from contract import batch_op as contract

from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.mask_words import MaskWords
from multimodal_lab.augment.mix import CutMix, Mixup, circle
from multimodal_lab.augment.mix_sounds import MixSounds
from multimodal_lab.augment.shift_sound import ShiftSound
from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.loss.classification import cross_entropy, nll
from multimodal_lab.types import Band, Batch, Stream

MADE = [
    contract.Made("mask_words", MaskWords, contract.BOTH),
    contract.Made("mixup", partial(Mixup, label="species"), contract.IMAGES),
    contract.Made("cutmix", partial(CutMix, label="species"), contract.IMAGES),
    contract.Made("shift_sound", partial(ShiftSound, p=1.0), contract.CLIPS),
    contract.Made("mix_sounds", partial(MixSounds, label="species"), contract.CLIPS),
]


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("one", MADE, ids=lambda one: one.name)
def test_it_gives_what_it_owes(one, check):
    check(one)


@pytest.mark.parametrize("cls", [Mixup, CutMix])
def test_mixing_is_the_papers_by_slow_loops(cls):
    given = contract.batch(contract.IMAGES, 12, torch.rand(12, 2, generator=torch.Generator().manual_seed(0)) < 0.8)
    given = given.replace(mask=(torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.7).float())
    op = cls(label="species", alpha=1.0)
    op.prepare("mix", contract.IMAGES, {"species": 3})
    draw = Draw.start(given.ids, given.ids * 0, 0, 0)
    out = op(given, draw)
    partner, mixed = circle(draw.fold("partner").uniform(1)[:, 0]), 0
    assert sorted(partner.tolist()) == list(range(12))
    for i, j in enumerate(partner.tolist()):
        same = all(given.present[n][i] == given.present[n][j] for n in "ab")
        fit = same and given.targets["species"][i] >= 0 and given.targets["species"][j] >= 0
        label = out.targets["species"][i]
        if not fit:
            assert torch.equal(out.inputs["a"][i], given.inputs["a"][i])
            assert torch.equal(out.mask[i], given.mask[i])
            own = (
                torch.full((3,), -1.0) if given.targets["species"][i] < 0 else torch.eye(3)[given.targets["species"][i]]
            )
            assert torch.equal(label, own)
            continue
        mixed += 1
        a, b = given.inputs["a"][i], given.inputs["a"][j]
        one_hot = torch.eye(3)[given.targets["species"][[i, j]]]
        if cls is Mixup:
            differ = (a - b).abs() > 0.1
            found = ((out.inputs["a"][i] - b) / torch.where(differ, a - b, 1.0))[differ]
            kept = float(found.mean()) if differ.any() else float(label @ one_hot[0])
            assert found.numel() == 0 or float(found.std()) < 1e-4
            assert torch.equal(out.mask[i], torch.maximum(given.mask[i], given.mask[j]))
        else:
            pasted = (out.inputs["a"][i] == b).all(0) & ~(a == b).all(0)
            kept = 1 - float(pasted.float().mean()) if given.present["a"][i] else float(label @ one_hot[0])
            rows, columns = pasted.any(1), pasted.any(0)
            assert torch.equal(pasted, rows[:, None] & columns[None]) or not given.present["a"][i]  # a box
        if given.targets["species"][i] != given.targets["species"][j]:
            torch.testing.assert_close(label, kept * one_hot[0] + (1 - kept) * one_hot[1], rtol=0, atol=2e-3)
        assert float(label.sum()) == pytest.approx(1)
    assert mixed >= 3


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_of_the_beta_distribution(alpha):
    n = 20_000
    given = Batch({"a": torch.arange(n).float().view(n, 1, 1, 1).expand(n, 2, 1, 1)}, {"species": torch.arange(n) % 3},
                  {"a": torch.ones(n, dtype=torch.bool)}, torch.arange(n), torch.arange(n))  # fmt: skip
    op = Mixup(label="species", alpha=alpha)
    op.prepare("mix", {"a": contract.IMAGES["a"]}, {"species": 3})
    draw = Draw.start(given.ids, given.ids * 0, 0, 0)
    x, partner = op(given, draw).inputs["a"][:, 0, 0, 0], circle(draw.fold("partner").uniform(1)[:, 0])
    share = (x - partner) / (torch.arange(n) - partner)
    assert float(share.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(share.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.005)


def test_words_are_covered_as_the_paper_says():
    n, length = 400, 9
    g = torch.Generator().manual_seed(0)
    words = torch.randint(4, 20, (n, length), generator=g)
    words[:, 0], words[:, 6], words[:, 7:] = 1, 2, 0
    batch = Batch({"words": words}, {}, {"words": torch.ones(n, dtype=torch.bool)}, torch.arange(n), torch.arange(n))
    out = Augment(contract.TEXT, ops={"m": MaskWords(p=0.3)}, views=1)(batch, 0, 0)
    seen, target = out.inputs["words"], out.targets["masked_words"]
    chosen = target >= 0
    assert not chosen[words < 3].any()
    assert torch.equal(target[chosen], words[chosen])
    assert torch.equal(seen[~chosen], words[~chosen])
    assert chosen[words > 3].float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert (seen[chosen] == 3).float().mean().item() == pytest.approx(0.8, abs=0.04)
    kept = (seen == words)[chosen].float().mean().item()
    assert kept == pytest.approx(0.1 + 0.1 / 16, abs=0.03)
    assert int(seen.max()) < 20


def test_the_marks_of_a_tokenizer_of_a_file_are_never_covered_nor_drawn():
    stream = Stream("words", "text", vocab=12, length=9, pad=7, bos=5, eos=7)
    words = torch.randint(0, 4, (300, 9), generator=torch.Generator().manual_seed(0))
    words[:, 0], words[:, 6:] = 5, 7
    rows = torch.arange(300)
    batch = Batch({"words": words}, {}, {"words": rows >= 0}, rows, rows)
    op = MaskWords(p=0.5, covered=0.2, swapped=0.8, mask=11)
    out = Augment({"words": stream}, ops={"m": op}, views=1)(batch, 0, 0)
    seen, chosen = out.inputs["words"], out.targets["masked_words"] >= 0
    assert chosen[words < 4].float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert not chosen[(words == 5) | (words == 7)].any()
    assert not ((seen == 5) | (seen == 7))[chosen].any()


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
def test_shared_labels_are_the_share_of_each_classs_loss(weight):
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    shares = torch.tensor([[0.2, 0.8, 0.0], [0.0, 0.0, 1.0], [-1.0, -1.0, -1.0], [0.5, 0.25, 0.25]])
    log_p, w = x.log_softmax(1), torch.tensor(weight or [1.0] * 3)
    lost = sum(-float(shares[i, k]) * float(w[k]) * float(log_p[i, k].detach()) for i in (0, 1, 3) for k in range(3))
    count = sum(float(shares[i, k] * w[k]) for i in (0, 1, 3) for k in range(3))
    value = cross_entropy(x, shares, class_weight=weight)
    assert value.item() == pytest.approx(lost / count)
    value.backward()
    assert not x.grad[2].any()
    hard = torch.tensor([1, 2, -1, 0])
    soft = torch.where(hard[:, None] >= 0, torch.nn.functional.one_hot(hard.clamp(min=0), 3), -1).double()
    for fn in (partial(cross_entropy, class_weight=weight, label_smoothing=0.1), nll):
        torch.testing.assert_close(fn(x.log_softmax(1), soft), fn(x.log_softmax(1), hard))
    assert math.isfinite(cross_entropy(x, shares * 0 - 1).item())


IMAGE_TEXT = [
    "modality=image_text",
    "data=emoji",
    "data.root=/tmp",
    "fusion=separate",
    "+backbone@backbones.text=text",
    "label=group",
]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["experiment=classifier", "augment=mixup", "loss=caption", "loss.logits=out.classifier",
          "loss.tokens=batch.targets.species"],
         r"loss\.tokens=batch\.targets\.species: augment\.ops\.mixup makes it \(N, K\) float, and caption takes \(N, L\) int64 "
         r"\(nearest: loss=asymmetric"),
        ([*IMAGE_TEXT, "head=tokens", "loss=masked_tokens", "loss.target=batch.targets.masked", "augment=mask_words",
          "data.labels=[group]"], r"no stage gives batch\.targets\.masked; there is .*batch\.targets\.masked_words"),
    ],
)  # fmt: skip
def test_a_loss_and_an_op_that_do_not_fit_are_refused(words, said):
    with pytest.raises(ConfigError, match=said):
        check_command(words)


@pytest.mark.parametrize(
    ("streams", "op", "said"),
    [
        (
            contract.BOTH,
            lambda: Mixup(label="species"),
            r"augment\.ops\.o mixes image and vector streams; the modality has a ",
        ),
        (
            contract.IMAGES,
            lambda: CutMix(label="specie"),
            r"augment\.ops\.o\.label=specie is no label of classes; .*species",
        ),
        (contract.IMAGES, MaskWords, r"augment\.ops\.o\.stream is null: the modality has no text stream; remove it"),
        (contract.TEXT, lambda: MaskWords(stream="wrds"), r"augment\.ops\.o\.stream is wrds: expected .*words"),
        (
            contract.TEXT,
            lambda: MaskWords(mask=40),
            r"augment\.ops\.o\.mask=40 is no token of words, whose vocabulary has 20",
        ),
        (contract.IMAGES, ShiftSound, r"augment\.ops\.o\.sound is null: the modality has no sound stream; remove it"),
        (contract.CLIPS, lambda: ShiftSound(picture="vido"), r"augment\.ops\.o\.picture is vido: expected .*video"),
        (
            {k: replace(s, rate=None) for k, s in contract.CLIPS.items()},
            ShiftSound,
            r"augment\.ops\.o: stream audio has no rate; set modality\.audio\.rate, in Hz",
        ),
        (contract.CLIPS, lambda: MixSounds(label="specie"), r"augment\.ops\.o\.label=specie is no label .*species"),
        (
            {"audio": replace(contract.CLIPS["audio"], bands=(Band("left"), Band("right")))},
            MixSounds,
            r"augment\.ops\.o: stream audio has 2 bands, expected one; sounds are parted in mono",
        ),
    ],
)
def test_what_it_can_not_act_on_is_told(streams, op, said):
    with pytest.raises(ValueError, match=said):
        Augment(streams, {"species": 3}, ops={"o": op()})
