"""A stream whose tokenizer is a file's: equal to transformers' own, its marks and digest facts of the stream."""

import json

import numpy as np
import pytest
import torch
from tokenizers_made import WAYS, make

from multimodal_lab.backbone.padding import real_tokens
from multimodal_lab.backbone.text import Text
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.data.streams.tokenizer_file import load
from multimodal_lab.files import tokenizer_digest
from multimodal_lab.types import Stream

SAID = ["a red bird", "the moths", "two blue birds on a red branch", "bird"]
KEY = "modality.words.tokens"


@pytest.fixture
def prepared(tmp_path):
    """A function of the stream's own keys, and of texts, to prepared data."""

    def build(texts=SAID * 3, frozen=None, **own):
        rows = [{"id": str(i), "text": text, "part": "train" if i % 2 else "test"} for i, text in enumerate(texts)]
        (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
        source = Pairs(str(tmp_path), images=[], texts=["text"], missing="keep")
        data = Data(source, scaling=DtypeMax(), split=Split(column="part"), labels=[], batch_size=2)
        return data.prepare({"words": {"kind": "text", "field": "text", "length": 12, **own}}, 0, frozen=frozen)

    return build


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length", [5, 16])
def test_ids_and_masks_are_those_that_transformers_makes(tmp_path, way, length):
    peer = make(way, tmp_path)
    tokens = load(str(tmp_path), length, KEY)
    found = torch.from_numpy(np.stack([tokens.encode(text) for text in SAID]))
    want = peer(SAID, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    assert torch.equal(found, want["input_ids"])
    stream = Stream("words", "text", length=length, vocab=tokens.vocab, pad=tokens.marks.pad, eos=tokens.marks.end[-1])
    assert torch.equal(real_tokens(found, stream).long(), want["attention_mask"])
    assert not real_tokens(torch.full((1, 5), stream.pad), stream).any()


@pytest.mark.parametrize("way", WAYS)
def test_the_marks_and_the_digest_are_facts_of_the_stream_and_the_run_keeps_all_of_it(tmp_path, prepared, way):
    peer = make(way, tmp_path / "tok")
    data = prepared(tokens=str(tmp_path / "tok"))
    stream = data.streams["words"]
    assert (stream.pad, stream.bos, stream.eos) == (peer.pad_token_id, peer.bos_token_id, peer.eos_token_id)
    assert stream.vocab == len(peer)
    assert stream.digest == tokenizer_digest((tmp_path / "tok" / "tokenizer.json").read_text())
    assert f"tokenizer {stream.digest[:8]} of {tmp_path / 'tok'}, {len(peer)} entries" in data.notes[0]
    record = json.loads(json.dumps(data.record()))
    (tmp_path / "tok").rename(tmp_path / "moved")
    again = prepared(tokens=str(tmp_path / "tok"), frozen=record)
    assert again.streams == data.streams
    batch = data.batch(np.arange(3))
    assert torch.equal(again.batch(np.arange(3)).inputs["words"], batch.inputs["words"])
    features = Text(stream, width=8, heads=2).eval()(batch.inputs["words"])
    assert torch.equal(features.mask, real_tokens(batch.inputs["words"], stream))


def test_a_row_without_text_is_all_padding_and_an_encoder_sees_it_missing(tmp_path, prepared):
    make("roberta", tmp_path / "tok")
    data = prepared([*SAID, "", ""], tokens=str(tmp_path / "tok"))
    stream, batch = data.streams["words"], data.batch(np.array([0, 4]))
    assert stream.pad != 0
    assert (batch.inputs["words"][1] == stream.pad).all()
    assert Text(stream, width=8, heads=2).eval()(batch.inputs["words"]).present.tolist() == [True, False]


def test_what_a_file_loses_is_counted_and_told(tmp_path, prepared):
    make("bert", tmp_path / "tok")
    long = "a red bird on a branch and a blue moth"
    of, said = prepared([*SAID, long, "ζ bird"] * 2, tokens=str(tmp_path / "tok"), length=8).notes[-2:]
    assert of.startswith("text words: tokenizer ")
    assert said.startswith("warning: text words: ")
    assert "of texts are cut" in said
    assert "modality.words.length=12 keeps the longest (length is 8)" in said
    assert "words are unknown in t" in said
    assert "bpe" not in said  # no other vocabulary can be asked of a file


def broken(folder):
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text()[:400])


def without_padding(folder):
    for path in folder.glob("*config.json"):
        path.unlink()
    text = (folder / "tokenizer.json").read_text().replace("[PAD]", "[FILL]")
    (folder / "tokenizer.json").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "own", "words"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), {}, r"tokens=\S+: no tokenizer\.json in this directory; expected word, bpe"),
        (broken, {}, r"tokenizer\.json is not a file of the package tokenizers"),
        (without_padding, {}, "nothing names a padding token; name it as pad_token"),
        (lambda f: None, {"tokens": "wrod"}, r"tokens=wrod: no such file .*; expected word, bpe"),
        (lambda f: None, {"length": 2}, r"modality\.words\.length: 2 leaves no word beside 2 marks"),
        (lambda f: None, {"role": "target"}, "choose word or bpe|no input stream"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(tmp_path, prepared, spoil, own, words):
    make("bert", tmp_path / "tok")
    spoil(tmp_path / "tok")
    with pytest.raises(DataError, match=words) as error:
        prepared(**{"tokens": str(tmp_path / "tok"), **own})
    assert "\n" not in str(error.value)


def test_padding_that_begins_every_text_is_refused(tmp_path):
    make("bert", tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "pad_token": "[CLS]"}))
    with pytest.raises(DataError, match=r"every text begins with its padding token \(\[CLS\]\)"):
        load(str(tmp_path), 8, KEY)
