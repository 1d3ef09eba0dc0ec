"""CLAP's, Whisper's and AST's features of a wave are transformers' own, by its own feature extractors."""

import numpy as np
import pytest
import sounds_made as made
import torch
from sounds_made import RATE
from transformers import AutoFeatureExtractor

from multimodal_lab.backbone.transformers_audio import TransformersAudio
from multimodal_lab.backbone.transformers_model import load
from multimodal_lab.types import Band, Stream

LENGTHS = (6400, 5000, 3001, 500)
MAKE = {
    "ast": made.ast,
    "whisper": made.whisper,
    "clap": made.clap,
    "clap_repeat": lambda f: made.clap(f, padding="repeat"),
    "clap_pad": lambda f: made.clap(f, padding="pad"),
    "clap_fused": lambda f: made.clap(f, fused=True),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """{name: (directory, model)}, each made when it is asked for."""
    kept = {}

    def get(name):
        if name not in kept:
            folder = tmp_path_factory.mktemp(name)
            kept[name] = folder, MAKE[name](folder)
        return kept[name]

    return get


def stream(bands=1, **facts):
    named = tuple(Band(f"b{i}") for i in range(bands))
    return Stream("sound", "vector", named, **{"steps": max(LENGTHS), "rate": float(RATE), **facts})


def waves():
    torch.manual_seed(0)
    x = 0.3 * torch.randn(len(LENGTHS), 1, max(LENGTHS))
    valid = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return torch.where(valid[:, None], x, 0.0), valid


def theirs(name, folder, model, wave):
    """transformers' own answer to one wave (T,): last_hidden_state and its pooled vector, if it has one."""
    given = AutoFeatureExtractor.from_pretrained(folder)(wave.numpy(), sampling_rate=RATE, return_tensors="pt")
    if name == "clap_fused":
        given["is_longer"] = torch.zeros_like(given["is_longer"])  # it calls one at random longer, where none is
    part = {"ast": model, "whisper": getattr(model, "encoder", None)}.get(name) or getattr(model, "audio_model", None)
    found = part(**given)
    return found.last_hidden_state, getattr(found, "pooler_output", None)


@pytest.mark.parametrize("name", MAKE)
@torch.no_grad()
def test_it_is_transformers_own(name, models):
    folder, model = models(name)
    x, valid = waves()
    own = TransformersAudio(stream(), weights=str(folder)).eval()
    f = own(x, valid)
    for i, length in enumerate(LENGTHS):
        hidden, pooled = theirs(name, folder, model, x[i, 0, :length])
        if name.startswith("clap"):
            hidden = hidden.flatten(2).transpose(1, 2)
        tokens = hidden[0, 2:] if name == "ast" else hidden[0]
        real = f.mask[i]
        torch.testing.assert_close(f.tokens[i][real], tokens[real], rtol=1e-4, atol=1e-5)
        assert not f.tokens[i][~real].any()
        expected = tokens[real].mean(0) if pooled is None else pooled[0]
        torch.testing.assert_close(f.pooled[i], expected, rtol=1e-4, atol=1e-5)


def test_tokens_of_silence_behind_the_end_are_not_real(models):
    x, valid = waves()
    valid[3] = False
    masks = {
        n: TransformersAudio(stream(), weights=str(models(n)[0]))(x, valid).mask for n in ("ast", "whisper", "clap")
    }
    # AST: 38, 29 and 17 frames, patches every 10 of them, in 2 rows of 3; Whisper: 320 samples a token
    assert masks["ast"].sum(1).tolist() == [6, 6, 4, 0]
    assert masks["whisper"].sum(1).tolist() == [20, 16, 10, 0]
    assert masks["clap"].all(1).tolist() == [True, True, True, False]


def test_the_wave_is_that_of_the_files_and_channels_are_averaged(models):
    x, valid = waves()
    folder = str(models("whisper")[0])
    f = TransformersAudio(stream(), weights=folder).eval()(x, valid)
    two = stream(2, mean=(0.2, 0.1), std=(0.5, 2.0))
    left = torch.where(valid[:, None], (torch.cat([1.5 * x, 0.5 * x], 1) - torch.tensor([0.2, 0.1])[:, None]), 0.0)
    g = TransformersAudio(two, weights=folder).eval()(left / torch.tensor([0.5, 2.0])[:, None], valid)
    torch.testing.assert_close(g.pooled, f.pooled, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_projection_is_claps_own(models):
    folder, model = models("clap")
    x, valid = waves()
    own = TransformersAudio(stream(), weights=str(folder), projection=True).eval()
    given = AutoFeatureExtractor.from_pretrained(folder)(
        [x[i, 0, :n].numpy() for i, n in enumerate(LENGTHS)], sampling_rate=RATE, return_tensors="pt"
    )
    theirs = model.get_audio_features(**given).pooler_output  # of unit length
    torch.testing.assert_close(torch.nn.functional.normalize(own(x, valid).pooled), theirs, rtol=1e-4, atol=1e-5)
    assert own.dim == 20
    scale = float(model.logit_scale_a.exp())
    assert own.scalars == pytest.approx({"scale": scale, "temperature": 1 / scale})
    assert load(str(folder), "text").scalars == own.scalars  # as the losses of both halves ask


def test_what_cannot_be_is_one_sentence(models, tmp_path):
    folder = str(models("whisper")[0])
    with pytest.raises(
        ValueError, match=r"it hears 16000 Hz, and stream 'sound' has 8000 Hz; resample: modality.sound.rate="
    ):
        TransformersAudio(stream(rate=8000.0), weights=folder)
    with pytest.raises(
        ValueError, match=r"it hears 1 s at most, .* has 2 s; take modality.sound.steps=16000 with modality"
    ):
        TransformersAudio(stream(steps=32000), weights=folder)
    with pytest.raises(ValueError, match="pool=pooler: this model has no pooler_output; choose auto or mean"):
        TransformersAudio(stream(), weights=folder, pool="pooler")
    with pytest.raises(ValueError, match=r"projection=true: the whisper in "):
        TransformersAudio(stream(), weights=folder, projection=True)
    with pytest.raises(ValueError, match=r"projection=true with backbone.pool=mean"):
        TransformersAudio(stream(), weights=str(models("clap")[0]), projection=True, pool="mean")
    lost = tmp_path / "lost"
    made.ast(lost)
    (lost / "preprocessor_config.json").unlink()
    with pytest.raises(
        ValueError, match=r"no preprocessor_config.json or .* is in it, so that nothing says how it hears"
    ):
        TransformersAudio.require_possible(str(lost))
    (lost / "preprocessor_config.json").write_text('{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}')
    with pytest.raises(ValueError, match="its feature extractor is a Wav2Vec2FeatureExtractor; expected one of Clap"):
        TransformersAudio.require_possible(str(lost))


def test_it_learns_and_can_recompute(models):
    x, valid = waves()
    for name in ("ast", "clap"):
        one = TransformersAudio(stream(), weights=str(models(name)[0]), begin="random")
        one(x, valid).tokens.square().sum().backward()
        assert all(p.grad is not None for p in one.parameters())
        assert np.isfinite(float(sum(p.grad.sum() for p in one.parameters())))
