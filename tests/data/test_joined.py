"""Sources joined on an id: rows, columns, streams, masks and scaling of each, and what contradicts."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from made_source import Made
from omegaconf import OmegaConf
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.joined import Joined
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.own_scaling import OwnScaling, spelt_out
from multimodal_lab.data.streams.scaling import DatasetStats, DtypeMax
from multimodal_lab.types import Band, Stream

RGB = (Band("R"), Band("G"), Band("B"))
MODALITY = {"image": {"kind": "image", "bands": "all"}, "spectrum": {"kind": "vector", "bands": "all"}}
SPLIT = {"train": 0.5, "val": 0.0, "test": 0.5}


def pictures(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        x = np.random.default_rng(int(name[1:])).integers(0, 255, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(x).save(folder / f"{name}.png")
    return Images(str(folder))


def spectra(folder, names, **columns):
    values = {f"nm{c}": np.arange(len(names)) + c / 100 for c in (300, 400, 500)}
    pd.DataFrame({"name": names, **values, **columns}).to_csv(folder / "spectra.csv", index=False)
    options = {"pattern": r"nm(?P<nm>\d+)", "id": "name", "missing_labels": "keep"}
    return Table(str(folder), file="spectra.csv", **options)


@pytest.fixture
def both(tmp_path):
    """Photographs of s0 to s5, spectra of s2 to s7 in another order."""
    names = [f"s{i}" for i in range(7, 1, -1)]
    image = pictures(tmp_path / "photographs", [f"s{i}" for i in range(6)])
    image.samples = image.samples.assign(species=[None, "a", "b", "a", "b", "a"], colour=list("xyxyxy"))
    spectrum = spectra(tmp_path, names, species=["b", "a", "a", None, "a", "b"], site=[1, 1, 2, 2, 3, 3])
    return image, spectrum, tmp_path


def joined(both, **changes):
    image, spectrum, folder = both
    return Joined({"image": image, "spectrum": spectrum}, root=str(folder), **changes)


def test_a_row_has_what_each_source_has_of_its_id(both):
    image, spectrum, _ = both
    source = joined(both)
    assert source.samples.id.tolist() == ["s0", "s1", "s2", "s3", "s4", "s5", "s7", "s6"]
    assert source.samples.path.tolist() == [*(f"photographs/s{i}.png" for i in range(6)), "spectra.csv", "spectra.csv"]
    assert source.samples.species.tolist() == [None, "a", "b", "a", "b", "a", "b", "a"]  # known by either side
    assert source.samples.site.tolist()[2:] == [3, 3, 2, 2, 1, 1]
    assert source.samples.site.isna().tolist()[:2] == [True, True]
    assert str(source.samples.site.dtype) == "Int64"  # still classes, though some are missing
    streams = [Stream("image", bands=RGB), Stream("spectrum", "vector", spectrum.bands)]
    raw = source.read(3, streams)
    np.testing.assert_array_equal(raw.inputs["image"], image.read(3, [streams[0]]).inputs["image"])
    np.testing.assert_array_equal(raw.inputs["spectrum"], spectrum.read(4, [streams[1]]).inputs["spectrum"])
    assert (raw.scale("image"), raw.scale("spectrum")) == (255, 1)
    assert source.read(0, streams).inputs["spectrum"] is None
    assert source.read(7, streams).inputs["image"] is None
    (note,) = [n for n in source.notes if n.startswith("joined")]
    assert (
        note == "joined: 4 of 8 ids stand in all of image, spectrum; image lacks 2 (s7, s6); spectrum lacks 2 (s0, s1)"
    )


def test_rows_that_one_source_lacks_may_be_left_out_or_refused(both):
    source = joined(both, missing="drop")
    assert source.samples.id.tolist() == ["s2", "s3", "s4", "s5"]
    assert source.notes[-1].endswith("the others are left out")
    with pytest.raises(DataError, match=r"missing=refuse: 4 of 8 ids.*spectrum lacks 2 \(s0, s1\); keep makes"):
        joined(both, missing="refuse")


def test_folders_are_joined_by_the_stems_of_their_files(tmp_path):
    sources = {name: pictures(tmp_path / name / "deep", ["s1", "s2"]) for name in ("rgb", "thermal")}
    whole = {name: Images(str(tmp_path)) for name in sources}
    for name, source in whole.items():  # ids of one root have folders: rgb/deep/s1
        source.samples = source.samples[source.samples.path.str.startswith(name)].reset_index(drop=True)
    assert Joined(whole, root=str(tmp_path), key="stem").samples.id.tolist() == ["s1", "s2"]
    with pytest.raises(DataError, match=r"no id stands in all of rgb, thermal, such as 'rgb/deep/s1' in rgb"):
        Joined(whole, root=str(tmp_path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"key": {"image": "colour", "spectrum": "id"}},
            r"key: colour 'x' stands in 3 rows of image \(s0, s2, s4\), and 1 ",
        ),
        ({"key": {"image": "id", "spectrum": "species"}}, r"key: 1 \(s4\) of 6 rows of spectrum have no species"),
        ({"key": "individual"}, r"image: no column 'individual' \(data.source.key\); there are id, path"),
        ({"key": {"photo": "id"}}, r"data.source.key: no source 'photo'; expected one of image, spectrum; nearest: "),
        ({"leave_out": {"spectra": ["site"]}}, r"leave_out: no source 'spectra'; .* nearest: spectrum"),
    ],
)
def test_ids_that_join_nothing_are_refused_in_one_sentence(both, change, said):
    with pytest.raises(DataError, match=said):
        joined(both, **change)


def test_sources_that_contradict_each_other_are_refused(both):
    both[0].samples.loc[3, "species"] = "b"
    with pytest.raises(
        DataError, match=r"species of 's3' is 'b' in image and 'a' in spectrum; .*leave_out=\{spectrum: \["
    ):
        joined(both)
    source = joined(both, leave_out={"spectrum": ["species"]})
    assert source.samples.species.tolist()[3:] == ["b", "b", "a", None, None]
    with pytest.raises(DataError, match="two sources or more"):
        Joined({"image": both[0]})


@pytest.mark.parametrize(("field", "name"), [("", "photo"), ("picture", "photo")])
def test_a_stream_that_names_no_source_is_told_what_there_is(both, field, name):
    with pytest.raises(
        DataError, match=rf"modality.{name}.field: {field or 'none'}, and no source is called photo; expected "
    ):
        joined(both).read(0, [Stream(name, bands=RGB, field=field)])


def test_a_label_is_wanted_whole_where_its_source_has_the_row(both):
    _, spectrum, _ = both
    spectrum.samples.attrs["complete"] = {"site": "data.source.missing_labels"}
    assert joined(both).samples.attrs["complete"] == {}  # s0 and s1 have no spectrum, so no site
    spectrum.samples["site"] = spectrum.samples["site"].astype(object).where(spectrum.samples["id"] != "s3", None)
    assert joined(both).samples.attrs["complete"] == {"site": "data.source.sources.spectrum.missing_labels"}


def test_each_stream_is_scaled_as_its_data_set_says(both):
    image, spectrum, folder = both
    split = Split(**SPLIT)
    sets = {
        "image": Data(image, scaling=DtypeMax(), split=split, labels=[]),
        "spectrum": Data(spectrum, scaling=DatasetStats(), split=split, labels=[]),
    }
    source = Joined(sets, root=str(folder))
    data = Data(source, scaling=OwnScaling(), split=split, labels=["species"], root=str(folder), batch_size=8)
    made = data.prepare(MODALITY, 0)
    batch = made.batch(np.arange(8))
    assert batch.present["image"].tolist() == [True] * 6 + [False] * 2
    assert batch.present["spectrum"].tolist() == [False] * 2 + [True] * 6
    assert (batch.inputs["spectrum"][:2] == 0).all()
    own = image.read(3, [Stream("image", bands=RGB)]).inputs["image"]
    np.testing.assert_allclose(batch.inputs["image"][3].numpy(), own / 255, atol=1e-6)
    rows = [r for r in made.splits["train"] if r >= 2]
    learnt = batch.inputs["spectrum"].numpy()[rows]
    np.testing.assert_allclose(learnt.mean(0), 0, atol=1e-5)  # of the training split's own spectra alone
    assert made.targets["species"].tolist() == [-1, 0, 1, 0, 1, 0, 1, 0]
    record = json.loads(json.dumps(made.record()))
    assert record["choices"]["scaling"]["spectrum"] == {"policy": "DatasetStats"}
    again = data.prepare(MODALITY, 0, frozen=record)
    np.testing.assert_array_equal(again.batch(np.arange(8)).inputs["spectrum"], batch.inputs["spectrum"])
    other = Data(joined(both), scaling=OwnScaling({"image": DtypeMax()}), split=split, labels=[])
    with pytest.raises(DataError, match=r"data.scaling.policies: none for stream spectrum; expected one of image"):
        other.prepare(MODALITY, 0)


def test_scaling_is_spelt_out_for_where_its_sources_are_not(composed):
    words = ["experiment=joined", "data.root=/nowhere"]
    node = OmegaConf.to_container(composed(*words, small=False).data, resolve=True)
    policies = {
        name: one["_target_"].rpartition(".")[2]
        for name, one in spelt_out(node, {"policy": "OwnScaling"})["policies"].items()
    }
    assert policies == {"image": "DtypeMax", "spectrum": "DatasetStats"}
    assert spelt_out({"scaling": {"_target_": "x"}, "source": {}}, {}) == {"_target_": "x"}


def test_the_fingerprint_is_of_every_source_and_of_the_join(both):
    folder = both[2]
    mark = fingerprint(joined(both), str(folder))
    assert mark == fingerprint(joined(both), None)  # each file counts in its own source's folder
    assert mark != fingerprint(joined(both, missing="drop"), str(folder))
    path = folder / "photographs/s0.png"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert mark != fingerprint(joined(both), str(folder))


def test_masks_are_shared_and_rows_without_their_source_have_one_of_everything(tmp_path):
    image = pictures(tmp_path / "rgb", ["s0", "s1", "s2"])
    for i in range(2):
        x = np.full((2, 5, 5), 7 + i, dtype=np.uint16)
        x[1], x[1, 0] = 1, 0
        tifffile.imwrite(tmp_path / f"s{i}.tif", x, photometric="minisblack", planarconfig="separate")
    uv = Tiff(str(tmp_path), card=card(["UV", "mask"], mask_band="mask"))
    source = Joined({"rgb": image, "uv": uv}, root=str(tmp_path))
    streams = [Stream("rgb", bands=RGB), Stream("uv", bands=uv.bands)]
    assert source.read(1, streams).mask.sum() == 20
    raw = source.read(2, streams)
    assert raw.mask.all()
    assert raw.inputs["uv"] is None
    made = Made(2, size=6)
    made.samples = made.samples.assign(id=["s0", "s1"])
    with pytest.raises(DataError, match=r"two masks, of \(5, 5\) in uv and of \(6, 6\) in other"):
        Joined({"uv": uv, "other": made}).read(0, [Stream("uv", bands=uv.bands), Stream("other", bands=made.bands)])


def test_captions_of_one_image_hang_together_and_columns_of_images_keep_their_source(tmp_path):
    pictures(tmp_path / "img", ["s1", "s2"])
    rows = [{"id": f"c{i}", "photo": f"img/s{1 + i // 2}.png", "text": f"word {i}"} for i in range(4)]
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pairs = Pairs(str(tmp_path), images=["photo"], texts=["text"])
    spectrum = spectra(tmp_path, ["c0", "c1", "c3"])
    source = Joined({"pairs": pairs, "spectrum": spectrum}, root=str(tmp_path))
    assert source.together == "pairs.photo"
    assert source.items == dict.fromkeys(["pairs.photo", "pairs", "photo"], "pairs.photo")
    assert source.text_columns == ["pairs.text"]
    raw = source.read(2, [Stream("a", bands=RGB, field="pairs"), Stream("b", "text", field="pairs.text")])
    assert raw.inputs["a"].shape == (3, 5, 5)
    assert raw.inputs["b"] == "word 2"
    modality = {
        "photo": {"kind": "image", "bands": "all", "field": "pairs.photo"},
        "words": {"kind": "text", "field": "pairs.text"},
        "spectrum": {"kind": "vector", "bands": "all"},
    }
    split = Split(by="pairs.photo", train=0.5, val=0.0, test=0.5)
    made = Data(source, scaling=DtypeMax(), split=split, labels="auto", batch_size=4).prepare(modality, 0)
    assert made.facts["labels"] == []
    batch = made.batch(np.arange(4))
    assert len(set(batch.same.tolist())) == 2
    assert batch.items.keys() == {"photo"}  # rows of one image hold one image, and spectra of their own


def test_a_stream_is_of_the_only_source_that_has_its_field(tmp_path):
    """The columns of one source by their own names: its bands, its scaling, and its items; of two, it must be said."""
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    for name, column in (("one", "left"), ("two", "right"), ("three", "left")):
        rows = [{"id": f"s{i}", column: "a.png", "text": "a"} for i in range(2)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    of = {name: Pairs(str(tmp_path), file=f"{name}.jsonl", texts=[]) for name in ("one", "two", "three")}
    apart = Joined({"a": of["one"], "b": of["two"]})
    stream = Stream("right", "image", of["two"].bands)
    assert apart.read(0, [stream]).inputs["right"].shape == (3, 4, 4)
    assert apart.bands_of("right", "") == of["two"].bands
    assert apart.items["right"] == "b.right"
    apart.members["b"].scaling = policy = object()
    assert OwnScaling().filled(apart).of(stream) is policy
    both = Joined({"a": of["one"], "c": of["three"]})
    with pytest.raises(
        DataError, match=r"modality.left.field: none, and no source is called left; expected one of a, c"
    ):
        both.read(0, [Stream("left", "image", of["one"].bands)])
