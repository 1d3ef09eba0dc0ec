"""The map kind: classes and numbers of every pixel, brought to the size of their images and never scaled."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.masks import Masks
from multimodal_lab.data.readers.scene_tiles import SceneTiles
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.data.synthetic.sentinel import Sentinel
from multimodal_lab.types import Band, Stream

COVER = {"kind": "map", "role": "target", "field": "map", "bands": "all"}
NAMES = {"names": {2: "water", 7: "forest"}, "ignore": [0]}


class Fields:
    """Twenty images of 8 x 12 pixels whose band says the class of its pixel, and their maps."""

    bands = (Band("a"),)
    field_bands = {"": bands, "map": (Band("map"),)}  # noqa: RUF012

    def __init__(self, values=(0, 2, 7), dtype=np.uint8, shape=(8, 12), map_shape=None):
        draw = np.random.default_rng(0)
        self.maps = np.asarray(values, dtype)[draw.integers(0, len(values), (20, *(map_shape or shape)))]
        self.pixels = draw.integers(1, 250, (20, 1, *shape)).astype(np.uint8)
        self.samples = pd.DataFrame({"id": [f"s{i}" for i in range(20)]})

    def read(self, index, streams):
        return Raw(
            {s.name: self.maps[index][None] if s.field == "map" else self.pixels[index] for s in streams}, None, 255.0
        )


def prepared(source, cover, **more):
    data = Data(source, scaling=DtypeMax(), split=Split(train=0.6, val=0.2, test=0.2), labels=[], **more)
    return data.prepare({"x": {"bands": "all"}, "cover": {**COVER, **cover}}, seed=0)


def test_classes_are_places_in_the_names_at_the_size_of_the_images():
    source = Fields()
    data = prepared(source, NAMES, size=12)
    batch = data.batch(np.arange(20))
    found = batch.targets["cover"].numpy()
    assert found.shape == (20, 12, 12) == batch.inputs["x"][:, 0].shape
    assert (found[:, :2] == -1).all()
    assert (found[:, -2:] == -1).all()
    np.testing.assert_array_equal(found[:, 2:-2], np.select([source.maps == 2, source.maps == 7], [0, 1], -1))
    assert data.maps == {"cover": ["water", "forest"]}
    assert "cover" not in data.streams
    assert "cover" not in batch.inputs


def test_numbers_are_as_stored_and_measured_on_training_pixels():
    source = Fields((1.5, 3.0, -9999.0, np.nan), np.float32, (8, 8))
    data = prepared(source, {"ignore": [-9999]})
    found = data.batch(np.arange(20)).targets["cover"].numpy()
    np.testing.assert_array_equal(found, np.where(source.maps == -9999, np.nan, source.maps))
    train = found[data.rows("train")]
    mean, std = data.map_numbers["cover"]
    assert float(mean) == pytest.approx(np.nanmean(train))
    assert float(std) == pytest.approx(np.nanstd(train))


def test_a_trained_run_reads_other_maps_as_its_own():
    record = prepared(Fields(shape=(8, 8)), NAMES).record()
    again = Data(Fields((2, 7), shape=(8, 8)), scaling=DtypeMax(), split=Split(), labels=[])
    found = again.prepare({"x": {"bands": "all"}, "cover": {**COVER, **NAMES}}, seed=0, frozen=record)
    assert set(np.unique(found.batch(np.arange(20)).targets["cover"])) == {0, 1}


@pytest.mark.parametrize(
    ("source", "cover", "said"),
    [
        ({}, {**NAMES, "ignore": []}, r"map cover holds 0 in \d+ pixels, which modality.cover.names does not name"),
        ({"map_shape": (6, 12)}, NAMES, "map cover is of 6 x 12 pixels and the image x of 8 x 12, expected one size"),
        ({"values": (0, 2)}, NAMES, "map cover: the training split has pixels of water alone"),
        ({}, {"names": {2: "a", 7: "a"}}, "modality.cover.names: 'a' names two values, expected each class once"),
        ({}, {"names": {2: "a", 7: "b"}, "ignore": [7]}, r"modality.cover: 7 is in names \(b\) and in ignore"),
        ({}, {"names": {"two": "a", 7: "b"}}, "modality.cover.names: 'two' is no stored value, expected numbers"),
        ({}, {"names": ["a"]}, "modality.cover.names: one class, 'a'; expected two or more, or none"),
        (
            {},
            {**NAMES, "role": "input"},
            "modality.cover: a map is what a head tells of every pixel; give it role: target",
        ),
        ({}, {**NAMES, "kind": "image"}, "modality.cover"),
    ],
)
def test_what_is_no_map_is_refused(source, cover, said):
    with pytest.raises(DataError, match=said):
        prepared(Fields(**source), cover, size=12)


def test_held_out_pixels_of_a_scene_are_labelled_once_and_no_tile_leaves_its_block(tmp_path):
    draw = np.random.default_rng(0)
    np.save(tmp_path / "cube.npy", np.arange(50 * 45).reshape(50, 45, 1).astype(np.uint16))
    np.save(tmp_path / "map.npy", draw.integers(1, 4, (50, 45)).astype(np.uint8))
    source = SceneTiles(
        str(tmp_path), cube="cube.npy", map="map.npy", patch=10, stride=4, block=15, train=0.4, val=0.3, test=0.3
    )
    streams = [Stream("x", bands=source.bands), Stream("y", "map", bands=(Band("map"),), field="map")]
    home = np.full(50 * 45, -1)
    labelled = np.zeros(50 * 45, int)
    stored = np.load(tmp_path / "map.npy").ravel()
    for i in range(len(source.samples)):
        raw = source.read(i, streams)
        place, own = raw.inputs["x"].ravel().astype(int), raw.inputs["y"].ravel()
        assert (own[own > 0] == stored[place][own > 0]).all()
        block = source.samples.block.iloc[i]
        assert set(home[place]) <= {-1, block}
        home[place] = block
        labelled[place] += (own > 0) & (source.samples["split"].iloc[i] != "train")
    held = source.samples["split"][source.samples["split"] != "train"].index
    there = np.isin(home, source.samples.block[held])
    assert (labelled[there] == 1).all()
    assert (labelled[~there] == 0).all()


def test_tiles_larger_than_a_block_are_refused(tmp_path):
    np.save(tmp_path / "cube.npy", np.ones((40, 40, 2), np.uint16))
    np.save(tmp_path / "map.npy", np.ones((40, 40), np.uint8))
    with pytest.raises(DataError, match=r"data.source.patch: 12 is too large for blocks of 10 pixels"):
        SceneTiles(str(tmp_path), cube="cube.npy", map="map.npy", patch=12, block=10)


def test_made_up_patches_say_what_lies_in_each_pixel():
    source = Sentinel(patches=6, size=12, tiles=3)
    streams = [Stream("s2", bands=source.bands[:12]), Stream("cover", "map", bands=(Band("cover"),), field="cover")]
    for i in range(6):
        found = source.read(i, streams).inputs["cover"]
        np.testing.assert_array_equal(found[0], source.cover(i))


def masks(folder, **more):
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for i in range(4):
        Image.fromarray(np.full((6, 6, 3), 40 * i, np.uint8)).save(folder / f"images/p{i}.png")
        picture = Image.fromarray(np.full((6, 6), i % 3, np.uint8), "P")
        picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
        picture.save(folder / f"masks/p{i}.png")
    return lambda: Masks(str(folder), images=Images(str(folder / "images")), masks="masks/{stem}.png", **more)


def test_maps_lie_beside_their_images_by_stem_and_a_palette_holds_classes(tmp_path):
    source = masks(tmp_path)()
    streams = [Stream("rgb", bands=source.bands), Stream("cover", "map", bands=(Band("map"),), field="map")]
    for i, name in enumerate(source.samples["id"]):
        raw, number = source.read(i, streams), int(Path(name).stem[1:])
        assert (raw.inputs["cover"] == number % 3).all()
        assert (raw.inputs["rgb"] == 40 * number).all()


def test_an_image_without_a_map_or_with_one_in_colours_is_refused(tmp_path):
    opened = masks(tmp_path)
    Image.new("RGB", (6, 6)).save(tmp_path / "masks/p1.png")
    with pytest.raises(DataError, match=r"masks/p1.png: a picture of mode RGB, expected one channel or a palette"):
        opened().read(1, [Stream("cover", "map", bands=(Band("map"),), field="map")])
    (tmp_path / "masks/p2.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 images have no map, such as p2.png \(looked for masks/p2.png\)"):
        opened()
    kept = Masks(str(tmp_path), images=Images(str(tmp_path / "images")), masks="masks/{stem}.png", missing="keep")
    assert kept.read(2, [Stream("cover", "map", bands=(Band("map"),), field="map")]).inputs["cover"] is None
