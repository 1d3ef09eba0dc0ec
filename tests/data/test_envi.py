from pathlib import Path

import numpy as np
import pytest

from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.envi import Envi
from multimodal_lab.data.readers.envi_header import table_408
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

CODES = {"uint8": 1, "int16": 2, "float32": 4, "uint16": 12}
ORDER = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}


def write(
    path: Path,
    x: np.ndarray,
    interleave: str = "bil",
    big: bool = False,
    offset: int = 0,
    drop: tuple[str, ...] = (),
    more: str = "",
) -> None:
    """x (bands, lines, samples)."""
    keys = {
        "samples": x.shape[2],
        "lines": x.shape[1],
        "bands": x.shape[0],
        "header offset": offset,
        "data type": CODES[str(x.dtype)],
        "interleave": interleave,
        "byte order": int(big),
    }
    text = "\n".join(f"{k} = {v}" for k, v in keys.items() if k not in drop)
    path.with_name(path.name + ".hdr").write_text(
        f"ENVI\ndescription = {{\n a cube, made up = yes }}\n{text}\n{more}\n"
    )
    stored = x.transpose(ORDER[interleave])
    path.write_bytes(b"\7" * offset + stored.astype(x.dtype.newbyteorder(">" if big else "<")).tobytes())


def cube(bands: int = 5, dtype: str = "uint16") -> np.ndarray:
    return (np.random.default_rng(0).random((bands, 3, 4)) * 200 + 1).astype(dtype)


def some(source: Envi, *places: int) -> list[Stream]:
    return [Stream("some", bands=tuple(source.bands[i] for i in places))]


@pytest.mark.parametrize("interleave", ["bil", "bip", "bsq"])
@pytest.mark.parametrize("dtype", list(CODES))
@pytest.mark.parametrize(("big", "offset"), [(False, 0), (True, 17)])
def test_reads_back_what_was_written(tmp_path: Path, interleave: str, dtype: str, big: bool, offset: int) -> None:
    x = cube(dtype=dtype)
    write(tmp_path / f"a.{interleave}", x, interleave, big, offset)
    source = Envi(str(tmp_path))
    raw = source.read(0, some(source, 4, 0, 2))
    assert np.array_equal(raw.inputs["some"], x[[4, 0, 2]])
    assert raw.inputs["some"].dtype == np.dtype(dtype)
    assert raw.inputs["some"].dtype.isnative
    assert raw.full_scale == {"uint8": 255, "int16": 32767, "float32": 1, "uint16": 65535}[dtype]
    assert source.samples[["id", "path", "height", "width"]].to_numpy().tolist() == [["a", f"a.{interleave}", 3, 4]]


def test_the_408_band_layout_has_its_wavelengths(tmp_path: Path) -> None:
    # Lines 3, 4, 5 and 10 of the header are all that this layout has in common between files.
    x = np.arange(408 * 6, dtype=np.uint16).reshape(408, 2, 3)
    fields = ["ENVI", "description", "lines = 2", "samples = 3", "bands = 408", "", "", "", "", "gain = 2"]
    (tmp_path / "x.bil.hdr").write_text("\r\n".join(fields))
    (tmp_path / "x.bil").write_bytes(x.transpose(1, 0, 2).tobytes())
    with pytest.raises(DataError, match=r"x\.bil: its header has no 'interleave'; .*fallback"):
        Envi(str(tmp_path))
    source = Envi(str(tmp_path), fallback={"data type": "12", "interleave": "bil", "byte order": "ieee-le"})
    assert len(source.bands) == 408
    assert source.bands[0].nm == pytest.approx(348.3931)
    assert source.bands[407].nm == pytest.approx(809.6055)
    nearest = [int(np.abs(table_408() - nm).argmin()) for nm in (400, 450, 550, 650, 700, 800)]
    assert nearest == [46, 90, 178, 266, 310, 399]
    assert np.array_equal(source.read(0, some(source, 266, 178, 90)).inputs["some"], x[[266, 178, 90]])


def test_wavelengths_of_the_header_come_first(tmp_path: Path) -> None:
    write(tmp_path / "a.bsq", cube(3), "bsq", more="wavelength units = Micrometers\nwavelength = {0.4,\n 0.5, 0.65}")
    assert [b.nm for b in Envi(str(tmp_path)).bands] == [400, 500, 650]
    write(tmp_path / "a.bsq", cube(3), "bsq", more="wavelength units = nm\nwavelength = {400, 500}")
    with pytest.raises(DataError, match=r"a\.bsq: its header lists 2 wavelengths, expected 3"):
        Envi(str(tmp_path))


@pytest.mark.parametrize("change", [-2, 2])
def test_a_size_that_disagrees_is_refused_with_both(tmp_path: Path, change: int) -> None:
    write(tmp_path / "a.bil", cube())
    data = (tmp_path / "a.bil").read_bytes()
    (tmp_path / "a.bil").write_bytes(data[:change] if change < 0 else data + bytes(change))
    with pytest.raises(DataError, match=rf"a\.bil: expected 120 bytes from its header .*, the file has {120 + change}"):
        Envi(str(tmp_path))


@pytest.mark.parametrize("missing", ["lines", "samples", "bands", "data type", "interleave", "byte order"])
def test_a_missing_field_is_named(tmp_path: Path, missing: str) -> None:
    write(tmp_path / "a.bil", cube(), drop=(missing,))
    with pytest.raises(DataError, match=rf"a\.bil: its header has .*'{missing}'"):
        Envi(str(tmp_path))


def test_bad_headers_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.bil", cube(), drop=("data type",), more="data type = 6")
    with pytest.raises(DataError, match=r"'data type' = 6, expected one of 1, 2"):
        Envi(str(tmp_path))
    write(tmp_path / "a.bil", cube(), more="file compression = 1")
    with pytest.raises(DataError, match="file compression = 1"):
        Envi(str(tmp_path))
    (tmp_path / "a.bil.hdr").unlink()
    with pytest.raises(DataError, match=r"a\.bil: no header, expected a\.bil\.hdr or a\.hdr"):
        Envi(str(tmp_path))
    (tmp_path / "a.bil").unlink()
    with pytest.raises(DataError, match=r"no file that ends in \.bil, \.bip, \.bsq, \.img"):
        Envi(str(tmp_path))


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    write(tmp_path / "a.bil", cube(), drop=("lines",), more="lines = 99999999999999")
    with pytest.raises(DataError, match=r"a\.bil: its header claims .* pixels, the limit is"):
        Envi(str(tmp_path))
    write(tmp_path / "a.bil", cube())
    with pytest.raises(DataError, match="120 bytes, the limit is 100"):
        Envi(str(tmp_path), limits=Limits(bytes=100))


def test_cubes_that_differ_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.bil", cube(5))
    write(tmp_path / "b.bil", cube(4))
    with pytest.raises(DataError, match=r"b\.bil: 4 bands of uint16, expected 5 of uint16 as in a\.bil"):
        Envi(str(tmp_path))


def test_gain_is_divided_by(tmp_path: Path) -> None:
    x = cube(2)
    write(tmp_path / "a.bil", x, more="gain = {2.0, 4.0}")
    source = Envi(str(tmp_path), calibrate="gain")
    assert np.allclose(source.read(0, some(source, 1, 0)).inputs["some"], x[[1, 0]] / np.array([4, 2]).reshape(2, 1, 1))
    write(tmp_path / "a.bil", x)
    with pytest.raises(DataError, match=r"a\.bil: 0 values of 'gain'"):
        Envi(str(tmp_path), calibrate="gain")


def test_white_reference_gives_reflectance(tmp_path: Path) -> None:
    x = cube(2)
    write(tmp_path / "a.bil", x)
    write(tmp_path / "white.bil", np.full((2, 1, 1), 400, np.uint16))
    write(tmp_path / "dark.bil", np.zeros((2, 1, 1), np.uint16) + np.array([0, 100], np.uint16).reshape(2, 1, 1))
    source = Envi(str(tmp_path), calibrate="white_reference", white="white.bil", dark="dark.bil")
    assert source.samples.id.tolist() == ["a"]
    raw = source.read(0, some(source, 0, 1))
    assert np.allclose(raw.inputs["some"][0], x[0] / 400)
    assert np.allclose(raw.inputs["some"][1], (x[1].astype(float) - 100) / 300)
    assert raw.full_scale == 1
    with pytest.raises(DataError, match="needs the path of a white cube"):
        Envi(str(tmp_path), calibrate="white_reference")
    with pytest.raises(DataError, match="band B000 of the white reference"):
        Envi(str(tmp_path), calibrate="white_reference", white="dark.bil")


def test_a_card_names_bands_and_the_mask(tmp_path: Path) -> None:
    x = cube(3)
    x[2] = [[0, 9, 9, 0]] * 3
    write(tmp_path / "a.img", x, "bsq")
    source = Envi(str(tmp_path), card=card(["G", "UV", "mask"], mask_band="mask"))
    raw = source.read(0, some(source, 1))
    assert [b.name for b in source.bands] == ["G", "UV"]
    assert np.array_equal(raw.inputs["some"], x[[1]])
    assert raw.mask is not None
    assert raw.mask.sum() == 6


def test_the_fingerprint_takes_in_the_headers(tmp_path: Path) -> None:
    from multimodal_lab.data.readers.fingerprint import fingerprint

    (tmp_path / "a.bsq").write_bytes(bytes(range(24)))
    text = "ENVI\nsamples = 2\nlines = 3\nbands = 2\ndata type = 12\ninterleave = bsq\nbyte order = 0\n"
    (tmp_path / "a.hdr").write_text(text)
    before = fingerprint(Envi(str(tmp_path)), str(tmp_path))
    (tmp_path / "a.hdr").write_text(text + "\n")
    assert fingerprint(Envi(str(tmp_path)), str(tmp_path)) == before
    (tmp_path / "a.hdr").write_text(text.replace("order = 0", "order = 1"))
    assert fingerprint(Envi(str(tmp_path)), str(tmp_path)) != before
