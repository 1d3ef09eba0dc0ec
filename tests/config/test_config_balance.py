import pytest

from multimodal_lab.config import schema


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "modality=rgb fusion=separate",
            "balances the encoders of two streams or more, and the modality has rgb alone",
        ),
        ("fusion=concat backbone=shared", "needs an encoder for each stream, and backbone=shared is one for all"),
        (
            "fusion=concat cache=features",
            "changes the gradients of encoders, and those that cache=features keeps have none",
        ),
        ("fusion=concat train.micro_batch=8", "sees the features of whole batches; expected train.micro_batch=null"),
        ("fusion=concat train.shard=true", "changes whole gradients, and train.shard=true cuts them"),
        (
            "fusion=modality_tokens",
            "asks the fusion about each stream alone, and fusion=modality_tokens changes the streams",
        ),
        ("fusion=concat head=projection loss=simclr", "needs a class of each stream alone, and no head tells a class"),
        ("fusion=concat head.input=rgb", "needs a class of each stream alone, and head classifier reads rgb alone"),
        ("fusion=concat", ""),
        ("fusion=separate head=late_fusion loss=nll", ""),
    ],
)
def test_what_cannot_be_balanced_is_one_sentence_before_training(composed, words, said):
    cfg = composed("experiment=classifier", "train.balance=ogm_ge", *words.split())
    found = [p.expected for p in schema.check(cfg) if p.key == "train.balance" or not said]
    assert found == ([said] if said else [])
