"""Texts that several samples share: one item of retrieval, right for all that hold it, against slow loops over sets."""

import json
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.evaluate.call import seen_by
from multimodal_lab.evaluate.embeddings import Embeddings, embed
from multimodal_lab.evaluate.pool import pooled, recordings
from multimodal_lab.evaluate.retrieval import Retrieval
from multimodal_lab.evaluate.retrieval_samples import _as_ranked, searched
from multimodal_lab.predict.indexing import of_embeddings, texts_of
from multimodal_lab.predict.negatives_command import mined
from multimodal_lab.types import Features

IMAGES = 14
WORDS = [
    "red",
    "blue",
    "a red",
    "A red",
    "blue a",
    "two",
    "two red",
]  # "A red" is another text, though its words are known
MODALITY = {
    "image": {"kind": "image", "bands": "all"},
    "text": {"kind": "text", "field": "text", "length": 5, "vocab": 40},
}


class Toy(nn.Module):
    """Each row by itself, so that one image or text gives the same bits in any batch."""

    def __init__(self):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.pixels, self.words = torch.randn(48, 6, generator=g), torch.randn(40, 6, generator=g)

    def encode(self, batch):
        image = (batch.inputs["image"].flatten(1)[..., None].double() * self.pixels.double()).sum(1)
        text = (self.words[batch.inputs["text"]].double() * torch.arange(1, 6)[:, None]).sum(
            1
        )  # the order of words counts
        pooled = {"image": image, "text": text}
        return {k: Features.from_vector(x.float()).keep(batch.present[k]) for k, x in pooled.items()}, {}


def held():
    """{image: its texts}: some are of many images, the sixth image has none, and the last says one twice."""
    draw = np.random.default_rng(3)
    made = {i: [WORDS[w] for w in draw.choice(len(WORDS), 1 + i % 3, replace=False)] for i in range(IMAGES)}
    return {**made, 5: [], 13: ["two", "two", "red"]}


@pytest.fixture(scope="module", params=["rows", "lists"])
def found(request, tmp_path_factory):
    """The prepared data, a row a caption or a row an image, and its embeddings, all of them held out."""
    root = tmp_path_factory.mktemp("shared")
    for i in range(IMAGES):
        x = np.random.default_rng(i).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(x).save(root / f"{i}.png")
    rows = [{"id": f"i{i}", "image": f"{i}.png", "text": words or None} for i, words in held().items()]
    if request.param == "rows":
        rows = [{**row, "id": f"{row['id']}-{k}", "text": text}
                for row in rows for k, text in enumerate(row["text"] or [None])]  # fmt: skip
    (root / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = Pairs(str(root), file="index.jsonl", images=["image"], texts=["text"], missing="keep")
    split = Split(train=0.5, val=0.0, test=0.5, by="image")
    made = Data(source, scaling=DtypeMax(), split=split, labels=[], batch_size=4).prepare(MODALITY, 0)
    return made, embed(Toy(), made, "cpu", ["all"])


def unit(x):
    return x / np.linalg.norm(x)


def oracle(data):
    """{pair: [ranks of the right keys of each query, in order]} of sets of images and texts, in plain loops."""
    toy, pictures, said = Toy(), {}, {}
    right = {(f"{i}.png", text) for i, words in held().items() for text in words}
    for picture, text in right:
        pixels = np.asarray(Image.open(data.reader.source.root / picture)).transpose(2, 0, 1).reshape(-1, 1) / 255
        pictures[picture] = unit((pixels.astype(np.float32) * toy.pixels.numpy()).sum(0))
        tokens = toy.words[torch.from_numpy(data.tokens["text"].encode(text))].numpy()
        said[text] = unit((tokens * np.arange(1, 6)[:, None]).sum(0))
    found = {}
    for pair, ours, theirs, belong in (
        ("image->text", pictures, said, lambda a, b: (a, b) in right),
        ("text->image", said, pictures, lambda a, b: (b, a) in right),
    ):
        found[pair] = []
        for name, x in ours.items():
            before = [sum(x @ y >= x @ theirs[key] - 1e-9 for other, y in theirs.items() if not belong(name, other))
                      for key in theirs if belong(name, key)]  # fmt: skip
            found[pair].append([b + place for place, b in enumerate(sorted(before), 1)])
    return found


def test_texts_and_images_are_ranked_as_sets(found):
    data, e = found
    scores, again = Retrieval(equal_texts="one")(e.rows(slice(0, 0)), e), {}
    for pair, ranks in oracle(data).items():
        key = f"retrieval/{pair}"
        assert (scores[f"{key}/queries"], scores[f"{key}/unmatched"]) == (len(ranks), 0)
        best = np.array([r[0] for r in ranks])
        assert scores[f"{key}/median_rank"] == np.median(best)
        assert scores[f"{key}/mean_rank"] == pytest.approx(best.mean())
        for k in (1, 5, 10):
            assert scores[f"{key}/R@{k}"] == pytest.approx((best <= k).mean())
        precision = [np.mean([place / r for place, r in enumerate(own, 1)]) for own in ranks]
        assert scores[f"{key}/map"] == pytest.approx(np.mean(precision))
        again[pair] = searched(e, *pair.split("->"))["recall"]["1"]
        assert again[pair] == pytest.approx(scores[f"{key}/R@1"])  # the gallery of the figure
    assert scores["retrieval/image->text/keys"] == len({t for words in held().values() for t in words})
    assert scores["retrieval/text->image/keys"] == IMAGES - 1  # one has no text


def test_texts_stay_apart_and_that_they_are_equal_is_told(found, caplog):
    _, e = found
    scores = Retrieval()(e.rows(slice(0, 0)), e)
    assert "of the held-out texts of text are another sample's, too" in caplog.text
    caplog.clear()
    assert scores["retrieval/image->text/keys"] == sum(map(len, held().values()))
    for pair in ("text->image", "image->text"):  # the gallery of the figure is of the same items
        shown = searched(Retrieval().counted(e), *pair.split("->"))["recall"]["1"]
        assert shown == pytest.approx(scores[f"retrieval/{pair}/R@1"])
    ones = Retrieval(equal_texts="one")(e.rows(slice(0, 0)), e)
    assert not caplog.records
    assert scores["retrieval/text->image/mean_rank"] > ones["retrieval/text->image/mean_rank"]


def test_nothing_that_shares_a_text_is_a_hard_negative(found):
    data, e = found
    table, _ = mined(e, "text", "image", 50)
    files = dict(zip(data.samples["id"], data.samples["image"], strict=True))
    holders = defaultdict(set)
    for i, words in held().items():
        for text in words:
            holders[text].add(f"{i}.png")
    assert len(table) == sum(IMAGES - 1 - len(own) for own in holders.values())
    said = dict(zip(data.samples["id"], data.samples["text"], strict=True))
    for query, negative in zip(table["query"], table["id"], strict=True):
        if isinstance(said[query], str):
            assert files[negative] not in holders[said[query]]


def test_an_index_of_saved_embeddings_has_each_text_once(found, tmp_path):
    data, e = found
    whole = of_embeddings(e, "text", texts_of(data, "text"))
    assert sorted(whole.columns["caption"]) == sorted({t for words in held().values() for t in words})
    e.save(tmp_path, ["parquet"])
    saved = of_embeddings(Embeddings.load(tmp_path), "text")
    first = {w if isinstance(w, str) else w[0] for w in data.samples["text"] if isinstance(w, str | list) and w}
    assert len(saved) == len(first)  # of a list the first is saved
    assert len(of_embeddings(Embeddings.load(tmp_path), "image")) == len(of_embeddings(e, "image")) == IMAGES


def clips(texts):
    """Three clips of each of five recordings, of which the third and fourth are one file; `texts[r]` of each recording."""
    draw, home = np.random.default_rng(0), np.repeat(np.arange(5), 3)
    file = np.array([0, 1, 2, 2, 3])[home]
    video = draw.normal(size=(4, 3, 4))[file, np.tile(np.arange(3), 5)].astype(np.float32)
    words = draw.normal(size=(9, 4)).astype(np.float32)
    ids = np.array([texts[r] for r in home])
    there = np.ones(15, bool)
    there[1] = False  # a clip that could not be read
    e = Embeddings(
        {"video": video, "text": words[ids[:, 0]]}, {"video": there, "text": np.ones(15, bool)}, {}, {},
        [f"r{r}#{k}" for r, k in zip(home, np.tile(np.arange(3), 5), strict=True)], np.arange(15), np.full(15, "test"),
        items={"video": 3 * file + np.tile(np.arange(3), 5)}, text_ids={"text": ids}, others={"text": words[ids[:, 1:]]},
    )  # fmt: skip
    samples = pd.DataFrame({"id": e.ids, "recording": [f"r{r}" for r in home], "clip_of_recording": 0})
    return e, samples, words


def test_clips_are_ranked_by_recording(tmp_path):
    texts = [[0, 1], [2, 3], [4, 5], [0, 6], [7, 8]]  # the first and the fourth share one
    e, samples, words = clips(texts)
    shuffled = np.random.default_rng(1).permutation(15)
    by_text = Retrieval(equal_texts="one")
    seen = seen_by(by_text, {"train": e, "test": e.rows(shuffled), "data": type("Data", (), {"samples": samples})})
    scores = by_text(seen["train"], seen["test"])
    of_file = {0: [0], 1: [1], 2: [2, 3], 3: [4]}
    videos = {f: unit(np.mean([e.vectors["video"][i] for i in range(3 * r[0], 3 * r[0] + 3) if e.present["video"][i]], 0))
              for f, r in of_file.items()}  # fmt: skip
    right = {(f, t) for f, own in of_file.items() for r in own for t in texts[r]}
    ranks = {"video->text": [], "text->video": []}
    for f, x in videos.items():
        s = [(x @ unit(words[t]), (f, t) in right) for t in range(9)]
        ranks["video->text"].append(1 + min(sum(n >= p for n, yes in s if not yes) for p, yes in s if yes))
    for t in range(9):
        s = [(x @ unit(words[t]), (f, t) in right) for f, x in videos.items()]
        ranks["text->video"].append(1 + min(sum(n >= p for n, yes in s if not yes) for p, yes in s if yes))
    for pair, own in ranks.items():
        assert scores[f"retrieval/{pair}/queries"] == len(own)
        assert scores[f"retrieval/{pair}/mean_rank"] == pytest.approx(np.mean(own))
        assert scores[f"retrieval/{pair}/R@1"] == pytest.approx(np.mean(np.array(own) == 1))
    shown = _as_ranked(e, samples)
    assert shown.ids == [f"r{r}#0" for r in range(5)]
    assert searched(shown, "video", "text")["recall"]["1"] == scores["retrieval/video->text/R@1"]
    each = Retrieval(pool=None)
    assert seen_by(each, {"test": e, "data": None})["test"] is e
    assert (
        each(e, e)["retrieval/video->text/queries"] == 11
    )  # twelve clips of four files, of which one could not be read


def test_windows_are_of_their_recording_where_they_share_its_text():
    e, samples, _ = clips([[0, 1], [2, 3], [4, 5], [0, 6], [7, 8]])
    windows = samples.drop(columns="clip_of_recording").assign(start=0.0)
    assert recordings(e, samples) == recordings(e, windows) == "recording"
    assert recordings(e, windows.drop(columns="start")) is None  # a column of the user's that is called so
    e.text_ids["text"][4, 0] = 99  # what is said in the second window of the second recording
    assert recordings(e, windows) is None
    found = pooled(e, samples, "recording", "retrieval")
    assert np.isnan(found.others["text"]).all((1, 2)).tolist() == [False, True, False, False, False]
    assert found.items["video"][2] == found.items["video"][3]
    assert len(set(found.text_ids["text"][:, 0].tolist())) == 4
