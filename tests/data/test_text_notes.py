"""What a tokenizer loses is told: texts that are cut, words that it does not know."""

import json

import pytest

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.data.streams.tokenizer import Tokens


def test_the_shares_that_are_lost():
    tokens = Tokens.train(["a red bird", "a blue moth"], 200, 5)
    assert tokens.lost(["a red bird", "a red red bird"]) == (0.5, 0.0, 4, 0)
    assert tokens.lost(["a green bird", "a bird"]) == (0.0, 0.2, 3, 0)
    assert tokens.lost(["green fish", "a bird", ""]) == (0.0, 0.5, 2, 2)
    assert tokens.lost([]) == (0.0, 0.0, 0, 0)
    with pytest.raises(DataError, match="half of a surrogate pair"):
        tokens.encode("a \ud83d bird")


@pytest.fixture
def notes(tmp_path):
    """A function of the texts of train and test, and the modality's own settings, to what is told of them."""

    def told(train, test, **own):
        rows = [{"id": f"{part}{i}", "text": text, "part": part} for part, texts in (("train", train), ("test", test))
                for i, text in enumerate(texts)]  # fmt: skip
        (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
        source = Pairs(str(tmp_path), images=[], texts=["text"])
        data = Data(source, scaling=DtypeMax(), split=Split(column="part"), labels=[], batch_size=2)
        return [n for n in data.prepare({"words": {"kind": "text", "field": "text", **own}}, 0).notes if "words" in n]

    return told


def test_texts_that_are_cut_and_unknown_words_are_counted_in_each_split(notes):
    (said,) = notes(["a b c d"] * 5, [["a b c d e f", "a"], "z a"], length=5, vocab=40)
    assert said.startswith("warning: text words: 100.0% of texts are cut and 0.0% of words are unknown in train; ")
    assert "33.3% of texts are cut and 33.3% of words are unknown in test; " in said
    assert (
        "modality.words.length=8 keeps the longest (length is 5), modality.words.tokens=bpe and a larger vocab" in said
    )


@pytest.mark.parametrize(
    ("train", "test", "where"),
    [
        (["a b", "a \ud83d"], ["a b"], r"index\.jsonl: text of row 2"),
        (["a b", ["a b", "a \ud83d"]], ["a b"], "stream words"),
        (["a b", "c d"], ["a b", ["a \ud83d"]], "stream words"),
    ],
)
def test_half_a_character_is_refused_with_its_text(notes, train, test, where):
    with pytest.raises(DataError, match=rf"{where}: 'a \\ud83d' holds half of a surrogate pair"):
        notes(train, test, length=5, vocab=40)


def test_few_are_told_without_a_warning_and_none_not_at_all(notes):
    assert notes(["a b"] * 3, ["b a"], length=5, vocab=40) == []
    (said,) = notes(["a b"] * 3, ["a b"] * 200 + ["z"], length=5, vocab=40)
    assert said.startswith("text words: 0.0% of texts are cut and 0.2% of words are unknown in test")


def test_texts_without_a_known_word_are_counted(notes):
    (said,) = notes(["a b"] * 3, ["z", "y z", "a"], length=5, vocab=40)
    assert "75.0% of words are unknown in test (2 of 3 texts have no known word)" in said


def test_a_text_too_short_for_a_word_is_refused_by_its_key(notes):
    with pytest.raises(DataError, match=r"modality\.words\.length=2: expected 3 or more \(nearest: .*length=3\)"):
        notes(["a b"] * 3, ["a"], length=2, vocab=40)
    with pytest.raises(DataError, match=r"modality\.words\.vocab=4: expected 5 or more"):
        notes(["a b"] * 3, ["a"], length=9, vocab=4)
