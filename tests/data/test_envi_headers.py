"""Every field of an ENVI header that changes a value is honoured, told, and can be overridden."""

from pathlib import Path

import numpy as np
import pytest
from test_envi import cube, some, write

from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.envi import Envi
from multimodal_lab.data.readers.scene import Scene
from multimodal_lab.data.source import DataError

NM = "wavelength = {420, 540, 660, 780, 900}\nwavelength units = nm"


def opened(root: Path, **changes) -> Envi:
    return Envi(str(root), **changes)


def values(source: Envi, *places: int) -> np.ndarray:
    return source.read(0, some(source, *(places or range(len(source.bands))))).inputs["some"]


def test_bad_bands_are_left_out_and_told(tmp_path):
    x = cube()
    write(tmp_path / "a.bsq", x, "bsq", more=f"{NM}\nbbl = {{1, 1, 0, 1.0, 1}}")
    write(tmp_path / "b.bsq", x, "bsq", more=f"{NM}\nbbl = {{1, 1, 1, 1, 0}}")
    source = opened(tmp_path)
    assert [b.nm for b in source.bands] == [420, 540, 780], "bad in any file is bad in all"
    assert np.array_equal(values(source), x[[0, 1, 3]])
    told = "2 of 5 bands are marked bad (bbl) and left out: B002, B004; data.source.override={bbl: ''} keeps them"
    assert source.notes == [told]
    kept = opened(tmp_path, override={"BBL": ""})
    assert np.array_equal(values(kept), x)
    assert kept.notes == []
    named = opened(tmp_path, card=card(["a", "b", "c", "d", "mask"], mask_band="mask", mask_threshold=0.5))
    assert [b.name for b in named.bands] == ["a", "b", "d"]
    assert named.read(0, some(named, 0)).mask is not None, "the mask is no band"


@pytest.mark.parametrize(
    ("listed", "said"), [("1, 0", "marks 2 bands good or bad"), ("0, 0, 0, 0, 0", "leaves no band")]
)
def test_a_bad_band_list_that_does_not_fit_is_refused(tmp_path, listed, said):
    write(tmp_path / "a.bsq", cube(), "bsq", more=f"bbl = {{{listed}}}")
    with pytest.raises(DataError, match=rf"a\.bsq: .*{said}"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("more", "gain", "offset", "field"),
    [
        ("reflectance scale factor = 10000", 1e-4, 0, "reflectance scale factor (10000)"),
        ("Reflectance  Scale Factor = {50.0}", 0.02, 0, "reflectance scale factor (50)"),
        ("data gain values = {2, 3, 4, 5, 6}", [2, 3, 4, 5, 6], 0, "data gain values"),
        ("data gain values = {.5}\ndata offset values = {1, 2, 3, 4, 5}", 0.5, [1, 2, 3, 4, 5], "data gain values"),
        ("data offset values = {7,}", 1, 7, "data offset values"),
        (
            "data reflectance gain values = {2}\ndata reflectance offset values = {-1}",
            2,
            -1,
            "data reflectance gain values",
        ),
    ],
)
def test_values_are_scaled_as_the_header_says(tmp_path, more, gain, offset, field):
    x = cube(dtype="int16")
    write(tmp_path / "a.bil", x, more=more)
    right = x * np.broadcast_to(gain, 5)[:, None, None] + np.broadcast_to(offset, 5)[:, None, None]
    source = opened(tmp_path)
    assert np.allclose(values(source, 4, 0), right[[4, 0]], rtol=1e-6)
    raw = source.read(0, some(source, 1))
    assert raw.inputs["some"].dtype == np.float32
    assert raw.full_scale == 1
    name = field.partition(" (")[0]
    assert source.notes == [
        f"the header's {field} is applied; data.source.override={{{name}: ''}} reads values as stored"
    ]
    fields = {line.partition("=")[0].strip(): "" for line in more.splitlines()}
    plain = opened(tmp_path, override=fields)
    assert np.array_equal(values(plain), x)
    assert plain.notes == []


def test_a_factor_of_one_changes_nothing_and_each_file_has_its_own(tmp_path):
    x = cube()
    write(tmp_path / "a.bil", x, more="reflectance scale factor = 1.0")
    assert values(opened(tmp_path)).dtype == np.uint16
    write(tmp_path / "b.bil", x, more="reflectance scale factor = 100")
    source = opened(tmp_path)
    assert np.allclose(source.read(1, some(source, 0)).inputs["some"], x[:1] / 100)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("reflectance scale factor = 0", "'reflectance scale factor' = 0, expected a number above 0"),
        ("reflectance scale factor = nan", "not finite"),
        ("data gain values = {1, 2}", "2 values of 'data gain values', expected 1 or 5"),
        (
            "reflectance scale factor = 10\ndata gain values = {2}",
            r"by 'reflectance scale factor' and by 'data gain values', expected one; data\.source\.override=",
        ),
        ("major frame offsets = {4, 0}", r"'major frame offsets = \{4, 0\}', expected 0"),
        ("minor frame offsets = {0, 8}", r"'minor frame offsets = \{0, 8\}', expected 0"),
        ("file type = ENVI Spectral Library", "Spectral Library', expected images"),
    ],
)
def test_what_would_make_other_values_and_is_not_clear_is_refused(tmp_path, more, said):
    write(tmp_path / "a.bil", cube(), more=more)
    with pytest.raises(DataError, match=rf"a\.bil: .*{said}"):
        opened(tmp_path)
    write(tmp_path / "a.bil", cube(), more="major frame offsets = {0, 0}\nfile type = ENVI Standard")
    opened(tmp_path)


def test_a_calibration_of_ones_own_is_not_scaled_again(tmp_path):
    x = cube(2)
    write(tmp_path / "a.bil", x, more="gain = 2\nreflectance scale factor = 10")
    source = opened(tmp_path, calibrate="gain")
    assert np.allclose(values(source), x / 2)
    assert "reflectance scale factor (10) is, with calibrate=gain, not applied" in source.notes[0]


def test_bands_have_the_names_of_the_header_where_all_files_agree(tmp_path):
    names = "band names = {\n Blue , Red  edge,\n NIR,}"
    write(tmp_path / "a.bil", cube(3), more=names)
    source = opened(tmp_path)
    assert [b.name for b in source.bands] == ["Blue", "Red edge", "NIR"]
    told = "bands have the names of the headers, such as 'Blue'; data.source.override={band names: ''} numbers them"
    assert source.notes == [told]
    assert [b.name for b in opened(tmp_path, override={"band names": ""}).bands] == ["B000", "B001", "B002"]
    assert opened(tmp_path, card=card(["x", "y", "z"])).notes == []
    for other in ("band names = {Blue, Red edge, SWIR}", "band names = {Blue, Blue, NIR}", "band names = {Blue, NIR}"):
        write(tmp_path / "b.bil", cube(3), more=other)
        source = opened(tmp_path)
        assert [b.name for b in source.bands] == ["B000", "B001", "B002"]
        assert "bands are numbered" in source.notes[0]


@pytest.mark.parametrize(
    ("unit", "listed", "right", "told"),
    [
        *[(u, "420, 540", [420, 540], "") for u in ("Nanometer", "nanometres", "NM", "nm.", "Nanometers")],
        *[(u, ".42, .54", [420, 540], "") for u in ("Micrometer", "micrometres", "um", "µm", "Microns")],
        ("Angstroms", "4200, 5400", [420, 540], ""),
        ("Wavenumber", "10000, 5000", [1000, 2000], ""),
        *[(u, "420, 540", [420, 540], "taken as nanometres") for u in ("", "Unknown", None)],
        *[(u, "0.42, 0.54", [420, 540], "taken as micrometres") for u in ("", "unknown", None)],
        ("", "1, 2", [None, None], "count the bands: taken as none"),
        ("Index", "420, 540", [None, None], ""),
        (None, "50, 540", [None, None], "neither nanometres nor micrometres"),
    ],
)
def test_units_are_understood_or_inferred_and_told(tmp_path, unit, listed, right, told):
    more = f"wavelength = {{{listed}}}" + ("" if unit is None else f"\nwavelength units = {unit}")
    write(tmp_path / "a.bil", cube(2))
    header = tmp_path / "a.bil.hdr"
    for encoding in ("utf-8", "latin-1"):
        write(tmp_path / "a.bil", cube(2))
        header.write_bytes(header.read_bytes() + more.encode(encoding))
        source = opened(tmp_path)
        assert [b.nm for b in source.bands] == right
        assert told in " ".join(source.notes)
        assert bool(source.notes) is bool(told)
    assert opened(tmp_path, override={"wavelength units": "um"}).bands[1].nm == float(listed.split(", ")[1]) * 1000


def test_an_unknown_unit_is_refused_with_those_that_are_known(tmp_path):
    write(tmp_path / "a.bil", cube(2), more="wavelength = {1, 2}\nwavelength units = furlong")
    with pytest.raises(
        DataError, match=r"'wavelength units' = furlong, expected one of nm, .*override=\{wavelength units: nm\}"
    ):
        opened(tmp_path)


def test_wavelengths_may_stand_in_the_band_names_alone(tmp_path):
    write(tmp_path / "a.bil", cube(2), more="band names = {Band 1 (0.4200 Micrometers), Band 2 (0.5400 Micrometers)}")
    source = opened(tmp_path)
    assert [b.nm for b in source.bands] == [420, 540]
    assert "wavelengths are those of the band names" in source.notes[0]


@pytest.mark.parametrize("suffix", [".dat", ".raw", ".bin", ".BSQ", ".IMG", "", ".cube"])
@pytest.mark.parametrize("header", ["{stem}.hdr", "{stem}.HDR", "{stem}{suffix}.hdr"])
def test_data_files_are_found_by_their_headers(tmp_path, suffix, header):
    if suffix == ".cube" and header != "{stem}{suffix}.hdr":
        pytest.skip("of other suffixes the whole name stands in the header's")
    x = cube()
    file = tmp_path / "leaf" / f"leaf_00{suffix}"
    file.parent.mkdir()
    write(file, x, "bsq")
    text = file.with_name(file.name + ".hdr").rename(tmp_path / "text")
    text.rename(file.parent / header.format(stem="leaf_00", suffix=suffix))
    source = opened(tmp_path)
    assert np.array_equal(values(source), x)
    assert source.samples.id.tolist() == ["leaf/leaf_00" if suffix != ".cube" else "leaf/leaf_00.cube"]
    assert source.notes == []


def test_files_and_headers_that_stand_alone_are_told(tmp_path):
    write(tmp_path / "a.bil", cube())
    (tmp_path / "log.dat").write_text("not a cube")
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "lost.hdr").write_text("ENVI")
    assert opened(tmp_path).notes == [
        "1 files without a header are left aside: log.dat",
        "1 headers without a data file are left aside: lost.hdr",
    ]
    (tmp_path / "a.bil").unlink()
    with pytest.raises(DataError, match=r"no ENVI cube: log\.dat without a header"):
        opened(tmp_path)


def test_centres_may_differ_by_a_share_of_their_spacing(tmp_path):
    listed = [420, 540, 660, 780, 900]
    write(tmp_path / "a.bil", cube(), more=NM)
    write(tmp_path / "b.bil", cube(), more=NM.replace("660", "660.03"))
    source = opened(tmp_path)
    assert [b.nm for b in source.bands] == listed
    within = "within data.source.nm_tolerance=0.01; those of the first file count"
    assert source.notes == [f"centres differ between files by up to 0.03 nm, {within}"]
    write(tmp_path / "c.bil", cube(), more=NM.replace("660", "663"))
    said = r"c\.bil: .* those of a\.bil by up to 3 nm, .* spacing of 120 nm; data\.source\.nm_tolerance=0\.025"
    with pytest.raises(DataError, match=said):
        opened(tmp_path)
    assert len(opened(tmp_path, nm_tolerance=0.03).samples) == 3
    with pytest.raises(DataError, match=r"b\.bil: its wavelengths differ"):
        opened(tmp_path, nm_tolerance=0)
    write(tmp_path / "b.bil", cube())
    with pytest.raises(DataError, match=r"b\.bil: its header has no wavelengths, unlike that of a\.bil"):
        opened(tmp_path, nm_tolerance=0.03)


def test_what_the_fallback_filled_in_is_told(tmp_path):
    write(tmp_path / "a.bil", cube(), drop=("interleave",))
    assert opened(tmp_path, fallback={"Interleave": "bil"}).notes == [
        "1 of 1 headers leave out 'interleave': as data.source.fallback says"
    ]


def test_a_scene_honours_its_header_too(tmp_path):
    x = cube(5, "int16").repeat(8, 1).repeat(8, 2)
    write(tmp_path / "scene.dat", x, "bsq", more="bbl = {1, 0, 1, 1, 1}\nreflectance scale factor = 50")
    np.save(tmp_path / "map.npy", 1 + (np.add.outer(np.arange(24), np.arange(32)) % 2))
    source = Scene(str(tmp_path), cube="scene.dat", map="map.npy", patch=3, block=8)
    assert [b.name for b in source.bands] == ["B000", "B002", "B003", "B004"]
    row, column = source.samples[["row", "column"]].iloc[5]
    rows, columns = source.window(5)
    assert np.allclose(source.read(5, some(source, 1)).inputs["some"][0], x[2][np.ix_(rows, columns)] / 50)
    assert len(source.notes) == 2
    stored = Scene(
        str(tmp_path),
        cube="scene.dat",
        map="map.npy",
        patch=3,
        block=8,
        override={"bbl": "", "reflectance scale factor": ""},
    )
    assert stored.read(5, some(stored, 1)).inputs["some"][0, 1, 1] == x[1, row, column]
    assert stored.identity != source.identity
