"""Directories as sentence-transformers writes them: what stands behind the pooled vector is applied, or refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from tokenizers_made import make
from towers_made import SIZE, moved
from transformers import BertConfig, BertModel

from multimodal_lab.backbone.transformers_text import TransformersText
from multimodal_lab.data.streams.tokenizer_file import load
from multimodal_lab.files import tokenizer_digest
from multimodal_lab.pretrained.tokenizer import instead
from multimodal_lab.runs.hashes import weights_hash
from multimodal_lab.types import Stream

SAID = ["a red bird on a branch", "moths", "two blue birds"]
TANH, SAME = "torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"
PLACES = 12


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """BERT, the mean of its tokens, 24 to 20 numbers with tanh, 20 to 10 without a bias, unit length."""
    folder = tmp_path_factory.mktemp("sentences")
    own = make("bert", folder)
    model = moved(BertModel(BertConfig(vocab_size=len(own), max_position_embeddings=PLACES, **SIZE)))
    model.save_pretrained(folder)
    modules = ["", "1_Pooling", "2_Dense", "3_Dense", "4_Normalize"]
    kinds = ["Transformer", "Pooling", "Dense", "Dense", "Normalize"]
    listed = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
              for i, (path, kind) in enumerate(zip(modules, kinds))]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 24, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    torch.manual_seed(1)
    tensors = []
    for name, width, out, bias, activation in (("2_Dense", 24, 20, True, TANH), ("3_Dense", 20, 10, False, SAME)):
        (folder / name).mkdir()
        says = {"in_features": width, "out_features": out, "bias": bias, "activation_function": activation}
        (folder / name / "config.json").write_text(json.dumps(says))
        state = {"linear.weight": torch.randn(out, width)} | ({"linear.bias": torch.randn(out)} if bias else {})
        save_file(state, folder / name / "model.safetensors")
        tensors += state.values()
    return folder, model, own(SAID, padding="max_length", max_length=PLACES, return_tensors="pt"), tensors


@pytest.fixture
def copied(written, tmp_path):
    shutil.copytree(written[0], tmp_path / "model")
    return tmp_path / "model"


def stream_of(folder):
    tokens = load(str(folder), PLACES, "tokens")
    facts = {"pad": tokens.marks.pad, "digest": tokenizer_digest(tokens.to_json())}
    return Stream("text", kind="text", vocab=tokens.vocab, length=PLACES, **facts)


@torch.no_grad()
def test_the_layers_are_applied_as_the_formula_says(written):
    folder, model, given, (w, b, v) = written
    net = TransformersText(stream_of(folder), weights=str(folder)).eval()
    found = net(given["input_ids"])
    mask = given["attention_mask"].bool()
    hidden = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
    want = torch.tanh(torch.stack([x[m].mean(0) for x, m in zip(hidden, mask)]) @ w.T + b) @ v.T
    torch.testing.assert_close(found.pooled, want, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.tokens[mask], torch.tanh(hidden[mask] @ w.T + b) @ v.T, rtol=1e-5, atol=1e-5)
    assert not found.tokens[~mask].any()
    assert net.dim == 10
    own = TransformersText(stream_of(folder), weights=str(folder), pool="mean")  # the user's own way
    assert own.dim == 24
    fresh = TransformersText(stream_of(folder), weights=str(folder), begin="random")
    assert not torch.equal(fresh.projection[0].weight, net.projection[0].weight)


def change(name, **says):
    def spoil(folder):
        path = folder / name
        found = json.loads(path.read_text())
        (found if isinstance(found, dict) else found[2]).update(says)
        path.write_text(json.dumps(found))

    return spoil


def dense(**says):
    return change("2_Dense/config.json", **says)


def pickled(folder):
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")


def other(folder):
    save_file({"linear.weight": torch.randn(20, 24)}, folder / "2_Dense" / "model.safetensors")


LSTM = "sentence_transformers.models.LSTM"
SPOILT = {
    "another kind": (change("modules.json", type=LSTM), r"names a module LSTM, and .*Dense are read"),
    "elsewhere": (change("modules.json", path="../2_Dense"), r"names '\.\./2_Dense', which is no folder beside it"),
    "no list": (lambda f: (f / "modules.json").write_text("{}"), r"modules\.json: expected a list of modules"),
    "an activation": (dense(activation_function="os.system"), r"activation_function 'os\.system', expected"),
    "no activation": (dense(activation_function=None), r"activation_function None, expected one of"),
    "a width": (dense(in_features=32), r"a layer from 32 .* a vector of 24; expected in_features=24"),
    "no config": (lambda f: (f / "3_Dense" / "config.json").unlink(), r"a layer from None to None numbers behind a vector of 20"),
    "a pickle": (pickled, r"2_Dense: pytorch_model\.bin is a pickle, .*convert it once with"),
    "other tensors": (other, r"2_Dense: its tensors are not those of its config\.json \(Missing key"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
def test_what_is_not_applied_is_refused_in_one_sentence_and_before_data_are_read(copied, case):
    stream, (spoil, words) = stream_of(copied), SPOILT[case]
    TransformersText.require_possible(str(copied), tokens=str(copied))
    spoil(copied)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
        TransformersText(stream, weights=str(copied))
    assert "\n" not in str(error.value)
    if case != "other tensors":
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            TransformersText.require_possible(str(copied), tokens=str(copied))


def test_the_layers_are_part_of_what_names_the_weights(copied):
    before = weights_hash(copied)
    other(copied)
    assert weights_hash(copied) != before


@pytest.fixture
def apart(copied, tmp_path):
    """The model in a folder of its own, as older directories have it, whose vector is that of the first token."""
    (tmp_path / "apart").mkdir()
    for name in ("1_Pooling", "2_Dense", "3_Dense", "modules.json"):
        (copied / name).rename(tmp_path / "apart" / name)
    copied.rename(tmp_path / "apart" / "0_Transformer")
    modes = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    change("1_Pooling/config.json", **modes)(tmp_path / "apart")
    listed = json.loads((tmp_path / "apart" / "modules.json").read_text())
    listed[0]["path"] = "0_Transformer"
    (tmp_path / "apart" / "modules.json").write_text(json.dumps(listed))
    return tmp_path / "apart"


@torch.no_grad()
def test_a_model_in_a_folder_of_its_own_has_what_stands_beside_it(apart, written):
    inside = str(apart / "0_Transformer")
    _, model, given, (w, b, v) = written
    net = TransformersText(stream_of(apart / "0_Transformer"), weights=inside).eval()
    assert net.pool == "first"
    hidden = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state[:, 0]
    want = torch.tanh(hidden @ w.T + b) @ v.T
    torch.testing.assert_close(net(given["input_ids"]).pooled, want, rtol=1e-5, atol=1e-5)
    before = weights_hash(apart / "0_Transformer")
    other(apart)
    assert weights_hash(apart / "0_Transformer") != before
    (apart / "2_Dense" / "config.json").unlink()
    with pytest.raises(ValueError, match="a layer from None to None numbers"):
        TransformersText.require_possible(inside, tokens=inside)


def test_a_directory_of_such_a_folder_is_refused_with_the_folder(apart):
    with pytest.raises(
        ValueError, match=rf"modules\.json says that its model lies in backbone\.weights={apart}/0_Transformer$"
    ):
        TransformersText.require_possible(str(apart))
    assert instead(str(apart)) == f"modules.json says that its model lies in {apart}/0_Transformer"
