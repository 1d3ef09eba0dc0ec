import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

SEVEN = card(["R", "G", "B", "UV1", "UV2", "UV3", "mask"], nm=[600, 530, 460, 385, 365, 345, None], mask_band="mask")
REAL = Path(__file__).parents[3] / "shared/data/research_only/vis_nir_scenes"


def cube(dtype: str = "uint16", height: int = 9, width: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.random((7, height, width)) * (np.iinfo(dtype).max if dtype.startswith("u") else 1)
    x[6] = (rng.random((height, width)) > 0.5) * (255 if dtype.startswith("u") else 1)
    x[6, 0, 0] = 1 if dtype == "float32" else 255
    return x.astype(dtype)


def write(path: Path, x: np.ndarray, layout: str, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if layout == "pages":
        tifffile.imwrite(path, x, photometric="minisblack", metadata=None, **options)
    elif layout == "planar":
        tifffile.imwrite(path, x, photometric="minisblack", planarconfig="separate", **options)
    else:
        tifffile.imwrite(path, np.moveaxis(x, 0, 2), photometric="minisblack", planarconfig="contig", **options)


def streams(source: Tiff) -> list[Stream]:
    named = {b.name: b for b in source.bands}
    return [
        Stream("uv", bands=(named["UV3"], named["UV1"])),
        Stream("rgb", bands=tuple(named[n] for n in "RGB")),
    ]


@pytest.mark.parametrize("layout", ["pages", "planar", "interleaved"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)}])
def test_reads_back_what_was_written(tmp_path: Path, layout: str, dtype: str, options: dict[str, object]) -> None:
    x = cube(dtype)
    write(tmp_path / "a.tif", x, layout, **options)
    source = Tiff(str(tmp_path), card=SEVEN)
    assert [b.name for b in source.bands] == ["R", "G", "B", "UV1", "UV2", "UV3"]
    raw = source.read(0, streams(source))
    assert np.array_equal(raw.inputs["rgb"], x[:3])
    assert np.array_equal(raw.inputs["uv"], x[[5, 3]])
    assert raw.inputs["rgb"].dtype == np.dtype(dtype)
    assert raw.mask is not None
    assert np.array_equal(raw.mask, x[6] > 0)
    assert raw.full_scale == {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]


def test_reads_only_the_pages_asked_for(tmp_path: Path) -> None:
    x = cube("float32")
    write(tmp_path / "a.tif", x, "pages")
    source = Tiff(str(tmp_path), card=SEVEN)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        spoilt = tif.pages[0].dataoffsets[0]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[spoilt : spoilt + x[0].nbytes] = b"\xff" * x[0].nbytes
    (tmp_path / "a.tif").write_bytes(data)
    raw = source.read(0, [streams(source)[0]])
    assert np.isfinite(raw.inputs["uv"]).all()
    assert np.isnan(source.read(0, [streams(source)[1]]).inputs["rgb"][0]).all()


def test_samples_hold_ids_sizes_and_labels(tmp_path: Path) -> None:
    write(tmp_path / "Genus_x/Genus_x_1_M_Back.tif", cube(height=8), "planar")
    write(tmp_path / "Genus_y/Genus_y_1_F_Back.TIFF", cube(height=10), "planar")
    source = Tiff(str(tmp_path), card=SEVEN, labels=Labels(folders=["folder"], pattern="birds"))
    assert source.samples.id.tolist() == ["Genus_x/Genus_x_1_M_Back", "Genus_y/Genus_y_1_F_Back"]
    assert source.samples.height.tolist() == [8, 10]
    assert source.samples.species.tolist() == ["Genus_x", "Genus_y"]
    assert source.samples.individual.tolist() == ["Genus_x_1", "Genus_y_1"]
    assert source.samples.sex.tolist() == ["M", "F"]


def test_bands_last_array_written_as_pages_needs_the_named_layout(tmp_path: Path) -> None:
    x = cube()
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(x, 0, 2), photometric="minisblack")
    with pytest.raises(DataError, match=r"a\.tif: 9 bands .* expected 7 .*layout=bands_last"):
        Tiff(str(tmp_path), card=SEVEN)
    source = Tiff(str(tmp_path), card=SEVEN, layout="bands_last")
    assert np.array_equal(source.read(0, streams(source)).inputs["rgb"], x[:3])


@pytest.mark.parametrize("layout", ["pages", "planar", "interleaved"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_truncated_file_is_named_at_opening(tmp_path: Path, layout: str, compression: str | None) -> None:
    write(tmp_path / "good.tif", cube(height=40, width=40), layout, compression=compression)
    write(tmp_path / "short.tif", cube(height=40, width=40), layout, compression=compression)
    whole = (tmp_path / "short.tif").read_bytes()
    (tmp_path / "short.tif").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataError, match=r"short\.tif"):
        Tiff(str(tmp_path), card=SEVEN)


def test_the_reader_of_a_truncated_file_says_nothing_beside_the_error(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", cube(height=40, width=40), "pages")
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:9000])
    code = "import sys\nfrom multimodal_lab.data.readers.limits import Limits\n"
    code += "from multimodal_lab.data.readers import tiff_header as tiff\n"
    code += (
        "from pathlib import Path\ntry:\n    tiff.read_header(Path(sys.argv[1]), 'a.tif', 7, 'from_header', Limits())\n"
    )
    code += "except tiff.DataError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.tif")], capture_output=True, text=True)
    assert "a.tif" in done.stdout
    assert done.stderr == ""


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", cube(height=20), "planar")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        tif.pages[0].tags["ImageLength"].overwrite(2000)
    with pytest.raises(DataError, match=r"a\.tif: 7 strips or tiles with data, expected 700"):
        Tiff(str(tmp_path), card=SEVEN)


def test_truncation_tells_both_sizes(tmp_path: Path) -> None:
    write(tmp_path / "short.tif", cube(height=40, width=40), "planar")
    whole = (tmp_path / "short.tif").read_bytes()
    (tmp_path / "short.tif").write_bytes(whole[:-100])
    with pytest.raises(
        DataError, match=rf"short\.tif: truncated, {len(whole) - 100:,} bytes, expected at least {len(whole):,}"
    ):
        Tiff(str(tmp_path), card=SEVEN)


def test_damaged_compressed_pixels_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", cube(height=40, width=40), "planar", compression="zlib")
    source = Tiff(str(tmp_path), card=SEVEN)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        at = tif.pages[0].dataoffsets[0]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[at : at + 40] = bytes(40)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tif: .*its pixels can't be decoded"):
        source.read(0, streams(source))


def test_another_band_count_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", cube(), "planar")
    write(tmp_path / "b.tif", cube()[:5], "planar")
    with pytest.raises(DataError, match=r"b\.tif: 5 bands .*expected 7"):
        Tiff(str(tmp_path), card=SEVEN)


def test_mixed_types_are_refused_at_opening(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", cube(), "planar")
    write(tmp_path / "b.tif", cube("uint8"), "planar")
    with pytest.raises(DataError, match=r"b\.tif: values of type uint8, expected uint16 as in a\.tif"):
        Tiff(str(tmp_path), card=SEVEN)


def test_pages_of_two_shapes_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(cube()[:3], photometric="minisblack", metadata=None)
        tif.write(cube(height=5)[:4], photometric="minisblack", metadata=None)
    with pytest.raises(DataError, match=r"a\.tif: images of 2 different shapes"):
        Tiff(str(tmp_path), card=SEVEN)


def test_no_tiff_and_not_a_tiff(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{tmp_path}: no file that ends in \.tif, \.tiff"):
        Tiff(str(tmp_path), card=SEVEN)
    with pytest.raises(DataError, match="nowhere is not there"):
        Tiff(str(tmp_path / "nowhere"), card=SEVEN)
    (tmp_path / "text.tif").write_text("no image")
    with pytest.raises(DataError, match=r"text\.tif: not a whole, readable TIFF"):
        Tiff(str(tmp_path), card=SEVEN)


def test_a_header_beyond_the_limits_is_refused_before_decoding(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", cube(), "planar")
    with pytest.raises(DataError, match=r"a\.tif: its header claims 108 pixels, the limit is 100 .*limits\.pixels"):
        Tiff(str(tmp_path), card=SEVEN, limits=Limits(pixels=100))
    with pytest.raises(DataError, match=r"7 bands, the limit is 6"):
        Tiff(str(tmp_path), card=SEVEN, limits=Limits(bands=6))


def test_a_grey_mask_needs_a_threshold(tmp_path: Path) -> None:
    x = cube()
    x[6] = np.arange(x[6].size).reshape(x[6].shape)
    write(tmp_path / "a.tif", x, "planar")
    source = Tiff(str(tmp_path), card=SEVEN)
    with pytest.raises(DataError, match=r"a\.tif: mask band mask holds 108 values"):
        source.read(0, streams(source))
    names = [b.name for b in SEVEN.bands]
    cut = Tiff(str(tmp_path), card=card(names, mask_band="mask", mask_threshold=50))
    mask = cut.read(0, streams(cut)).mask
    assert mask is not None
    assert np.array_equal(mask, x[6] > 50)


def test_an_inverted_image_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", cube(), photometric="miniswhite", planarconfig="separate")
    with pytest.raises(DataError, match=r"a\.tif: photometric interpretation MINISWHITE"):
        Tiff(str(tmp_path), card=SEVEN)


def test_a_file_with_two_suffixes_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", cube(), "planar")
    write(tmp_path / "a.tiff", cube(), "planar")
    with pytest.raises(DataError, match=r"a\.tif, a\.tiff: the same name"):
        Tiff(str(tmp_path), card=SEVEN)


def test_an_unknown_band_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", cube(), "planar")
    with pytest.raises(DataError, match=r"data\.source\.card\.mask_band=red: no such band; there are R \(null"):
        card(["R"], mask_band="red")
    source = Tiff(str(tmp_path), card=SEVEN)
    with pytest.raises(DataError, match="no band 'mask'"):
        source.read(0, [Stream("m", bands=(SEVEN.bands[6],))])


@pytest.mark.skipif(not REAL.is_dir(), reason="needs vis_nir_scenes in ../shared/data")
def test_real_rgb_nir_scenes() -> None:
    labels = Labels(table="index.jsonl", key="file", columns=["name", "split"])
    source = Tiff(str(REAL), card=card(["R", "G", "B", "NIR"]), labels=labels)
    assert len(source.samples) == 212
    assert source.samples.name.nunique() == 9
    assert source.samples.split.value_counts().to_dict() == {"train": 148, "test": 64}
    nir = Stream("nir", bands=source.bands[3:])
    index = source.samples.id.tolist().index("tif/field_0014")
    raw = source.read(index, [nir, Stream("rgb", bands=source.bands[:3])])
    stored = tifffile.imread(REAL / "tif/field_0014.tif")
    assert np.array_equal(raw.inputs["nir"][0], stored[3])
    assert np.array_equal(raw.inputs["rgb"], stored[:3])
