"""Retrieval with several captions an image, by the published protocol: an image is ranked once, and all its captions."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, writer
from multimodal_lab.data.packed.probe import probe
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.same_image import item_rows
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.evaluate.embeddings import embed
from multimodal_lab.evaluate.retrieval import Retrieval
from multimodal_lab.types import Features, Stream

IMAGES, CAPTIONS = 12, (5, 3, 4)  # captions of image 0, 1, 2, 3 = of 0, …
MODALITY = {
    "image": {"kind": "image", "bands": "all"},
    "text": {"kind": "text", "field": "text", "length": 6, "vocab": 90},
}


class Toy(nn.Module):
    """Sums in a fixed order, row by row: the same image or words give the same bits in any batch."""

    def __init__(self):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.pixels, self.words = torch.randn(48, 8, generator=g), torch.randn(90, 8, generator=g)

    def encode(self, batch):
        image = (batch.inputs["image"].flatten(1)[..., None].double() * self.pixels.double()).sum(1)
        text = self.words[batch.inputs["text"]].double().sum(1)
        pooled = {"image": image, "text": text}
        features = {k: Features.from_vector(x.float()).keep(batch.present[k]) for k, x in pooled.items()}
        return features, {"projection": {k: f.pooled[:, :6] for k, f in features.items()}}


@pytest.fixture
def written(tmp_path):
    """A folder with the same pairs as `rows.jsonl`, a line a caption, and `lists.jsonl`, a line an image."""
    rng = np.random.default_rng(0)
    rows, lists = [], []
    for i in range(IMAGES):
        Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        words = [" ".join(f"w{w}" for w in rng.integers(0, 80, 3)) for _ in range(CAPTIONS[i % 3])]
        lists.append({"id": f"i{i}", "image": f"{i}.png", "text": words, "kind": "ab"[i % 2]})
        rows += [{"id": f"i{i}-{k}", "image": f"{i}.png", "text": t, "kind": "ab"[i % 2]}
                 for k, t in enumerate(words)]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows[::2] + rows[1::2])))
    (tmp_path / "lists.jsonl").write_text("\n".join(map(json.dumps, lists)))
    return tmp_path


def source(root, file):
    return Pairs(str(root), file=file, images=["image"], texts=["text"])


def prepared(source, **more):
    split = Split(train=0.5, val=0.0, test=0.5, by="image")
    made = Data(source, scaling=DtypeMax(), split=split, labels=["kind"], batch_size=5, **more)
    return made.prepare(MODALITY, 0)


def scored(data, **more):
    e = embed(Toy(), data, "cpu", ("train", "test"))
    return e, Retrieval(**more)(e.select("train"), e.select("test"))


def protocol(lists, data):
    """Karpathy & Fei-Fei 2015, in plain loops: best rank of any caption of an image; every caption finds its image."""
    held = set(data.samples["image"].iloc[data.splits["test"]])
    kept = [row for row in lists if row["image"] in held]
    toy = Toy()
    unit = lambda x: x[:6] / np.linalg.norm(x[:6])  # noqa: E731
    images, captions, of = [], [], []
    for n, row in enumerate(kept):
        pixels = np.asarray(Image.open(data.reader.source.root / row["image"])).transpose(2, 0, 1) / 255
        images.append(unit((pixels.astype(np.float32).reshape(-1, 1) * toy.pixels.numpy()).sum(0)))
        for text in row["text"]:
            captions.append(unit(toy.words[torch.from_numpy(data.tokens["text"].encode(text))].sum(0).numpy()))
            of.append(n)
    first = {"image->text": [], "text->image": []}
    for n, x in enumerate(images):
        ranks = [
            1 + sum(x @ other >= x @ c for other, o in zip(captions, of) if o != n)
            for c, m in zip(captions, of)
            if m == n
        ]
        first["image->text"].append(min(ranks))
    for c, n in zip(captions, of):
        first["text->image"].append(1 + sum(c @ x >= c @ images[n] for m, x in enumerate(images) if m != n))
    return first


@pytest.mark.parametrize("file", ["rows.jsonl", "lists.jsonl"])
def test_both_forms_equal_the_published_protocol(written, file):
    data = prepared(source(written, file))
    lists = [json.loads(line) for line in (written / "lists.jsonl").read_text().splitlines()]
    _, found = scored(data)
    for pair, ranks in protocol(lists, data).items():
        key = f"retrieval/{pair}"
        assert found[f"{key}/queries"] == len(ranks)
        assert found[f"{key}/median_rank"] == np.median(ranks)
        for k in (1, 5, 10):
            assert found[f"{key}/R@{k}"] == pytest.approx(np.mean([r <= k for r in ranks]), abs=1e-12)
    assert found["retrieval/text->image/keys"] == IMAGES / 2
    assert found["retrieval/image->text/queries"] == IMAGES / 2


def test_both_forms_rank_alike_by_label_too(written):
    found = []
    for file in ("rows.jsonl", "lists.jsonl"):
        _, scores = scored(prepared(source(written, file)), labels=["kind"])
        found.append({k: v for k, v in scores.items() if k.rpartition("/")[2] not in ("n", "n_missing")})
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[0]["retrieval/image->text/kind/keys"] == found[0]["retrieval/image->text/keys"]


def test_a_caption_that_no_row_has_is_not_ranked(written):
    e, _ = scored(prepared(source(written, "lists.jsonl")))
    assert e.others["text"].shape == (IMAGES, max(CAPTIONS) - 1, 8)
    assert np.isfinite(e.others["text"]).all(2).sum(1).tolist() == [len(t) - 1 for t in e_texts(written, e.ids)]
    assert e.rows(np.arange(3)).others_projected["text"].shape == (3, max(CAPTIONS) - 1, 6)


def e_texts(folder, ids):
    own = {r["id"]: r["text"] for r in map(json.loads, (folder / "lists.jsonl").read_text().splitlines())}
    return [own[i] for i in ids]


def test_training_and_losses_see_one_caption_a_row(written):
    data = prepared(source(written, "lists.jsonl"))
    assert all(not b.others for b in data.batches("train", shuffle=True))
    batch = next(data.batches("train"))
    assert batch.others["text"].shape[0] == len(batch) == len(batch.map(lambda x: x + x).others["text"])
    first = data.tokens["text"].encode(data.samples["text"].iloc[data.splits["train"][0]][0])
    assert batch.inputs["text"][0].tolist() == first.tolist()


def test_a_packed_store_and_another_spelling_of_a_path_keep_their_items(written, tmp_path):
    rows = [json.loads(line) for line in (written / "rows.jsonl").read_text().splitlines()]
    spelt = [{**r, "image": f"./{r['image']}" if i % 2 else r["image"]} for i, r in enumerate(rows)]
    (written / "spelt.jsonl").write_text("\n".join(map(json.dumps, spelt)))
    whole = source(written, "spelt.jsonl")
    plan = writer.begin(whole, probe(whole), tmp_path / "packed", {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "x", {"labels": None}, finalize.split_of(plan, Split(by="same_image"), None), "refuse")
    stream = Stream("image", bands=whole.bands)
    found = [item_rows(s, stream) for s in (whole, Packed(str(tmp_path / "packed")))]
    assert len(set(found[0].tolist())) == IMAGES
    assert found[0].tolist() == found[1].tolist()


def test_items_are_told_by_a_column(written):
    """Clips of one video: one text, found by any of its clips, and ranked once."""
    rows = [json.loads(line) for line in (written / "lists.jsonl").read_text().splitlines()]
    clips = [
        {"id": r["id"], "image": r["image"], "text": f"video w{i // 3}", "video": i // 3} for i, r in enumerate(rows)
    ]
    (written / "clips.jsonl").write_text("\n".join(map(json.dumps, clips)))
    made = Data(source(written, "clips.jsonl"), scaling=DtypeMax(), split=Split(train=0.5, val=0.0, test=0.5, by="video"),
                labels=[], batch_size=5, items={"text": "video"})  # fmt: skip
    e, found = scored(made.prepare(MODALITY, 0))
    assert len(set(e.items["text"].tolist())) == 4
    assert (found["retrieval/image->text/queries"], found["retrieval/image->text/keys"]) == (6, 2)
    assert (found["retrieval/text->image/queries"], found["retrieval/text->image/keys"]) == (2, 6)
    for wrong, said in (({"words": "video"}, "no stream 'words'"), ({"text": "vidoe"}, "no column 'vidoe'; .*video")):
        made.items = wrong
        with pytest.raises(DataError, match=f"data.items: there is {said}"):
            made.prepare(MODALITY, 0)
