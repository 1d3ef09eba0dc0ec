"""Spectra as spectrometers and R export them: wavelengths measured twice, out of order, or written in another way."""

import h5py
import numpy as np
import pandas as pd
import pytest

from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.bands import doubts
from multimodal_lab.types import Band, Stream

NM = r"nm(?P<nm>[\d.]+)"
X = np.arange(12, dtype=float).reshape(3, 4)  # band k of sample i holds 4 i + k


def write(folder, names, values=X, sep=",", name="t.csv"):
    head = sep.join(["id", "treatment", *names])
    rows = [sep.join([f"0{i}", ["None", "low", "high"][i], *map(str, row)]) for i, row in enumerate(values)]
    (folder / name).write_text("\n".join([head, *rows]) + "\n")
    return folder


def opened(folder, **changes):
    return Table(str(folder), **{"file": "t.csv", "pattern": NM, "id": "id", **changes})


def read(source):
    return np.stack([source.read(i, [Stream("x", "vector", source.bands)]).inputs["x"] for i in range(3)])


TWICE = ["nm400", "nm1000", "nm1000", "nm1100"]


def hdf5(folder):
    with h5py.File(folder / "t.h5", "w") as file:
        file["values"], file["centres"], file["id"] = X, [400, 1000, 1000, 1100], [b"a", b"b", b"c"]
    return folder


@pytest.mark.parametrize("kind", ["csv", "other names", "h5"])
def test_a_wavelength_measured_twice_is_named_or_made_one(tmp_path, kind):
    if kind == "h5":
        folder, how = hdf5(tmp_path), {"file": "t.h5", "centres": "centres"}
    else:
        folder, how = write(tmp_path, TWICE if kind == "csv" else ["nm400", "nm1000", "nm1000.0", "nm1100"]), {}
    with pytest.raises(
        DataError, match=r"1 of 3 wavelengths .* several columns: 1000 nm \(nm1000, nm1000.*duplicates=mean"
    ):
        opened(folder, **how)
    mean, first = (opened(folder, **how, duplicates=d) for d in ("mean", "first"))
    assert [b.name for b in mean.bands] == [b.name for b in first.bands] == ["nm400", "nm1000", "nm1100"]
    assert np.array_equal(read(mean), np.stack([X[:, 0], X[:, 1:3].mean(1), X[:, 3]], 1))
    assert np.array_equal(read(first), X[:, [0, 1, 3]])
    assert any("1000 nm; data.source.duplicates=mean makes one of them" in n for n in mean.notes)


def test_hdf5_gives_what_csv_gives(tmp_path):
    with h5py.File(hdf5(tmp_path) / "t.h5", "a") as file:
        file["centres"][2] = 1050
        file["sex"] = [b" F", b"", b"None"]
    source = opened(tmp_path, file="t.h5", centres="centres", missing_labels="keep")
    assert source.samples.sex.isna().tolist() == [False, True, False]
    assert source.samples.sex.tolist()[::2] == ["F", "None"]


def test_bands_are_put_in_order_of_wavelength(tmp_path):
    source = opened(write(tmp_path, ["nm700", "nm400", "nm500", "nm600"]))
    assert [b.nm for b in source.bands] == [400, 500, 600, 700]
    assert np.array_equal(read(source), X[:, [1, 2, 3, 0]])
    assert "t.csv: its bands are not in order of wavelength; they are put in order" in source.notes
    assert opened(write(tmp_path, ["nm400", "nm500", "nm600", "nm700"])).notes[:-1] == []


def test_the_control_group_is_a_class_and_ids_are_text(tmp_path):
    names = ["nm400", "nm500", "nm600", "nm700"]
    source = opened(write(tmp_path, names))
    pd.DataFrame(X, columns=names).assign(id=["00", "01", "02"], treatment=["None", "low", "high"]).to_parquet(
        tmp_path / "t.parquet"
    )
    for one in (source, opened(tmp_path, file="t.parquet")):
        assert one.samples.id.tolist() == ["00", "01", "02"]
        assert one.samples.treatment.tolist() == ["None", "low", "high"]
        assert "treatment 'None' (1)" in one.notes[-1]
    assert opened(tmp_path, na_values=["None"]).samples.treatment.isna().tolist() == [True, False, False]


@pytest.mark.parametrize(("sep", "suffix"), [(";", "csv"), ("\t", "tsv"), ("|", "txt")])
def test_decimal_commas(tmp_path, sep, suffix):
    comma = [[str(v + 0.5).replace(".", ",") for v in row] for row in X]
    source = opened(
        write(tmp_path, ["nm400", "nm500", "nm600", "nm700"], comma, sep, f"t.{suffix}"), file=f"t.{suffix}"
    )
    assert np.array_equal(read(source), X + 0.5)
    assert any("a comma is the decimal sign of nm400" in n for n in source.notes)


def test_micrometres_are_asked_about(tmp_path):
    write(tmp_path, ["nm0.400", "nm0.55", "nm0.7", "nm2.5"])
    with pytest.raises(
        DataError, match=r"from 0\.4 to 2\.5 nm, which look like micrometres: data\.source\.wavelength_unit=um"
    ):
        opened(tmp_path)
    assert [b.nm for b in opened(tmp_path, wavelength_unit="um").bands] == [400, 550, 700, 2500]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["X400.5", "X401", "X402", "X403"],
            r"4 columns such as X400\.5 match data\.source\.pattern='X\(\?P<nm>\[\\d\.\]\+\)'",
        ),
        (["400", "401", "402", "403"], r"4 columns such as 400 match data\.source\.pattern='\(\?P<nm>\[\\d\.\]\+\)'"),
    ],
)
def test_columns_of_another_pattern_are_found(tmp_path, names, said):
    with pytest.raises(DataError, match=said):
        opened(write(tmp_path, names))


def test_a_table_that_is_no_row_a_sample_is_told(tmp_path):
    rows = [f"{nm},{nm / 7},{nm / 9}" for nm in range(400, 1000, 100)]
    (tmp_path / "t.csv").write_text("\n".join(["wl,a,b", *rows]))
    with pytest.raises(DataError, match="wl looks like wavelengths: transpose the table"):
        opened(tmp_path, id=None)
    pd.DataFrame({"id": ["a", "b"], "spectrum": [[1.0, 2.0], [3.0, 4.0]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="column spectrum holds a list in each row"):
        opened(tmp_path, file="t.parquet")


def test_bands_of_any_source_that_are_alike_or_out_of_order_are_told():
    (note,) = doubts(card(["a", "b", "c"], nm=[500, 600, 500]).bands)
    assert note == "warning: several bands have one wavelength: 500 nm (a, c)"
    assert doubts(card(["R", "G", "B", "x"], nm=[600, 530, 460, None]).bands) == []
    mixed = [Band(f"b{i}", 400.0 + (7 * i) % 20) for i in range(20)]
    assert "not in order of wavelength" in doubts(mixed)[0]
    with pytest.raises(DataError, match="two bands are called a"):
        doubts([Band("a"), Band("a")])
