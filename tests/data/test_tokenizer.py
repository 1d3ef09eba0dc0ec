import random

import numpy as np
import pytest

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.tokenizer import BOS, EOS, PAD, UNK, Tokens

TEXTS = ["A red bird", "a red moth", "a blue bird, flying"]


@pytest.mark.parametrize("model", ["word", "bpe"])
def test_there_and_back(model):
    tokens = Tokens.train(TEXTS, 200, 12, model)
    made = tokens.encode("A blue moth")
    assert made.dtype == np.int64
    assert made.shape == (12,)
    assert made[0] == BOS
    assert made.max() < tokens.vocab <= 200
    assert tokens.decode(made).replace(" ", "") == "abluemoth"


def test_layout_of_marks():
    made = Tokens.train(TEXTS, 200, 6).encode("a yellow bird")
    assert made[[0, 2, 4, 5]].tolist() == [BOS, UNK, EOS, PAD]


def test_too_long_a_text_keeps_its_end_mark():
    made = Tokens.train(TEXTS, 200, 4).encode("a red red red bird")
    assert made[-1] == EOS
    assert (made[1:3] > UNK).all()


def test_vocab_is_a_limit_and_keeps_the_commonest():
    tokens = Tokens.train(TEXTS, 6, 8)
    assert tokens.vocab == 6
    assert tokens.decode(tokens.encode("a bird")).split()[0] == "a"
    assert UNK in tokens.encode("flying")


@pytest.mark.parametrize("model", ["word", "bpe"])
def test_the_order_of_the_texts_changes_nothing_and_json_is_all_of_it(model):
    shuffled = TEXTS * 3
    random.Random(0).shuffle(shuffled)
    one, two = Tokens.train(TEXTS * 3, 30, 12, model), Tokens.train(shuffled, 30, 12, model)
    again = Tokens.from_json(one.to_json(), 12)
    for text in TEXTS:
        assert np.array_equal(one.encode(text), two.encode(text))
        assert np.array_equal(one.encode(text), again.encode(text))


@pytest.mark.parametrize(("texts", "vocab", "length"), [([], 100, 10), (TEXTS, 4, 10), (TEXTS, 100, 2)])
def test_what_cannot_work_is_refused(texts, vocab, length):
    with pytest.raises(DataError, match="modality"):
        Tokens.train(texts, vocab, length)
