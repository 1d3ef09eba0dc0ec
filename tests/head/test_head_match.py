"""The matching head: its negatives by slow loops, and what it says of pairs that are not there."""

import math

import pytest
import torch

from multimodal_lab.head.match import Match
from multimodal_lab.loss.match import match

DIMS = {"image": 8, "text": 12, "fused": 10}


def made(**knobs):
    torch.manual_seed(0)
    return Match(DIMS, width=16, heads=2, layers=1, **knobs)


def vectors(n, seed=3):
    g = torch.Generator().manual_seed(seed)
    return {"projection": {name: torch.randn(n, 6, generator=g) for name in ("image", "text")}}


def hardest(z, other, ids, there):
    """For each row the most similar of the other stream that shows another sample; None where there is none."""
    found = []
    for i in range(len(ids)):
        fit = [j for j in range(len(ids)) if ids[j] != ids[i] and there[j] and there[i]]
        found.append(max(fit, key=lambda j: torch.cosine_similarity(z[i], other[j], dim=0).item(), default=None))
    return found


def test_it_judges_the_pair_and_the_hardest_of_either_side(make, batch):
    n, head, out = 7, made().eval(), vectors(7)
    there = torch.tensor([1, 1, 0, 1, 1, 1, 1]).bool()
    features = make(DIMS, n, present={"image": there, "text": torch.arange(n) != 5, "fused": there | True})
    given = batch(n).replace(same=torch.tensor([0, 1, 2, 3, 0, 5, 6]))  # rows 0 and 4 show one thing
    said = head(features, given, out)
    both = there & (torch.arange(n) != 5)
    z, ids = out["projection"], given.same
    texts, images = hardest(z["text"], z["image"], ids, both), hardest(z["image"], z["text"], ids, both)

    def alone(i, j):  # text of row i, image of row j
        text, image = features["text"], features["image"]
        cut = {name: type(f)(f.tokens[[k]], f.pooled[[k]], f.mask[[k]]) for name, f, k in
               (("text", text, i), ("image", image, j), ("fused", features["fused"], i))}  # fmt: skip
        row = {"projection": {name: x[[i]] for name, x in z.items()}}
        return head(cut, batch(1), row)["logits"][0, 0]

    for i in range(n):
        for column, pair in enumerate([(i, i), (i, texts[i]), (images[i], i)]):
            known = bool(both[i]) and pair[0] is not None and pair[1] is not None
            assert bool(said["known"][i, column]) == known
            if known:
                torch.testing.assert_close(said["logits"][i, column], alone(*pair), rtol=1e-4, atol=1e-5)


def test_negatives_are_drawn_by_similarity(make, batch):
    head = made(temperature=0.5)
    z = torch.nn.functional.normalize(torch.randn(5, 6, generator=torch.Generator().manual_seed(1)), dim=1)
    ids, allowed = torch.arange(5), ~torch.eye(5, dtype=torch.bool)
    score = z @ z.T / 0.5
    torch.manual_seed(5)
    drawn = torch.stack([head._choose(score, allowed, ids, 1)[0] for _ in range(4000)])
    share = torch.stack([(drawn == j).float().mean(0) for j in range(5)], 1)
    expected = score.masked_fill(~allowed, -math.inf).softmax(1)
    torch.testing.assert_close(share, expected, rtol=0, atol=0.03)


def test_a_row_draws_the_same_whatever_else_is_in_the_batch():
    head, ids, allowed = made(), torch.arange(6), ~torch.eye(6, dtype=torch.bool)
    score, kept = torch.randn(6, 6, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 2, 3, 5])
    allowed[:, [1, 4]] = False
    torch.manual_seed(5)
    whole = head._choose(score, allowed, ids, 1)[0]
    torch.manual_seed(5)
    few = head._choose(score[kept][:, kept], allowed[kept][:, kept], ids[kept], 1)[0]
    assert whole[kept].tolist() == kept[few].tolist()


def test_the_loss_is_the_mean_over_the_pairs_that_there_are():
    x = torch.tensor([[2.0, -1.0, 0.5], [0.3, 7.0, math.nan]], requires_grad=True)
    known = torch.tensor([[True, True, True], [True, False, False]])
    wanted = [math.log1p(math.exp(-2)), math.log1p(math.exp(-1)), math.log1p(math.exp(0.5)), math.log1p(math.exp(-0.3))]
    value = match(x, known)
    assert value.item() == pytest.approx(sum(wanted) / 4)
    value.backward()
    assert not x.grad[1, 1:].any()


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"query": "txt"}, r"head=match: query='txt' is not there; .*text"),
        ({"query": "text", "other": "text"}, r"head=match: other='text' is not there"),
        ({"by": "classifier"}, r"head=match: by=classifier gives no vectors of text and image by name"),
    ],
)
def test_bad_names_are_told(knobs, said, make, batch):
    with pytest.raises(ValueError, match=said):
        made(**knobs)(make(DIMS, 2), batch(2), {"classifier": torch.zeros(2, 3)})
