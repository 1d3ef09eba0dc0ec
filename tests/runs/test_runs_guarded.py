"""Files of a run directory that claim more than they hold: refused before they are unpacked, in little time and memory."""

import json
import time
import tracemalloc
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multimodal_lab.checkpoint import safetensors_reader
from multimodal_lab.evaluate import parquet, thumbnails
from multimodal_lab.report.explorer import source
from multimodal_lab.runs import guarded
from multimodal_lab.runs.guarded_arrays import read_npz, read_parquet

FACTS = {"classes": {}, "names": ["rgb"], "dtypes": {}}


def table(path, rows=3, facts=FACTS, **columns):
    plain = {
        "id": ["a"] * rows,
        "split": ["test"] * rows,
        "group": [0] * rows,
        "present": [True] * rows,
        "x1": [0.0] * rows,
    }
    made = pa.table({**plain, **columns}).replace_schema_metadata({b"multimodal_lab": json.dumps(facts).encode()})
    pq.write_table(made, path)


def rows(path):
    """A billion rows in a few hundred bytes: repeated groups of one value."""
    column = pa.array(np.zeros(20_000_000, dtype=np.int8))
    pq.write_table(pa.table({f"x{i}": column for i in range(8)}), path, compression="zstd")


def member(path, header, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("rows.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(content)


def shape(path):
    member(path, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2**10)}, bytes(64))


def unpacked(path):
    member(path, {"descr": "|u1", "fortran_order": False, "shape": (600_000_000,)}, bytes(600_000_000))


def objects(path):
    np.savez(path, rows=np.array([{}], dtype=object))


def header(path):
    path.write_bytes((1 << 30).to_bytes(8, "little") + b"{" + b" " * 1000)


BOMBS = {
    "Parquet rows": (rows, "rgb.parquet", read_parquet, "no run writes such a file"),
    "an npz's shape": (shape, "thumbnails.npz", read_npz, "does not fit its"),
    "an npz's size": (unpacked, "thumbnails.npz", thumbnails.load, "expected at most"),
    "an npz's objects": (objects, "thumbnails.npz", read_npz, "plain numbers"),
    "a safetensors header": (header, "model.safetensors", safetensors_reader.read, "a header of 1,073,741,824 bytes"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, name):
    make, file, read, says = BOMBS[name]
    make(tmp_path / file)
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(ValueError, match=says):
            read(tmp_path / file)
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({**FACTS, "dtypes": {"a": "V1000000000"}}, "a label of type 'V1000000000'"),
        ({**FACTS, "dtypes": {"a": "O"}}, "a label of type 'O'"),
        ({**FACTS, "names": [{}]}, "expected a list of names"),
    ],
)
def test_what_a_table_says_of_itself_is_looked_at(tmp_path, facts, says):
    table(tmp_path / "rgb.parquet", facts=facts, **{"label.a": [0, 1, 2]})
    with pytest.raises(ValueError, match=says):
        parquet.read(tmp_path / "rgb.parquet")


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"PAR1" + b"\xff" * 60 + b"PAR1", json.dumps([]).encode(), b"PAR1\x15\x02\x19" * 40 + b"PAR1"],
)
def test_what_is_no_table_is_one_sentence(tmp_path, content):
    (tmp_path / "embeddings").mkdir()
    (tmp_path / "embeddings" / "rgb.parquet").write_bytes(content)
    with pytest.raises(source.ExplorerError, match=r"rgb\.parquet: not whole, or not as a run writes it"):
        source.read(tmp_path)


def test_a_table_reads_as_it_was_written(tmp_path):
    made = pa.table(
        {"id": ["a", None, "b"], "x": [1.0, 2.0, None], "code": pa.array(["u", "u", "v"]).dictionary_encode()}
    )
    pq.write_table(made, tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet").equals(made)


def test_arrays_read_as_they_were_written(tmp_path):
    made = {
        "rows": np.arange(3),
        "rgb": np.ones((3, 2, 2, 3), np.uint8),
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    np.savez_compressed(tmp_path / "a.npz", **made)
    found = read_npz(tmp_path / "a.npz")
    assert found.keys() == made.keys()
    for name, array in made.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_long_text_that_repeats_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("multimodal_lab.runs.guarded_arrays.MOST_TEXT", 1_000_000)
    table(tmp_path / "rgb.parquet", 300, id=["a" * 10_000] * 300)
    with pytest.raises(ValueError, match="id holds 3,000,000 bytes of text"):
        read_parquet(tmp_path / "rgb.parquet")


def test_a_link_inside_is_followed_and_one_outside_is_not(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "a.json").write_text("[1]")
    (tmp_path / "b.json").write_text("[2]")
    (run / "inside.json").symlink_to("a.json")
    (run / "outside.json").symlink_to("../b.json")
    assert guarded.read_json(run / "inside.json") == [1]
    with pytest.raises(OSError, match=r"outside\.json: a link to .*b\.json, outside of"):
        guarded.read_json(run / "outside.json")


def test_a_folder_that_is_a_link_still_has_files_of_its_own(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.json").write_text("[1]")
    (tmp_path / "mine").symlink_to("run")
    assert guarded.read_json(tmp_path / "mine" / "a.json") == [1]
