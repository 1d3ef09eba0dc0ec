"""Tiled prediction: a run of made-up scenes tells scenes of any size, in any of the formats, where they lie."""

import json
import os
import re
import signal
import sys

import h5py
import numpy as np
import pytest
import tifffile

from multimodal_lab.experiment import run as experiment
from multimodal_lab.predict import __main__ as command
from multimodal_lab.predict import load
from multimodal_lab.predict.blend import Blend, Lattice
from multimodal_lab.predict.scene import Asked, SceneTeller

rasterio = pytest.importorskip("rasterio", reason="GeoTIFFs are written and read by rasterio, an extra")
from_origin = rasterio.transform.from_origin
SIDE, NAMES = 16, ("B02", "B03", "B04", "B08")
WORDS = ["data=scene_tiles", "data.source.cube=cube.npy", "data.source.map=map.npy", f"data.source.patch={SIDE}",
         f"data.source.block={SIDE}", "data.source.stride=8", "augment=flips", "head=segment", "loss=segment",
         "fusion=separate", "evaluate=[head]", "label=cover", "backbone.widths=[16]", "log=none", "figures=[]",
         "data.batch_size=4", "train.epochs=30", "train.validate_every=0", "optim.lr=1e-2", "head.width=16"]  # fmt: skip
MAP = "+modality.cover={kind: map, role: target, field: map, bands: all, ignore: [0], names: {1: water, 5: forest, 9: field}}"


def made(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A cube (H, W, 4) whose classes 1, 5 and 9 differ in their bands, and the map; fields of 6 x 6 pixels and more."""
    draw = np.random.default_rng(seed)
    cells = draw.integers(0, 3, (-(-height // 6), -(-width // 6)))
    place = cells.repeat(6, 0).repeat(6, 1)[:height, :width]
    looks = np.array([[900, 700, 400, 200], [300, 500, 300, 3000], [800, 1000, 1300, 1900]])
    return (looks[place] + draw.normal(0, 120, (height, width, 4))).clip(1).astype(np.uint16), np.array([1, 5, 9])[
        place
    ]


@pytest.fixture(scope="module")
def run(composed, tmp_path_factory):
    where = tmp_path_factory.mktemp("scenes")
    cube, classes = made(96, 96)
    classes[:3] = 0
    np.save(where / "cube.npy", cube)
    np.save(where / "map.npy", classes.astype(np.uint8))
    cfg = composed("modality=rgb", "~modality.rgb", "+modality.s2={bands: all}", MAP, *WORDS, f"data.root={where}",
                   "+data.source.card={_target_: multimodal_lab.data.readers.card.card, bands: [B02, B03, B04, B08]}",
                   small=False)  # fmt: skip
    experiment.run(cfg, where / "run")
    return where / "run"


def geotiff(path, cube, **more):
    """The cube with the names of its bands, somewhere in Austria."""
    how = {
        "driver": "GTiff",
        "crs": "EPSG:32633",
        "transform": from_origin(400_000, 5_200_000, 10, 10),
        "nodata": 0,
        **more,
    }
    with rasterio.open(path, "w", height=cube.shape[0], width=cube.shape[1], count=4, dtype=cube.dtype,
                       **how) as file:  # fmt: skip
        file.write(np.moveaxis(cube, 2, 0))
        file.descriptions = NAMES
    return path


@pytest.fixture
def call(monkeypatch, capsys):
    def tell(*words):
        monkeypatch.setattr(sys, "argv", ["predict", *map(str, words)])
        try:
            command.main()
        except SystemExit as end:
            return str(end.code)
        return capsys.readouterr().out

    return tell


def test_held_out_pixels_are_told_and_scored(run):
    scores = json.loads((run / "summary.json").read_text())
    assert scores["head/segment/cover/pixel_accuracy"] > 0.8
    assert {"head/segment/cover/iou@water", "head/segment/cover/miou"} <= scores.keys()
    data = json.loads((run / "data.json").read_text())
    held = len(data["splits"]["test"]) * SIDE * SIDE
    assert 0.8 * held < scores["head/segment/cover/n"] <= held


def test_a_scene_becomes_a_geotiff_that_lies_where_it_lay(run, call, tmp_path):
    cube, truth = made(70, 93, seed=5)
    cube[20:30, 40:60] = 0  # nodata
    said = call(
        f"run={run}", f"scene={geotiff(tmp_path / 's.tif', cube)}", f"out={tmp_path}/map.tif", "probabilities=true"
    )
    assert said.startswith("cover of 70 x 93 pixels by ")
    with rasterio.open(tmp_path / "map.tif") as file, rasterio.open(tmp_path / "map_probabilities.tif") as chances:
        found, share = file.read(1), chances.read()
        assert (file.crs.to_epsg(), file.nodata, file.dtypes[0]) == (32633, 0, "uint8")
        assert file.transform == chances.transform == from_origin(400_000, 5_200_000, 10, 10)
        legend = {one["value"]: one for one in json.loads((tmp_path / "map.json").read_text())["classes"]}
        assert "#{:02x}{:02x}{:02x}".format(*file.colormap(1)[5][:3]) == legend[5]["colour"]
    gone = np.zeros(found.shape, bool)
    gone[20:30, 40:60] = True
    assert ((found == 0) == gone).all()
    assert set(np.unique(found)) <= {0, 1, 5, 9}
    assert (found == truth)[~gone].mean() > 0.75
    assert (np.array([1, 5, 9])[share.argmax(0)] == found)[~gone].all()
    assert legend[5]["pixels"] == (found == 5).sum()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("how", ["tiled", "strips", "pixels", "plain", "npy", "hdf5", "envi"])
def test_every_format_gives_the_same_map(run, how, tmp_path):
    cube, _ = made(45, 50, seed=3)
    path, more = tmp_path / "s.tif", {}
    match how:
        case "tiled":
            geotiff(path, cube, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
        case "strips":
            geotiff(path, cube, compress="deflate", blockysize=7)
        case "pixels":
            geotiff(path, cube, interleave="pixel", compress="lzw")
        case "plain":
            geotiff(path, cube)
        case "npy":
            path, more = tmp_path / "s.npy", {"bands": {"": NAMES}}
            np.save(path, cube)
        case "hdf5":
            path, more = tmp_path / "s.h5", {"bands": {"": "run"}, "keys": {"": "cube"}, "axes": "chw"}
            with h5py.File(path, "w") as file:
                file["cube"] = np.moveaxis(cube, 2, 0)
        case "envi":
            path = tmp_path / "s.bil"
            np.moveaxis(cube, 2, 1).tofile(path)
            (tmp_path / "s.hdr").write_text(
                "ENVI\nsamples = 50\nlines = 45\nbands = 4\ndata type = 12\ninterleave = bil\nbyte order = 0\n"
                f"header offset = 0\nband names = {{{', '.join(NAMES)}}}\n"
            )
    predictor = load(run)
    values = np.concatenate([x for x, _ in SceneTeller(predictor, Asked({"": path}, **more))], 1)
    np.save(tmp_path / "own.npy", cube)
    own = SceneTeller(predictor, Asked({"": tmp_path / "own.npy"}, {"": "run"}))
    np.testing.assert_array_equal(values, np.concatenate([x for x, _ in own], 1))


def test_an_envi_scene_becomes_a_geotiff_that_lies_where_it_lay(run, call, tmp_path):
    cube, _ = made(24, 24, seed=3)
    geotiff(tmp_path / "scene.img", cube, driver="ENVI", nodata=None)
    said = call(f"run={run}", f"scene={tmp_path / 'scene.img'}", f"out={tmp_path / 'map.tif'}", "bands=run")
    assert "without georeference" not in said
    with rasterio.open(tmp_path / "scene.img") as scene, rasterio.open(tmp_path / "map.tif") as told:
        assert (told.crs, told.transform) == (scene.crs, scene.transform)


def test_stopped_in_the_middle_nothing_is_left(run, tmp_path, monkeypatch):
    """SIGTERM while windows are told: what was spooled beside the output goes with the process."""
    geotiff(tmp_path / "scene.tif", made(24, 24)[0])

    def stopped(self):
        assert list(tmp_path.glob(".map.tif.*"))
        os.kill(os.getpid(), signal.SIGTERM)
        yield from ()

    monkeypatch.setattr(SceneTeller, "__iter__", stopped)
    monkeypatch.setattr(
        sys, "argv", ["predict", f"run={run}", f"scene={tmp_path / 'scene.tif'}", f"out={tmp_path / 'map.tif'}"]
    )
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit, match="stopped by SIGTERM"):
            command.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def test_windows_leave_no_seam(run, tmp_path):
    """The network sees 4 pixels far (a stride of 2, then 3 x 3 convolutions on both grids): windows that drop more than that at
    their edges say what one window of the whole scene says; those that drop nothing do not."""
    cube, _ = made(96, 96, seed=2)
    path, predictor = geotiff(tmp_path / "s.tif", cube), load(run)

    def told(**how):
        return np.concatenate([x for x, _ in SceneTeller(predictor, Asked({"": path}, **how))], 1)

    whole = told(window=96, overlap=0, margin=0)
    assert np.abs(told(window=32, overlap=24, margin=12) - whole).max() <= 1e-4
    assert np.abs(told(window=32, overlap=0, margin=0) - whole).max() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(9, 11), (16, 16), (50, 37)])
@pytest.mark.parametrize(("side", "overlap", "margin"), [(16, 0, 0), (16, 6, 3), (16, 15, 0), (12, 5, 1)])
def test_blended_windows_that_agree_are_the_scene(height, width, side, overlap, margin):
    lattice = Lattice(side, overlap, margin)
    scene = np.random.default_rng(0).normal(size=(2, height, width)).astype(np.float32)
    padded = np.pad(scene, ((0, 0), (0, side), (0, side)))
    blend, found = Blend(lattice, 2, height, width), []
    rows = lattice.starts(height)
    for i, row in enumerate(rows):
        for column in lattice.starts(width):
            blend.add(row, column, padded[:, row : row + side, column : column + side])
        values, spoke = blend.done(rows[i + 1] if i + 1 < len(rows) else height)
        assert spoke.all()
        found.append(values)
    np.testing.assert_allclose(np.concatenate(found, 1), scene, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scene={}/none.tif"], "none.tif: not there"),
        (["scene={}/bare.tif"], r"bare.tif does not name its 4 bands; name them in their order, bands=\[B02,B03,B04…\], or say"),
        (["scene={}/bare.tif", "bands=[a,b]"], "bare.tif has 4 bands, and bands names 2: a, b"),
        (["scene={}/bare.tif", "bands=[B02,B03,B05,B08]"], "bare.tif has no band B04, which the run was trained on"),
        (["scene={}/bytes.tif", "bands=run"], "bytes.tif: values of type uint8, expected uint16"),
        (["scene.s1={}/bare.tif"], "scene.s1: no image stream of the run; expected one of s2"),
        (["scene={}/bare.tif", "bands=run", "window=16", "overlap=16"], "overlap=16: expected 0 to 15"),
        (["scene={}/bare.tif", "bands=run", "margin=9"], "margin=9: expected 0 to 2, half of overlap=4"),
        (["scene={}/bare.tif", "out=x.png"], "out=x.png: expected one of .tif, .tiff"),
        (["scene={}/bare.tif", "tile=3"], "tile=3: no word of a scene"),
        ([], "its head segment tells a map, a value for every pixel; give a scene"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_said_in_one_sentence(run, call, words, said, tmp_path):
    tifffile.imwrite(tmp_path / "bare.tif", made(20, 20)[0], photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(
        tmp_path / "bytes.tif", np.ones((20, 20, 4), np.uint8), photometric="minisblack", planarconfig="contig"
    )
    root = [] if words else [f"data.root={run.parent}"]
    found = call(f"run={run}", *[w.format(tmp_path) for w in words], *root)
    assert re.search(said, found), found
    assert found.count("\n") <= 1
