"""Models of transformers from a directory: tiny random ones give their own outputs; what does not fit is one sentence."""

import json
import shlex

import pytest
import torch
from safetensors.torch import save_file
from tokenizers_made import make
from towers_made import PLACES, siglip
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    GPT2Config,
    GPT2Model,
    RobertaConfig,
    RobertaModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5Model,
    ViTConfig,
    ViTModel,
)

from multimodal_lab.backbone import weights
from multimodal_lab.backbone.pooling import own_pooling
from multimodal_lab.backbone.transformers_image import TransformersImage
from multimodal_lab.backbone.transformers_text import TransformersText
from multimodal_lab.data.streams.tokenizer_file import load
from multimodal_lab.files import tokenizer_digest
from multimodal_lab.types import Band, Stream

RGB = ["R|B04", "G|B03", "B|B02"]
SIZE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
SAID = ["a red bird on a branch", "moths", "two blue birds"]
LENGTH = 12


def clip(folder, vocab=60, marks=(1, 2)):
    text = {
        **SIZE,
        "vocab_size": vocab,
        "max_position_embeddings": 20,
        "bos_token_id": marks[0],
        "eos_token_id": marks[1],
    }
    vision = {**SIZE, "image_size": 32, "patch_size": 8}
    return saved(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)), folder)


def saved(model, folder):
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    model.save_pretrained(folder)
    return model.eval()


def stream_of(folder, length=LENGTH):
    tokens = load(str(folder), length, "tokens")
    m = tokens.marks
    facts = {
        "pad": m.pad,
        "bos": m.begin[0] if m.begin else None,
        "eos": m.end[-1],
        "digest": tokenizer_digest(tokens.to_json()),
    }
    return Stream("text", "text", vocab=tokens.vocab, length=length, **facts)


def texts(folder, way):
    peer = make(way, folder)
    return peer(SAID, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"), len(peer), peer


@torch.no_grad()
@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "t5"])
def test_a_text_model_gives_its_own_tokens(tmp_path, name):
    way = "roberta" if name == "roberta" else "bert"
    given, vocab, own = texts(tmp_path, way)
    pad = own.pad_token_id
    build = {
        "bert": lambda: BertModel(BertConfig(vocab_size=vocab, max_position_embeddings=20, pad_token_id=pad, **SIZE)),
        "roberta": lambda: RobertaModel(
            RobertaConfig(vocab_size=vocab, max_position_embeddings=LENGTH + pad + 1, pad_token_id=pad, **SIZE)
        ),
        "gpt2": lambda: GPT2Model(GPT2Config(vocab_size=vocab, n_positions=20, n_embd=24, n_layer=2, n_head=2)),
        "t5": lambda: T5Model(
            T5Config(
                vocab_size=vocab, d_model=24, d_kv=12, d_ff=48, num_layers=2, num_heads=2, decoder_start_token_id=0
            )
        ),
    }[name]
    peer = saved(build(), tmp_path)
    make(way, tmp_path)  # save_pretrained of a model leaves a tokenizer alone
    want = (peer.get_encoder() if name == "t5" else peer)(**{k: given[k] for k in ("input_ids", "attention_mask")})
    mask = given["attention_mask"].bool()
    for pool in ("mean", "first", "last"):
        f = TransformersText(stream_of(tmp_path), weights=str(tmp_path), pool=pool).eval()(given["input_ids"])
        assert torch.equal(f.mask, mask)
        torch.testing.assert_close(f.tokens[mask], want.last_hidden_state[mask], rtol=1e-5, atol=1e-5)
        assert not f.tokens[~mask].any()
        last = want.last_hidden_state[torch.arange(3), mask.sum(1) - 1]
        mean = (want.last_hidden_state * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        pooled = {"mean": mean, "first": want.last_hidden_state[:, 0], "last": last}[pool]
        torch.testing.assert_close(f.pooled, pooled, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_both_halves_of_clip_give_their_own_embeddings(tmp_path):
    given, vocab, own = texts(tmp_path, "clip")
    peer = clip(tmp_path, vocab, (own.bos_token_id, own.eos_token_id))
    f = TransformersText(stream_of(tmp_path), weights=str(tmp_path), pool="pooler").eval()(given["input_ids"])
    want = peer.text_model(input_ids=given["input_ids"], attention_mask=given["attention_mask"])
    torch.testing.assert_close(f.pooled, want.pooler_output, rtol=1e-5, atol=1e-5)
    assert torch.equal(f.mask.long(), given["attention_mask"])
    x = torch.randn(2, 3, 32, 32)
    net = TransformersImage(image(), weights=str(tmp_path), pretrained_bands=RGB).eval()
    want = peer.vision_model(pixel_values=x)
    torch.testing.assert_close(net(x).pooled, want.pooler_output, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(net(x).tokens, want.last_hidden_state[:, 1:], rtol=1e-5, atol=1e-5)


def image(*names, size=32):
    return Stream("rgb", bands=tuple(Band(n) for n in names or "RGB"), size=size)


@torch.no_grad()
@pytest.mark.parametrize("name", ["vit", "dinov2", "siglip"])
def test_an_image_model_gives_its_own_outputs_in_any_order_of_bands(tmp_path, name):
    size = {**SIZE, "image_size": 32, "patch_size": 8}
    peer = saved(
        {
            "vit": lambda: ViTModel(ViTConfig(**size)),
            "dinov2": lambda: Dinov2Model(Dinov2Config(**{k: v for k, v in size.items() if k != "intermediate_size"})),
            "siglip": lambda: SiglipVisionModel(SiglipVisionConfig(**size)),
        }[name](),
        tmp_path,
    )
    x = torch.randn(2, 3, 32, 32)
    want = peer(pixel_values=x)
    prefix = 0 if name == "siglip" else 1
    net = TransformersImage(image("G", "B", "R"), weights=str(tmp_path), pretrained_bands=RGB).eval()
    f = net(x[:, [1, 2, 0]])
    torch.testing.assert_close(f.pooled, want.pooler_output, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(f.tokens, want.last_hidden_state[:, prefix:], rtol=1e-5, atol=1e-5)
    larger = TransformersImage(
        image("R", "UV", size=48), weights=str(tmp_path), pretrained_bands=RGB, pool="mean"
    ).eval()
    assert larger(torch.randn(2, 2, 48, 48)).tokens.shape == (2, 36, 24)


def test_what_a_processor_says_of_mean_and_std_is_the_backbones_normalisation(tmp_path):
    clip(tmp_path)
    with pytest.raises(ValueError, match=r"has no preprocessor_config\.json with image_mean"):
        TransformersImage.normalisation(str(tmp_path), RGB)
    says = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1], "rescale_factor": 1 / 255}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(says))
    found = TransformersImage.normalisation(str(tmp_path), RGB)
    assert (found["mean"], found["std"], found["bands"]) == ([0.5, 0.4, 0.3], [0.2, 0.2, 0.1], RGB)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**says, "rescale_factor": 1.0}))
    with pytest.raises(ValueError, match=r"rescales images otherwise than by 1/255"):
        TransformersImage.normalisation(str(tmp_path), RGB)


def text_model(folder, vocab=None):
    given, own, _ = texts(folder, "bert")
    return saved(BertModel(BertConfig(vocab_size=vocab or own, max_position_embeddings=LENGTH, **SIZE)), folder), given


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digest": "0" * 64}, r"modality\.text\.tokens: tokenizer 00000000 of \d+ entries.* give modality\.text\.tokens="),
        ({"vocab": 999}, r"a tokenizer of 999 entries, but the model in \S+ has a table of \d+"),
        ({"length": 13}, r"modality\.text\.length: 13 tokens, but the model in \S+ has places for 12; at most 12"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_is_not_the_towers_is_refused(tmp_path, change, words):
    text_model(tmp_path)
    stream = Stream(**{**vars(stream_of(tmp_path)), **change})
    with pytest.raises(ValueError, match=words):
        TransformersText(stream, weights=str(tmp_path))


def test_without_a_tokenizer_in_its_directory_the_size_must_agree(tmp_path):
    text_model(tmp_path)
    stream = stream_of(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    TransformersText(stream, weights=str(tmp_path))
    with pytest.raises(ValueError, match=r"has a table of \d+; give the tokenizer that it was trained with"):
        TransformersText(Stream(**{**vars(stream), "vocab": 9}), weights=str(tmp_path))


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lacking(folder):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in state.items() if "layer.1." not in k}, folder / "model.safetensors", {"format": "pt"})


class Evil:
    """A pickle that would run code on reading."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def pickled(folder):
    (folder / "model.safetensors").unlink()
    torch.save({"x": Evil(folder / "ran")}, folder / "pytorch_model.bin")


def absent(folder):
    (folder / "model.safetensors").unlink()


def foreign(folder):
    config = {"model_type": "mine", "auto_map": {"AutoModel": "model.Mine", "AutoConfig": "model.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, r"can't be loaded: SafetensorError"),
        (lacking, r"\d+ tensors of BertModel are not in its files, or of another shape \(first: encoder\.layer\.1"),
        (pickled, r"pytorch_model\.bin is a pickle, expected model\.safetensors or .*; convert it once with `python -c"),
        (absent, r"expected model\.safetensors or model\.safetensors\.index\.json in it, found neither"),
        (foreign, r"config\.json is of no model that transformers knows"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json is of no model that transformers knows: ValueError|JSON"),
        (lambda f: (f / "config.json").unlink(), r"expected a directory with config\.json.*found no config\.json in it"),
    ],
)  # fmt: skip
def test_a_directory_that_is_broken_or_would_run_code_is_one_sentence(tmp_path, spoil, words):
    text_model(tmp_path)
    stream = stream_of(tmp_path)
    spoil(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
        TransformersText(stream, weights=str(tmp_path))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("files", [1, 2])
def test_a_pickle_is_refused_before_data_are_read_and_read_once_it_is_converted_as_the_message_says(tmp_path, files):
    peer = clip(tmp_path)
    x = torch.randn(2, 3, 32, 32)
    given: dict = {"weights": str(tmp_path), "pretrained_bands": RGB, "projection": True}
    want = TransformersImage(image(), **given).eval()(x)
    (tmp_path / "model.safetensors").unlink()
    state = list(peer.state_dict().items())
    for i in range(files):
        torch.save(dict(state[i::files]), tmp_path / f"pytorch_model{f'-{i}' if files > 1 else ''}.bin")
    for check in (TransformersImage.require_possible, TransformersText.require_possible):
        with pytest.raises(
            FileNotFoundError, match=r"^backbone\.weights=\S+: pytorch_model\S*\.bin is a pickle"
        ) as error:
            check(weights=str(tmp_path))
        check(weights=str(tmp_path), begin="random")
    with pytest.raises(FileNotFoundError, match="is a pickle"):
        weights.locate(str(tmp_path), {}, "a model of timm")
    program, flag, code = shlex.split(str(error.value).split("`")[1])
    assert (program, flag) == ("python", "-c")
    exec(code, {})
    net = TransformersImage(image(), **given).eval()
    assert torch.equal(net(x).pooled, want.pooled)
    assert net.scalars["scale"] == pytest.approx(peer.logit_scale.exp().item())


def test_what_the_files_lack_is_told_and_what_a_loss_has_learnt_is_left_out(tmp_path):
    peer = clip(tmp_path)
    state = {k: v for k, v in peer.state_dict().items() if k not in ("logit_scale", "visual_projection.weight")}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    assert TransformersImage(image(), weights=str(tmp_path), pretrained_bands=RGB).scalars == {}
    with pytest.raises(ValueError, match=r"1 tensors of CLIPModel are not in its files.*visual_projection"):
        TransformersImage(image(), weights=str(tmp_path), pretrained_bands=RGB, projection=True)


@torch.no_grad()
def test_tokens_are_projected_as_the_pooled_vector_is(tmp_path):
    given, vocab, own = texts(tmp_path, "clip")
    peer = clip(tmp_path, vocab, (own.bos_token_id, own.eos_token_id))
    x = torch.randn(2, 3, 32, 32)
    f = TransformersImage(image(), weights=str(tmp_path), pretrained_bands=RGB, projection=True).eval()(x)
    whole = peer.vision_model(pixel_values=x)
    torch.testing.assert_close(f.pooled, peer.get_image_features(x).pooler_output)
    places = peer.visual_projection(peer.vision_model.post_layernorm(whole.last_hidden_state))
    torch.testing.assert_close(f.tokens, places[:, 1:])
    f = TransformersText(stream_of(tmp_path), weights=str(tmp_path), projection=True).eval()(given["input_ids"])
    want = peer.get_text_features(input_ids=given["input_ids"], attention_mask=given["attention_mask"])
    torch.testing.assert_close(f.pooled, want.pooler_output)
    ends = given["input_ids"].argmax(1)  # so transformers finds the end where its id is 2
    torch.testing.assert_close(f.tokens[torch.arange(3), ends], f.pooled)


def test_half_a_model_pools_in_its_own_way_within_the_whole_and_by_itself(tmp_path):
    whole = clip(tmp_path).config
    assert [own_pooling(tmp_path, c) for c in (whole, whole.text_config, BertConfig())] == ["pooler", "pooler", "mean"]


def test_a_projection_of_another_model_or_another_vector_is_refused(tmp_path):
    text_model(tmp_path)
    stream = stream_of(tmp_path)
    with pytest.raises(ValueError, match=r"projection=true with backbone\.pool=mean: .*set backbone\.pool=pooler"):
        TransformersText(stream, weights=str(tmp_path), projection=True)
    with pytest.raises(
        ValueError, match=r"projection=true: the bert in \S+ is no model of two kinds, such as images and texts"
    ):
        TransformersText(stream, weights=str(tmp_path), projection=True, pool="pooler")


def test_a_text_that_is_seen_with_its_padding_is_padded_to_the_context(tmp_path):
    siglip(tmp_path)
    assert TransformersText(stream_of(tmp_path, PLACES), weights=str(tmp_path)).pool == "pooler"
    words = r"trained on texts padded to 16; give \S*length=16"
    with pytest.raises(ValueError, match=words):
        TransformersText(stream_of(tmp_path, PLACES - 1), weights=str(tmp_path))
    with pytest.raises(ValueError, match=words):
        TransformersText.require_possible(str(tmp_path), tokens=str(tmp_path), length=PLACES - 1)


def test_what_can_be_known_before_data_are_read_is_told_then(tmp_path):
    text_model(tmp_path)
    TransformersText.require_possible(str(tmp_path), tokens=str(tmp_path), length=LENGTH)
    for facts, words in (
        ({"tokens": "word"}, r"modality\.words\.tokens=word is .* by its own tokenizer; give modality\.words\.tokens="),
        ({"tokens": str(tmp_path), "length": 99}, r"modality\.words\.length: 99 tokens, .*; at most 12"),
    ):
        with pytest.raises(ValueError, match=words):
            TransformersText.require_possible(str(tmp_path), **facts, key="modality.words")
    with pytest.raises(ValueError, match="a bert reads no images"):
        TransformersImage.require_possible(str(tmp_path))
    saved(ViTModel(ViTConfig(image_size=32, patch_size=8, **SIZE)), tmp_path / "vit")
    with pytest.raises(ValueError, match="a vit reads no text"):
        TransformersText.require_possible(str(tmp_path / "vit"))
    with pytest.raises(ValueError, match="doesn't divide images of 36 px; sizes that do: 32 or 40"):
        TransformersImage(image(size=36), weights=str(tmp_path / "vit"), pretrained_bands=RGB)


def test_a_trained_run_needs_no_weights_but_the_configuration(tmp_path):
    text_model(tmp_path)
    stream = stream_of(tmp_path)
    trained = TransformersText(stream, weights=str(tmp_path)).eval()
    (tmp_path / "model.safetensors").unlink()
    again = TransformersText(stream, weights=str(tmp_path), **TransformersText.initial).eval()
    x = torch.full((1, LENGTH), stream.pad)
    x[0, :3] = torch.tensor([stream.bos, 9, stream.eos])
    assert not torch.equal(again(x).pooled, trained(x).pooled)
    again.load_state_dict(trained.state_dict())
    assert torch.equal(again(x).pooled, trained(x).pooled)
