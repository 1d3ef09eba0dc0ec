from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.bands import indices, plan, resolve, select
from multimodal_lab.types import Band, Stream

CONF = Path(__file__).parents[2] / "conf"
SEVEN = tuple(Band(n, nm) for n, nm in [("UV1", 360.0), ("B", 460.0), ("G", 540.0), ("R", 620.0), ("NIR", 800.0)])
CUBE = tuple(Band(f"B{i:03d}", 300.0 + i) for i in range(401))
BARE = (Band("VV"), Band("VH"))


@pytest.mark.parametrize(
    ("take", "bands", "expected"),
    [
        ("all", SEVEN, [0, 1, 2, 3, 4]),
        (["R", "G", "B"], SEVEN, [3, 2, 1]),
        (["R", "UV*"], SEVEN, [3, 0]),
        ("NIR", SEVEN, [4]),
        ([0, 4], SEVEN, [0, 4]),
        ({"index": [400, 0]}, CUBE, [400, 0]),
        ({"every": 100}, CUBE, [0, 100, 200, 300, 400]),
        ({"nm": [[300, 302], [699, 701]]}, CUBE, [0, 1, 399, 400]),
        ({"nearest": [650.4, 550, 450]}, CUBE, [350, 250, 150]),
        (["VH"], BARE, [1]),
    ],
)
def test_select(take, bands, expected):
    assert select(take, bands) == expected


def test_regions_that_touch_share_no_band():
    low, high = select({"nm": [[300, 400]]}, CUBE), select({"nm": [[400, 701]]}, CUBE)
    assert sorted(low + high) == list(range(401))


@pytest.mark.parametrize(
    ("take", "bands", "words"),
    [
        (["Rd"], SEVEN, ["'Rd'", "R"]),
        (["X*"], SEVEN, ["'X*'"]),
        (["R", "R"], SEVEN, ["R", "twice"]),
        (["R", "*"], SEVEN, ["R", "twice"]),
        ([5], SEVEN, ["5", "0 to 4"]),
        ([-1], SEVEN, ["-1"]),
        ([], SEVEN, ["no band"]),
        ({"evry": 2}, SEVEN, ["evry", "every"]),
        ({"every": 0}, SEVEN, ["every", "0"]),
        ({"every": 2, "nm": [[1, 2]]}, SEVEN, ["one rule"]),
        ({"nm": [[900, 950]]}, CUBE, ["900", "300", "700"]),
        ({"nearest": [900]}, CUBE, ["900", "700"]),
        ({"nearest": [650]}, BARE, ["no wavelengths", "VV"]),
        (["B4OO"], CUBE, ["nearest", "B400"]),
        ("all", (), ["no bands"]),
    ],
)
def test_what_is_not_there_is_refused(take, bands, words):
    with pytest.raises(DataError) as error:
        select(take, bands, "modality.x.bands")
    assert all(word in str(error.value) for word in [*words, "modality.x.bands"])


def test_resolve_gives_a_stream_of_the_bands_asked():
    stream = resolve("rgb", {"kind": "image", "bands": ["R", "G", "B"]}, SEVEN)
    assert (stream.name, stream.kind, stream.channels) == ("rgb", "image", 3)
    assert indices(stream, SEVEN) == [3, 2, 1]
    twice = resolve("rgb", {"kind": "image", "bands": ["R", "G", "B"], "repeat": 2}, SEVEN)
    assert indices(twice, SEVEN) == [3, 2, 1, 3, 2, 1]
    assert resolve("text", {"kind": "text", "field": "caption"}, ()).field == "caption"


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"kind": "imag", "bands": "all"}, "image"),
        ({"kind": "image", "bnds": "all"}, "bands"),
        ({"kind": "image"}, "bands"),
        ({"kind": "text", "bands": "all"}, "field"),
    ],
)
def test_wrong_facts_are_refused_by_name(facts, word):
    with pytest.raises(DataError, match=word):
        resolve("x", facts, SEVEN)


def test_indices_names_an_absent_band():
    with pytest.raises(DataError, match=r"s1: no band 'HH'.*VV"):
        indices(Stream("s1", bands=(Band("HH"),)), BARE)


EVERY = (
    *[Band(n) for n in ("R", "G", "B", "UV1", "UV2", "UV3", "NIR", "VV", "VH")],
    *[Band(f"B{i:02d}") for i in (1, 2, 3, 4, 5, 6, 7, 8)],
    *[Band(n) for n in ("B8A", "B09", "B11", "B12")],
    *[Band(f"nm{i}", float(i)) for i in range(300, 701)],
    Band("nm1600", 1600.0),
    *[Band(f"{sensor}_{i:04d}") for sensor in ("in", "sk", "de") for i in range(3)],
    Band("mono"),
)
CHANNELS = {
    "rgb": [3],
    "uv": [3],
    "rgb_uv": [3, 3],
    "rgb_uv_stacked": [6],
    "rgb_nir": [3, 1],
    "s1_s2": [2, 12],
    "s2_rgb_rest_s1": [3, 11],
    "s2": [12],
    "s2_rgb_rest": [3, 9],
    "uv_vis": [100, 301],
    "inertial_skeleton_depth": [3, 3, 3],
    "multispectral": [len(EVERY)],
    "hyperspectral": [len(EVERY)],
    "image_text": [3, 0],
    "image_caption": [3, 0],
}


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONF / "modality").glob("*.yaml")))
def test_every_modality_of_conf_can_be_cut(name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        modality = OmegaConf.to_container(compose(f"modality/{name}").modality)
    streams = [plan(stream, facts, EVERY).stored for stream, facts in modality.items()]
    assert all(s.kind == "text" or s.channels for s in streams)
    assert [s.channels for s in streams] == CHANNELS.get(name, [s.channels for s in streams])
