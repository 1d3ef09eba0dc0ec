"""A hub id is looked for in the user's cache alone, wherever a directory of transformers may stand."""

import shutil

import pytest
import torch
from towers_made import PLACES, clip

from multimodal_lab.backbone.transformers_image import TransformersImage
from multimodal_lab.backbone.transformers_text import TransformersText
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.tokenizer_file import load
from multimodal_lab.files import tokenizer_digest
from multimodal_lab.pretrained.hub import directory, find
from multimodal_lab.types import Band, Stream

RGB = ["R", "G", "B"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache; a function puts a directory there under an id."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(folder, name="someone/tiny-clip", revision="main", commit="0123abc"):
        home = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (home / "refs").mkdir(parents=True, exist_ok=True)
        (home / "refs" / revision).write_text(commit)
        shutil.copytree(folder, home / "snapshots" / commit)
        return home / "snapshots" / commit

    return put


def test_both_towers_and_the_tokenizer_of_a_cached_id_are_those_of_its_directory(tmp_path, cache):
    clip(tmp_path / "tower")
    at = cache(tmp_path / "tower")
    name = "someone/tiny-clip"
    assert find(name) == directory(name, "backbone.weights") == at
    assert find(f"{name}@main") == at
    tokens = load(name, PLACES, "tokens")
    assert tokens.to_json() == load(str(tmp_path / "tower"), PLACES, "tokens").to_json()
    marks = {"pad": tokens.marks.pad, "bos": tokens.marks.begin[0], "eos": tokens.marks.end[-1]}
    stream = Stream(
        "text", "text", vocab=tokens.vocab, length=PLACES, digest=tokenizer_digest(tokens.to_json()), **marks
    )
    x = torch.from_numpy(tokens.encode("a red bird"))[None]
    image = Stream("rgb", bands=tuple(map(Band, RGB)), size=32)
    pixels = torch.randn(2, 3, 32, 32)
    for weights in (name, str(tmp_path / "tower")):
        text = TransformersText(stream, weights=weights, projection=True).eval()
        vision = TransformersImage(image, weights=weights, pretrained_bands=RGB, projection=True).eval()
        found = (text(x).pooled, vision(pixels).pooled)
        if weights == name:
            want = found
    assert all(torch.equal(a, b) for a, b in zip(found, want, strict=True))
    TransformersText.require_possible(name, tokens=name, length=PLACES)
    assert TransformersImage.normalisation(name, RGB)["of"] == name


def test_an_id_that_is_not_cached_says_where_it_was_looked_for_and_how_to_get_it(tmp_path, cache):
    said = (
        r"backbone\.weights=someone/other: no such directory, and no such model in the Hugging Face cache \(\S+hub\)\. Nothing "
        r"is downloaded here\. Fetch it once with `hf download someone/other`, or give a directory"
    )
    with pytest.raises(ValueError, match=said):
        TransformersText.require_possible("someone/other")
    with pytest.raises(ValueError, match=r"`hf download someone/other --revision v2`"):
        directory("someone/other@v2", "backbone.weights")
    with pytest.raises(ValueError, match=r"expected a directory with config\.json.*found no such directory"):
        directory(str(tmp_path / "nowhere"), "backbone.weights")
    with pytest.raises(DataError, match=r"tokens=someone/other: no such file .*or an id of the Hugging Face hub"):
        load("someone/other", 8, "tokens")
    assert find("a--b/../c") is None
    assert find("../escape") is None
