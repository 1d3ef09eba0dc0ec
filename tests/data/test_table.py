from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

PATTERN = r"nm(?P<nm>[\d.]+)"
REAL = Path(__file__).parents[3] / "shared/data/open"


def frame() -> pd.DataFrame:
    values = np.random.default_rng(0).random((4, 3)).round(4)
    spectra = pd.DataFrame(values, columns=["nm300.5", "nm400", "nm700"])
    spectra.insert(0, "specimen", ["007", "8", "9", "10"])
    spectra.insert(1, "site", ["a", "a", "b", None])
    return spectra


def opened(root: Path, **changes: Any) -> Table:
    return Table(str(root), **{"file": "t.csv", "pattern": PATTERN, "id": "specimen", **changes})


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_reads_back_what_was_written(tmp_path: Path, suffix: str) -> None:
    rows = frame()
    if suffix == ".parquet":
        rows.to_parquet(tmp_path / "t.parquet")
    else:
        rows.to_csv(tmp_path / f"t{suffix}", index=False, sep="\t" if suffix == ".tsv" else ",")
    source = opened(tmp_path, file=f"t{suffix}", unit="%")
    assert [(b.name, b.nm, b.unit) for b in source.bands] == [
        ("nm300.5", 300.5, "%"),
        ("nm400", 400, "%"),
        ("nm700", 700, "%"),
    ]
    assert source.samples.id.tolist() == ["007", "8", "9", "10"]
    assert source.samples.specimen.tolist() == source.samples.id.tolist()
    assert source.samples.site.tolist()[:3] == ["a", "a", "b"]
    raw = source.read(2, [Stream("vis", "vector", (source.bands[2], source.bands[1]))])
    assert np.array_equal(raw.inputs["vis"], rows[["nm700", "nm400"]].iloc[2].to_numpy(np.float32))
    assert raw.inputs["vis"].dtype == np.float32
    assert raw.full_scale == 1


def test_hdf5(tmp_path: Path) -> None:
    rows = frame()
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["spectra"] = rows.filter(like="nm").to_numpy()
        file["centres"] = [300.5, 400, 700]
        file["specimen"] = rows.specimen.tolist()
        file["unrelated"] = np.zeros(9)
    source = opened(tmp_path, file="t.h5", values="spectra", centres="centres")
    assert [b.nm for b in source.bands] == [300.5, 400, 700]
    assert source.samples.id.tolist() == rows.specimen.tolist()
    assert "unrelated" not in source.samples
    vector = Stream("v", "vector", source.bands)
    assert np.allclose(source.read(1, [vector]).inputs["v"], rows.filter(like="nm").iloc[1])


def test_rows_are_kept_by_equality(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    assert opened(tmp_path, where={"site": "a"}).samples.id.tolist() == ["007", "8"]
    with pytest.raises(DataError, match=r"t\.csv: no row with site = c; there are a, b$"):
        opened(tmp_path, where={"site": "c"})
    with pytest.raises(DataError, match=r"no column 'place' \(data\.source\.where\)"):
        opened(tmp_path, where={"place": "a"})


@pytest.mark.parametrize(("value", "said"), [(np.nan, "empty"), (np.inf, "'inf'"), ("high", "'high'")])
def test_a_value_that_is_no_number_names_row_and_column(tmp_path: Path, value: Any, said: str) -> None:
    rows = frame().astype({"nm400": object})
    rows.loc[1, "nm400"] = value
    rows.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=rf"t\.csv: row 1 \(8\), column nm400: {said}, expected a"):
        opened(tmp_path)


def test_missing_labels_are_refused_or_kept(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"t\.csv: 1 of 4 rows have no site: 10 .*missing_labels=keep"):
        opened(tmp_path, labels=["site"])
    assert opened(tmp_path, labels=["site"], missing_labels="keep").samples.site.isna().sum() == 1
    with pytest.raises(DataError, match=r"t\.csv: no column 'sex'"):
        opened(tmp_path, labels=["sex"])


def test_bad_tables_are_named(tmp_path: Path) -> None:
    rows = frame()
    rows.assign(specimen="x").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"t\.csv: specimen x stands in more than one row"):
        opened(tmp_path)
    rows.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"t\.csv: no column matches data\.source\.pattern wl"):
        opened(tmp_path, pattern=r"wl\d+")
    with pytest.raises(DataError, match=r"no column 'name' \(data\.source\.id\)"):
        opened(tmp_path, id="name")
    with pytest.raises(DataError, match=r"data\.source\.file: no file .*none\.csv"):
        opened(tmp_path, file="none.csv")
    source = opened(tmp_path)
    with pytest.raises(DataError, match=r"t\.csv holds vector streams, not image"):
        source.read(0, [Stream("x", bands=source.bands)])
    (tmp_path / "t.csv").write_text("specimen,nm400\na,1,2\n")
    with pytest.raises(DataError, match=r"t\.csv: rows with more values than the header names, expected 2"):
        opened(tmp_path)
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(DataError, match=r"t\.csv: not a whole, readable csv table"):
        opened(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs dewlap_spectra and bird_spectra in ../shared/data")
def test_real_spectra() -> None:
    labels = ["island", "habitat", "locale"]
    dewlap = {"file": "dewlap_raw_408bands.csv", "labels": labels, "missing_labels": "keep"}
    source = opened(REAL / "dewlap_spectra", **dewlap)
    assert len(source.samples) == 455
    assert len(source.bands) == 408
    assert sum(b.nm is not None and b.nm < 400 for b in source.bands) == 102
    assert source.samples.locale.isna().sum() == 132
    abaco = opened(REAL / "dewlap_spectra", **dewlap, where={"island": "Abaco"})
    assert set(abaco.samples.island) == {"Abaco"}
    assert len(abaco.samples) == 86
    birds = Table(
        str(REAL / "bird_spectra"),
        file="pavo_bird_reflectance.csv",
        pattern=r"wl(?P<nm>\d+)",
        id="id",
        labels=["species"],
    )
    assert (len(birds.samples), len(birds.bands), birds.bands[400].nm) == (213, 401, 700)
