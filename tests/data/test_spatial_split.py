"""Splits by blocks of the ground: whole across zones of a projection, apart by a buffer, told; random ones are audited."""

import numpy as np
import pandas as pd
import pytest
from made_geotiff import noise, write
from made_source import Made

from multimodal_lab.data.audit.audit import audit
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split import spatial
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import NoScaling

STREAM = {"x": {"kind": "image", "bands": ["a"]}}


def haversine(lon, lat, lon2, lat2):
    lon, lat, lon2, lat2 = map(np.radians, (lon, lat, lon2, lat2))
    h = np.sin((lat2 - lat) / 2) ** 2 + np.cos(lat) * np.cos(lat2) * np.sin((lon2 - lon) / 2) ** 2
    return 2 * 6371.0088 * np.arcsin(np.sqrt(h))


def table(count=400, seed=0, lon=(11.6, 12.4), lat=(47.8, 48.2)):
    """Around 12° E, where zones 32 and 33 of UTM meet."""
    draw = np.random.default_rng(seed)
    places = {"lon": draw.uniform(*lon, count), "lat": draw.uniform(*lat, count)}
    return pd.DataFrame({"id": [f"s{i}" for i in range(count)], **places})


def split(rows, km=10.0, **more):
    made = rows.assign(spatial_block=spatial.blocks(rows.lon.to_numpy(), rows.lat.to_numpy(), km))
    return made, Split(by="spatial_block", block_km=km, train=0.6, val=0.2, test=0.2, **more).assign(made)


@pytest.mark.parametrize("km", [2.0, 10.0])
def test_samples_of_one_block_stay_together(km):
    rows, splits = split(table(), km)
    assert sorted(np.concatenate(list(splits.values()))) == list(range(400))
    home = {i: name for name, own in splits.items() for i in own}
    of = rows.groupby("spatial_block").groups
    assert len(of) > 10
    assert all(len({home[i] for i in own}) == 1 for own in of.values())
    for own in of.values():  # and none is larger than it says
        here = rows.loc[own]
        assert haversine(here.lon.min(), here.lat.mean(), here.lon.max(), here.lat.mean()) < km * 1.02
        assert haversine(here.lon.min(), here.lat.min(), here.lon.min(), here.lat.max()) <= km


def test_blocks_close_around_the_earth():
    lon = np.array([179.9999, -179.9999, 180.0, -180.0, 0.0, np.nan])
    found = spatial.blocks(lon, np.zeros(6), 50.0)
    assert found[2] == found[3]
    assert found[5] is None
    assert len(set(spatial.blocks(np.linspace(-180, 180, 50), np.full(50, 89.9999), 10.0))) <= 7


def test_no_two_samples_of_two_splits_are_nearer_than_the_buffer():
    rows, splits = split(table(), 10.0, buffer_km=1.5)
    plain = split(table(), 10.0)[1]
    assert (splits["test"] == plain["test"]).all()

    def least(found, a, b):
        lon, lat = rows.lon.to_numpy(), rows.lat.to_numpy()
        i, j = found[a][:, None], found[b][None]
        return haversine(lon[i], lat[i], lon[j], lat[j]).min()

    for a, b in (("train", "test"), ("train", "val"), ("val", "test")):
        assert least(splits, a, b) >= 1.5
    assert least(plain, "train", "test") < 1.5
    assert 0 < 400 - sum(map(len, splits.values())) < 200
    with pytest.raises(DataError, match=r"data.split.buffer_km=500: all \d+ samples of train are nearer than that"):
        split(table(), 10.0, buffer_km=500.0)


def tiles(folder, step=600):
    """A grid of patches, 600 m a side, in zone 33 and, beyond 12° E, some in zone 32."""
    for i in range(6):
        for j in range(6):
            write(
                folder / f"p{i}_{j}x.tif", noise(i * 6 + j, 6, 6), 32633, 280_000 + step * i, 5_300_000 + step * j, 100
            )
    write(folder / "zone32.tif", noise(99, 6, 6), 32632, 722_000, 5_300_000, 100)
    return Tiff(str(folder), card=card(["a"]), georeference=True)


def prepared(source, folder, **choice):
    choice = {"by": "spatial_block", "block_km": 1.5, "train": 0.6, "val": 0.2, "test": 0.2, **choice}
    data = Data(source, scaling=NoScaling(), split=Split(**choice), labels=[], root=str(folder))
    return data.prepare(STREAM, seed=0)


def test_a_run_tells_its_blocks_and_the_audit_the_neighbours_of_a_random_split(tmp_path):
    source = tiles(tmp_path)
    mark = fingerprint(source, str(tmp_path))
    ready = prepared(source, tmp_path)
    assert ready.fingerprint == mark  # blocks are a choice, no data
    assert "spatial_block" not in source.samples
    assert len(set(ready.groups)) == ready.samples.spatial_block.nunique()
    assert ready.record()["split"]["block_km"] == 1.5
    (note,) = [n for n in ready.notes if n.startswith("split: ") and "km on the ground" in n]
    apart = spatial.nearest_km(ready.samples, ready.splits["test"], ready.splits["train"])[0]
    assert f"{apart.min():.3g} km at the least, {np.median(apart):.3g} km in the median" in note
    (near,) = [f for f in audit(ready).findings if f.kind == "neighbouring patches"]
    assert "data.split.buffer_km=" in near.sentence

    random = prepared(source, tmp_path, by=None, block_km=None)
    (found,) = [f for f in audit(random).findings if f.kind == "neighbouring patches"]
    assert "data.split.by=spatial_block data.split.block_km=" in found.sentence
    held = np.concatenate([random.splits["test"], random.splits["val"]])
    apart = spatial.nearest_km(random.samples, held, random.splits["train"])[0]
    assert found.count == (apart < 1.2).sum() > near.count  # two patches of 600 m
    assert not found.void
    far = prepared(source, tmp_path, buffer_km=1.3, val=0.0, train=0.8)
    assert not [f for f in audit(far).findings if f.kind == "neighbouring patches"]
    assert sum(map(len, far.splits.values())) < 37


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (
            {"by": "spatial_block"},
            "data.split: by=spatial_block, block_km=null, buffer_km=null; by=spatial_block and block_km",
        ),
        ({"block_km": 5.0}, "data.split: by=null, block_km=5.0"),
        ({"by": "place", "buffer_km": 5.0}, "data.split: by=place, block_km=null, buffer_km=5.0"),
    ],
)
def test_choices_that_go_together(choice, said):
    with pytest.raises(DataError, match=said):
        Split(**choice)


def test_without_coordinates_it_says_where_they_come_from():
    source = Made()
    data = Data(source, scaling=NoScaling(), split=Split(by="spatial_block", block_km=1.0), labels=[])
    with pytest.raises(
        DataError, match=r"data.split.by=spatial_block: samples have no columns lon and lat; data.source.geo"
    ):
        data.prepare({"rgb": {"kind": "image", "bands": [source.bands[0].name]}}, seed=0)
    rows = table(4).assign(spatial_block="b")
    rows.loc[2, "lat"] = np.nan
    with pytest.raises(DataError, match="1 of 4 samples have no lon and lat, such as 's2'"):
        Split(by="spatial_block", block_km=1.0).assign(rows)
    rows.loc[2, "lat"] = 5_300_000.0
    with pytest.raises(DataError, match=r"sample 's2' has lon 1\d\.\d+ and lat 5\.3e\+06, expected degrees"):
        Split(by="spatial_block", block_km=1.0).assign(rows)
