"""A text is looked up by its token ids, and a batch with one that no table has is encoded."""

import torch

from multimodal_lab.cache.texts import TextEncodings, TextLookup
from multimodal_lab.types import Features


def test_known_texts_are_looked_up_and_others_encoded():
    words = torch.randint(0, 9, (40, 5), generator=torch.Generator().manual_seed(0)).unique(dim=0)
    pooled = torch.arange(len(words)).float()[:, None]
    table = TextEncodings(
        pooled[:, None], pooled, torch.ones(len(words), 1, dtype=torch.bool), torch.ones(1), words=words
    )
    asked = []

    def forward(x):
        asked.append(x)
        return Features.from_vector(-torch.ones(len(x), 1))

    lookup, order = TextLookup(table, forward), torch.randperm(len(words))
    found = lookup(words[order])
    assert torch.equal(found.pooled, pooled[order])
    assert torch.equal(found.tokens[:, 0], pooled[order])
    assert not asked
    other = words[order].clone()
    other[3, 2] = 9
    for x in (other, words[:, :4]):
        assert (lookup(x).pooled == -1).all()
        assert asked[-1] is x
