"""What components state of their own arguments is refused before anything is read: how numbers go together, what names mean."""

import copy
import re

import pytest
from omegaconf import OmegaConf

from multimodal_lab.bounds import require_relations, unfit
from multimodal_lab.config import compose, resolvers
from multimodal_lab.config.rules.arguments import ARGUMENT_RULES

SYNC, SEPARATE = ["experiment=av_sync"], ["experiment=av_separation", "+loss@losses.mask=mask"]
MATCH, CLASSIFY = ["experiment=image_text_matching"], ["experiment=audio_classify", "backbone=audio_transformer"]
KEPT = {"cache": {"_target_": "multimodal_lab.cache.features.Features"}}
# the line, what is changed of it, and what is said
REFUSED = [
    (SYNC, {"head.kernel": 4}, r"head.kernel=4: expected an odd number \(nearest: head.kernel=5\)"),
    (SYNC, {"head.sound": "vidio"}, r"head.sound=vidio: expected one of video, audio \(nearest: head.sound=video\)"),
    (SYNC, {"augment.ops.shift_sound.picture": "vide"}, r"augment.ops.shift_sound.picture=vide: expected one of"),
    (SEPARATE, {"head.hop_length": 400}, r"head.hop_length=400: expected at most half of n_fft=512 \(.*hop_length=256\)"),
    (SEPARATE, {"head.condition": "clas"}, r"head.condition=clas: expected one of .*nearest: head.condition=class"),
    (SEPARATE, {"backbones.audio.groups": 7}, r"backbones.audio.widths=\[16, 32\]: expected divisible by groups=7"),
    (SEPARATE, {"backbones.audio.mel.win_length": 600}, r"mel.win_length=600: expected at most n_fft=512"),
    (SEPARATE, {"head.hop_length": 64}, r"losses.mask.hop_length=128: expected that of head, 64"),
    (SEPARATE, {"loss.permute": True}, r"head.sources=1: loss compares it with a target of \(N, 2, T\) float, expected 2"),
    (SEPARATE, KEPT, r"head=separator: reads the inputs of audio themselves, which cache=features never .*cache=none"),
    (SEPARATE, {"evaluate.separation.label": "clas"}, r"evaluate.separation.label=clas: expected one of"),
    (MATCH, {"evaluate.p": {"_target_": "multimodal_lab.evaluate.probe.Probe", "choose_on": "val"}, "data.split.val": 0,
             "data.split.column": None}, r"data.split.val=0: leaves no val split, which evaluate.p as it is set reads"),
    (MATCH, {"heads.match.query": "txt"}, r"heads.match.query=txt: expected one of image, text"),
    (MATCH, {"heads.match.width": 10, "heads.match.heads": 4}, r"does not divide heads.match.width=10"),
    (CLASSIFY, {"backbone.patch": 80}, r"backbone.patch=80: expected at most mel.n_mels=64"),
]  # fmt: skip


@pytest.fixture(scope="module")
def problems():
    """What the rules say of a command line's config with some values changed."""
    resolvers.register()
    known = {}

    def of(line, changes):
        if (key := tuple(line)) not in known:
            cfg = compose.composed([*line, "data.root=/nowhere"])
            known[key] = OmegaConf.to_container(cfg, resolve=True)
        tree = copy.deepcopy(known[key])
        for path, value in changes.items():
            *above, last = path.split(".")
            node = tree
            for word in above:
                node = node[word]
            node[last] = value
        return [str(problem) for rule in ARGUMENT_RULES for problem in rule(tree)]

    return of


@pytest.mark.parametrize(("line", "changes", "said"), REFUSED, ids=[str(changes) for _, changes, _ in REFUSED])
def test_it_is_refused_before_training(line, changes, said, problems):
    found = problems(line, changes)
    assert any(re.search(said, one) for one in found), found


@pytest.mark.parametrize("line", [SYNC, SEPARATE, MATCH, CLASSIFY], ids=" ".join)
def test_what_fits_passes(line, problems):
    assert problems(line, {}) == []


@pytest.mark.parametrize(
    ("words", "given", "near"),
    [
        ("odd", {"a": 3}, ...), ("odd", {"a": 4}, 5), ("even", {"a": 3}, 4), ("one or more", {"a": []}, None),
        ("two or more", {"a": [1]}, None), ("two or more", {"a": [1, 2]}, ...), ("divides b", {"a": 4, "b": 6}, 3),
        ("divides b", {"a": 3, "b": 6}, ...), ("divided by b", {"a": [8, 12], "b": 8}, None),
        ("at most b.c", {"a": 9, "b": {"c": 4}}, 4),
        ("at most half of b", {"a": 4, "b": 8}, ...), ("at most half of b", {"a": 5, "b": 8}, 4),
        ("at most b", {"a": None, "b": 2}, ...),
        ("even, at most b", {"a": 6, "b": 4}, 4),
    ],
)  # fmt: skip
def test_every_relation_holds_or_names_the_nearest(words, given, near):
    found = list(unfit({"a": words}, given))
    assert [bad.near for bad in found] == ([] if near is ... else [near])
    if found:
        with pytest.raises(ValueError, match=r"mine: a=.*: expected"):
            require_relations("mine", {"a": words}, given)


def test_an_unknown_relation_is_told():
    with pytest.raises(ValueError, match=r"relations: a: 'prime', expected one of odd, even"):
        list(unfit({"a": "prime"}, {"a": 1}))
