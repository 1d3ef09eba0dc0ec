"""Files, pictures, texts and data frames are seen as in the training; the run was moved and its data are gone."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from multimodal_lab.data.source import DataError
from multimodal_lab.predict import load


def as_it_said(run, table, label, **close):
    """Its own predictions of the held-out samples are those of a table."""
    own = pq.read_table(run / "predictions.parquet").to_pandas().query("evaluator == 'head'").set_index("id")
    assert len(own) > 3
    said = table.set_index("id").loc[own.index, label]
    if close:
        np.testing.assert_allclose(said.astype(float), own.predicted.astype(float), **close)
    else:
        assert list(said) == list(own.predicted)


def test_a_file_is_a_sample_with_all_its_streams_and_its_mask(tiffs):
    run, kept = tiffs
    files = sorted(kept.rglob("*.tif"))
    table = load(run).predict(files).table()
    assert list(table.id) == [str(f) for f in files]
    as_it_said(run, table.assign(id=[f.relative_to(kept).with_suffix("").as_posix() for f in files]), "kind")
    one = load(run).predict(rgb=files[0], uv=[str(files[0])])  # a stream each, of the same file
    np.testing.assert_allclose(one["kind"].probability[0, 0], table["kind/kind0"][0], atol=1e-6)


def test_a_file_that_can_not_be_read_is_named_as_it_was_given(tiffs, tmp_path):
    run, kept = tiffs
    bad = tmp_path / "bad.tif"
    bad.write_bytes(sorted(kept.rglob("*.tif"))[0].read_bytes()[:2000])
    with pytest.raises(DataError, match=rf"{bad}: ") as told:
        load(run).predict([bad])
    assert "00000000" not in str(told.value)
    with pytest.raises(DataError, match="a picture has no band UV1"):
        load(run).predict(uv=Image.new("RGB", (20, 20)))


def test_pictures_paths_arrays_and_frames_of_one_image_are_one_thing(captioned):
    run, kept = captioned
    predictor = load(run)
    paths = [kept / f"img/{i}.png" for i in range(3)]
    opened = [Image.open(p) for p in paths]
    arrays = np.stack([np.moveaxis(np.asarray(p), 2, 0) for p in opened])
    frame = pd.DataFrame({"id": list("abc"), "image": [str(p) for p in paths], "text": ["picture of 0", None, "2"]})
    found = [
        predictor.embed(image=x) for x in (paths, opened, arrays, frame["image"], [paths[0], opened[1], arrays[2]])
    ]
    found.append(predictor.embed(frame))
    for other in found[1:]:
        assert np.array_equal(other.vectors["image"], found[0].vectors["image"])
    assert found[-1].ids == ["a", "b", "c"]
    assert list(found[-1].present["text"]) == [True, False, True]
    text = predictor.embed(text="picture of 0")
    assert np.allclose(text.projected["text"][0], found[-1].projected["text"][0], atol=1e-6)
    with pytest.raises(DataError, match=r"this run reads image, text; give each by its name"):
        predictor.embed(arrays)
    with pytest.raises(DataError, match=r"where no file is a sample; give each stream by its name"):
        predictor.embed(paths)
    with pytest.raises(DataError, match=r"stream text: int, expected a text"):
        predictor.embed(text=3)
    with pytest.raises(
        DataError, match=r"no column 'image' for stream image; expected one of imgae, text; nearest: imgae"
    ):
        predictor.embed(frame.rename(columns={"image": "imgae"}).drop(columns="id"))


def test_a_run_that_made_rgb_of_grey_pictures_does_so_of_those_that_are_given(captioned, tmp_path):
    run, kept = captioned
    predictor = load(run)
    grey = Image.open(kept / "img/0.png").convert("L")
    grey.save(tmp_path / "grey.png")
    with pytest.raises(DataError, match=r"a grey image, expected data\.source\.colour=rgb"):
        predictor.embed(image=grey)
    want = predictor.embed(image=grey.convert("RGB")).vectors["image"]
    for colour in ("to_rgb", {"image": "to_rgb"}):
        predictor.source_node = {**predictor.source_node, "colour": colour}
        for given in (grey, tmp_path / "grey.png"):
            assert np.array_equal(predictor.embed(image=given).vectors["image"], want)


def test_a_text_finds_images_of_the_run_or_of_other_embeddings(captioned):
    run, kept = captioned
    predictor = load(run)
    own = predictor.retrieve(text=["picture of 3", "picture of 4"], top_k=5)
    assert len(own) == 10
    assert list(own["rank"][:5]) == [1, 2, 3, 4, 5]
    assert own.score[:5].is_monotonic_decreasing
    images = predictor.embed(image=[kept / f"img/{i}.png" for i in range(4)])
    other = predictor.retrieve(image=kept / "img/2.png", of="image", among=images, top_k=9)
    assert (len(other), other.id[0], other.score[0]) == (4, "2", pytest.approx(1, abs=1e-5))
    with pytest.raises(DataError, match=r"of=pictures: expected one of image, text"):
        predictor.retrieve(text="a", of="pictures")
    with pytest.raises(DataError, match=r"give one stream to search by, image=… or text=…"):
        predictor.retrieve()


def test_rows_of_a_table_are_seen_as_the_run_saw_its_own(made_run, tmp_path):
    draw = np.random.default_rng(0)
    made = pd.DataFrame({f"nm{300 + 10 * i}": draw.normal(size=60) for i in range(8)})
    made["length"] = made.nm300 * 3 + 100
    made.insert(0, "name", [f"s{i}" for i in range(60)])
    (tmp_path / "data").mkdir()
    made.to_csv(tmp_path / "data/spectra.csv", index=False)
    run, _ = made_run(
        tmp_path, "data=table", "data.source.file=spectra.csv", "data.source.id=name", "modality=vis",
        "modality.vis.bands=all", "backbone=vector", "fusion=separate", "head=regressor", "loss=huber", "augment=none",
        "evaluate=[head]", "data.labels=[length]", "label=length", "optim.lr=0.01",
    )  # fmt: skip
    predictor = load(run)
    as_it_said(run, predictor.predict(made.rename(columns={"name": "id"})).table(), "length", rtol=1e-5)
    less = made.drop(columns="nm340")
    with pytest.raises(DataError, match=r"stream vis: no band '[^']*340[^']*'; expected one of name, nm300"):
        predictor.predict(less)
    with pytest.raises(DataError, match=r"stream vis: its columns \(nm300, .*\) hold other things than numbers"):
        predictor.predict(made.assign(nm340="much"))
    array = made.filter(like="nm").to_numpy().copy()
    assert predictor.predict(array)["length"].value[0] == pytest.approx(
        predictor.predict([*array[0]])["length"].value[0]
    )
    array[0, 0] = np.nan
    with pytest.raises(DataError, match=r"sample '0': 1 missing \(nodata\), NaN or infinite values in band"):
        predictor.predict(array)


def test_a_caption_is_a_text_and_one_file_serves_it(made_run, tmp_path):
    (tmp_path / "data/img").mkdir(parents=True)
    for i in range(24):
        x = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(x).save(tmp_path / f"data/img/{i}.png")
    rows = [f"img/{i}.png,a red bird,{'ab'[i % 2]}" for i in range(24)]
    (tmp_path / "data/captions.csv").write_text("\n".join(["image,caption,kind", *rows]))
    run, kept = made_run(
        tmp_path, "experiment=caption_lstm", "data=pairs", "data.source.texts=[caption]", "data.size=32",
        "backbone.widths=[8,16]", "evaluate=[head]", "label=kind", "data.labels=[]",
    )  # fmt: skip
    predictor = load(run)
    (name,) = predictor.predict(image=kept / "img/0.png").answers
    table = predictor.predict(image=[kept / f"img/{i}.png" for i in range(24)]).table()
    own = pq.read_table(run / "predictions.parquet").to_pandas()
    assert len(own)
    assert list(table.set_index("id").loc[[i.split("/")[-1].split(".")[0] for i in own.id], name]) == list(
        own.predicted
    )
