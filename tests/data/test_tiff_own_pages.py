"""A TIFF is its own pixels: no description makes it hold other files' planes, or planes of zeros."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

OME = """<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"
UUID="urn:uuid:00000000-0000-0000-0000-000000000000"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT"
Type="uint16" SizeX="8" SizeY="6" SizeC="{planes}" SizeZ="1" SizeT="1">{channels}{data}</Pixels></Image></OME>"""


def ome(planes, files):
    """A description of `planes` channels; files: {place: (file's name, its uuid, page)} of those that are told."""
    data = "".join(
        f'<TiffData FirstC="{at}" IFD="{page}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{uuid}</UUID></TiffData>'
        for at, (name, uuid, page) in files.items()
    )
    channels = "".join(f'<Channel ID="Channel:0:{i}" SamplesPerPixel="1"/>' for i in range(planes))
    return OME.format(planes=planes, channels=channels, data=data)


def written(path: Path, count: int = 3, description: str | None = None, **options) -> np.ndarray:
    x = np.random.default_rng(count).integers(1, 60000, (count, 6, 8)).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, x, photometric="minisblack", metadata=None, description=description, **options)
    return x


def read(root: Path, names: str) -> np.ndarray:
    source = Tiff(str(root), card=card(list(names)))
    return source.read(0, [Stream("all", bands=source.bands)]).inputs["all"]


OWN, OTHER = "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize("sibling", ["gone.ome.tif", "../secret.ome.tif", "/etc/hostname"])
def test_bands_that_other_files_should_hold_are_not_made_up_nor_fetched(tmp_path, sibling):
    written(tmp_path / "secret.ome.tif", 2)
    told = {0: ("a.ome.tif", OWN, 0), 1: (sibling, OTHER, 0), 2: (sibling, OTHER, 1)}
    x = written(tmp_path / "data" / "a.ome.tif", 1, ome(3, told))
    with pytest.raises(DataError, match=r"a\.ome\.tif: 1 bands .*, expected 3 as in the card"):
        read(tmp_path / "data", "abc")
    assert np.array_equal(read(tmp_path / "data", "a"), x)


@pytest.mark.parametrize("promised", [3, 7])
def test_the_planes_of_an_ome_file_are_those_that_it_holds(tmp_path, promised):
    x = written(tmp_path / "a.ome.tif", 3, ome(promised, {i: ("a.ome.tif", OWN, i) for i in range(3)}))
    assert np.array_equal(read(tmp_path, "abc"), x)
    with pytest.raises(DataError, match=r"3 bands .*, expected 7"):
        read(tmp_path, "abcdefg")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", ["shaped", "imagej"])
def test_planes_that_a_description_promises_and_no_page_holds_are_refused(tmp_path, kind, compression):
    said = '{"shape": [7, 6, 8]}' if kind == "shaped" else "ImageJ=1.11a\nimages=7\nchannels=7\nhyperstack=true\n"
    written(tmp_path / "a.tif", 3, said, compression=compression)
    with (tmp_path / "a.tif").open("ab") as file:
        file.write(bytes(range(256)) * 40)  # what follows would be taken for planes
    with pytest.raises(DataError, match=r"a\.tif: "):
        read(tmp_path, "abcdefg")


def test_one_page_may_stand_for_all_planes_where_the_file_holds_them(tmp_path):
    x = np.arange(7 * 48, dtype=np.uint16).reshape(7, 6, 8)
    said = "ImageJ=1.11a\nimages=7\nchannels=7\nhyperstack=true\n"
    tifffile.imwrite(tmp_path / "a.tif", x[0], photometric="minisblack", metadata=None, description=said)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        end = tif.pages[0].dataoffsets[0] + x[0].nbytes
    stored = (tmp_path / "a.tif").read_bytes()
    assert len(stored) == end, "the page's pixels end the file"
    (tmp_path / "a.tif").write_bytes(stored + x[1:].tobytes())
    assert np.array_equal(read(tmp_path, "abcdefg"), x)
    (tmp_path / "a.tif").write_bytes(stored + x[1:4].tobytes())
    with pytest.raises(DataError, match=r"a\.tif: "):
        read(tmp_path, "abcdefg")


def test_a_multi_file_index_beside_a_file_is_not_followed(tmp_path, monkeypatch):
    x = written(tmp_path / "NDTiffStack.tif", 3)
    (tmp_path / "NDTiff.index").write_bytes(b"junk that would be read")
    fetched = []
    for name in ("_series_ndtiff", "_series_mmstack", "_series_ome"):
        monkeypatch.setattr(tifffile.TiffFile, name, lambda self, name=name: fetched.append(name))
    monkeypatch.setattr(
        tifffile.TiffFile, "micromanager_metadata", {"MajorVersion": 2, "Summary": {}, "IndexMap": np.zeros((1, 5))}
    )
    assert np.array_equal(read(tmp_path, "abc"), x)
    assert fetched == []


def test_a_deep_colour_image_is_its_own_page_too(tmp_path):
    x = np.random.default_rng(0).integers(0, 65535, (6, 8, 3)).astype(np.uint16)
    told = {0: ("a.tif", OWN, 0), 1: ("gone.tif", OTHER, 0)}
    said = ome(6, told).replace('SamplesPerPixel="1"', 'SamplesPerPixel="3"')
    tifffile.imwrite(tmp_path / "a.tif", x, photometric="rgb", metadata=None, description=said)
    source = Images(str(tmp_path))
    assert np.array_equal(source.read(0, [Stream("rgb", bands=source.bands)]).inputs["rgb"], np.moveaxis(x, 2, 0))
