"""Images with several captions: together in one split, right for each other in losses and retrieval."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from multimodal_lab.augment.augment import Augment
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, writer
from multimodal_lab.data.packed.probe import probe
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.auto import AUTO
from multimodal_lab.data.split.same_image import group
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.retrieval import Retrieval
from multimodal_lab.train.gradcache import part

MODALITY = {
    "image": {"kind": "image", "bands": "all"},
    "text": {"kind": "text", "field": "text", "length": 6, "vocab": 40},
}


@pytest.fixture
def captioned(tmp_path):
    """A function of the captions of each of 20 images to the folder."""

    def make(captions=2):
        for i in range(20):
            x = np.random.default_rng(i).integers(0, 255, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(x).save(tmp_path / f"{i}.png")
        rows = [
            {"id": f"{i}-{k}", "image": f"{i}.png", "text": f"{i} {k} in words"}
            for k in range(captions)
            for i in range(20)
        ]
        (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return str(tmp_path)

    return make


def data(source, workers=0, **split):
    made = Data(
        source, scaling=DtypeMax(), split=Split(**{"by": AUTO, **split}), labels=[], batch_size=8, workers=workers
    )
    return made.prepare(MODALITY, 0)


def pairs(root):
    return Pairs(root, images=["image"], texts=["text"])


def test_no_image_crosses_splits(captioned):
    found = data(pairs(captioned()))
    homes = {s: set(found.samples.image.iloc[rows]) for s, rows in found.splits.items()}
    assert {s: len(v) for s, v in homes.items()} == {"train": 14, "val": 2, "test": 4}
    assert not homes["train"] & homes["val"] | homes["val"] & homes["test"] | homes["train"] & homes["test"]
    assert any("no image in two splits" in note for note in found.notes)


def test_a_split_that_tears_images_apart_is_refused(captioned):
    with pytest.raises(DataError, match=r"8 of 20 images stand in more than one split.*nearest: data.split.by=image\)"):
        data(pairs(captioned()), by=None)


def test_a_random_split_to_measure_what_leaks_may_tear(captioned):
    assert data(pairs(captioned()), group_policy="samples").splits


def test_captions_of_one_image_are_the_same_through_every_copy_of_a_batch(captioned):
    found = data(pairs(captioned()))
    batch = found.batch(np.array([0, 1, 20]))
    assert len(set(batch.ids.tolist())) == 3
    assert batch.same.tolist() == batch.ids[[0, 1, 0]].tolist()
    assert part(batch, slice(1, 3)).same.equal(batch.same[1:])
    assert batch.to("meta").same.is_meta
    helped = data(pairs(captioned()), workers=1)
    assert torch.cat([b.same for b in helped.batches("all")]).equal(torch.from_numpy(found.same))
    assert Augment(found.streams, ops={}, views=2)(batch, seed=0, epoch=0).same.equal(batch.same.repeat(2))


def test_without_a_repeated_image_nothing_is_marked(captioned):
    source = pairs(captioned(1))
    found = data(source)
    assert source.together is None
    assert list(source.samples) == ["id", "image", "text", "path"]
    assert found.batch(np.arange(4)).same is None
    before = data(source, by=None)
    assert all(np.array_equal(found.splits[s], before.splits[s]) for s in before.splits)


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_losses_take_captions_of_one_image_for_positives(captioned, composed, loss):
    """Each row has its image in another light, as training shows it: of images that are equal, InfoNCE would be equal too."""
    from multimodal_lab.experiment.build import build_system

    found = data(pairs(captioned()))
    cfg = composed("modality=image_text", "experiment=clip", f"loss={loss}", "data.root=/pairs", small=False)
    torch.manual_seed(0)
    system = build_system(cfg, found).eval()
    batch = found.batch(np.array([0, 1, 20, 21]))
    batch.inputs["image"] = torch.rand_like(batch.inputs["image"])
    assert len(batch.inputs["text"].unique(dim=0)) == 4
    with torch.no_grad():
        judged = system(batch)["total"]
        assert judged == system(batch.replace(same=None, ids=batch.same, text_ids={}))["total"]
        assert abs(judged - system(batch.replace(same=None))["total"]) > 1e-3


def test_losses_take_rows_of_one_text_for_positives(captioned, composed):
    """By default; `loss.text_ids=null` goes by ids alone. The text that a batch has of several is that which was drawn.

    InfoNCE of texts that are encoded alike is the same either way; a sigmoid a pair is not.
    """
    from multimodal_lab.experiment.build import build_system

    index = Path(captioned(1)) / "index.jsonl"
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    for i, row in enumerate(rows):
        row["text"] = [f"{i // 2} in words", f"word {i}"]
    index.write_text("\n".join(map(json.dumps, rows)))
    found = data(pairs(str(index.parent)))
    batch = found.batch(np.arange(4))
    ids = batch.text_ids["text"]
    assert (ids[:, 0, None] == ids[:, 0]).tolist() == np.kron(np.eye(2, dtype=bool), np.ones((2, 2), bool)).tolist()
    assert len(ids.unique()) == 6
    drawn = found.batch(np.arange(4), epoch=3)
    assert drawn.text_ids["text"].shape == (4, 1)
    for row, own in enumerate(drawn.text_ids["text"][:, 0].tolist()):
        which = ids[row].tolist().index(own)
        assert torch.equal(drawn.inputs["text"][row], (batch.inputs["text"], batch.others["text"][:, 0])[which][row])
    losses = {}
    for how in ("batch.text_ids", "null"):
        cfg = composed(
            "modality=image_text", "experiment=siglip", f"loss.text_ids={how}", "data.root=/pairs", small=False
        )
        torch.manual_seed(0)
        with torch.no_grad():
            losses[how] = build_system(cfg, found).eval()(batch)["total"]
    assert abs(losses["null"] - losses["batch.text_ids"]) > 1e-3


def test_a_packed_store_keeps_captions_together(captioned, tmp_path):
    source = pairs(captioned())
    plan = writer.begin(source, probe(source), tmp_path / "packed", {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "x", {"labels": None}, finalize.split_of(plan, Split(by="image"), None), "refuse")
    packed = Packed(str(tmp_path / "packed"))
    assert packed.together == "image"
    assert np.array_equal(data(packed).same, data(source).same)


def test_rows_hang_together_over_several_columns_and_spellings():
    table = pd.DataFrame({"id": list("abcde"), "x": ["1", "2", "./2", None, None], "y": ["3", "4", "5", "5", None]})
    made, column = group(table, ["x", "y"])
    assert column == "same_image"
    assert made.same_image.tolist() == ["a", "b", "b", "b", "e"]
    assert group(table.iloc[:2], ["x", "y"])[1] is None
    with pytest.raises(DataError, match="same_image"):
        group(table.assign(same_image=""), ["x", "y"])


def test_retrieval_counts_every_caption_of_the_image_as_right():
    image = np.repeat(np.eye(4, dtype=np.float32), 2, 0)
    text = image + np.tile([[0.0], [0.3]], (4, 1)).astype(np.float32)
    there = np.ones(8, bool)
    rows = Embeddings({"image": image, "text": text}, {"image": there, "text": there}, {}, {}, list("abcdefgh"),
                      np.arange(8), np.full(8, "test"))  # fmt: skip
    alone = Retrieval(at=[1])(rows, rows)
    rows.same = np.arange(8) // 2
    together = Retrieval(at=[1])(rows, rows)
    for key in ("retrieval/image->text/R@1", "retrieval/text->image/R@1"):
        assert alone[key] < together[key] == 1
    assert rows.rows(np.array([3, 0])).same.tolist() == [1, 0]
