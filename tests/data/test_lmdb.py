"""LMDBs: values of each sort by key, tables of labels, and files that are not whole."""

import io
import struct

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal_lab.config import schema
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.lmdb import Lmdb
from multimodal_lab.data.readers.lmdb_file import DATA, LmdbFile, require_whole
from multimodal_lab.data.readers.lmdb_tree import AT
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Band, Stream

RGB = (Band("R"), Band("G"), Band("B"))
PAGE = 4096


@pytest.fixture
def write():
    """A function that writes {key: value} into an LMDB."""
    library = pytest.importorskip("lmdb", reason="lmdb is not installed: pip install -e '.[lmdb]'")

    def put(folder, values):
        with library.open(str(folder), map_size=1 << 24) as made, made.begin(write=True) as writing:
            for key, value in values.items():
                writing.put(key.encode(), value)

    return put


def picture(i):
    x = np.random.default_rng(i).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(x).save(data, "png")
    return x.transpose(2, 0, 1), data.getvalue()


def labels(folder, count):
    pd.DataFrame({"id": [f"p{i}" for i in range(count)], "cover": [f"c{i % 2}" for i in range(count)],
                  "s1": [f"r{i}" for i in range(count)]}).to_parquet(folder / "labels.parquet")  # fmt: skip


def test_every_key_is_a_picture(write, tmp_path):
    write(tmp_path, {f"p{i}": picture(i)[1] for i in range(3)})
    source = Lmdb(str(tmp_path))
    assert source.samples.id.tolist() == ["p0", "p1", "p2"]
    assert source.samples.path.unique().tolist() == ["data.mdb"]
    np.testing.assert_array_equal(source.read(1, [Stream("a", bands=RGB[::2])]).inputs["a"], picture(1)[0][::2])


def test_two_readers_of_one_process_may_read_one_file(write, tmp_path):
    write(tmp_path, {f"p{i}": picture(i)[1] for i in range(3)})
    first, second = Lmdb(str(tmp_path)), Lmdb(str(tmp_path))
    for source in (first, second, first):
        np.testing.assert_array_equal(source.read(2, [Stream("a", bands=RGB)]).inputs["a"], picture(2)[0])
    del first
    np.testing.assert_array_equal(second.read(0, [Stream("a", bands=RGB)]).inputs["a"], picture(0)[0])


def test_tensors_are_bands_and_a_table_names_their_keys(write, tmp_path):
    from safetensors.numpy import save

    draw = np.random.default_rng(0)
    s2 = [
        {b: draw.integers(0, 9000, (n, n)).astype(np.uint16) for b, n in (("B02", 6), ("B03", 6), ("B01", 2))}
        for _ in range(12)
    ]
    s1 = [{b: draw.random((6, 6)).astype(np.float32) for b in ("VV", "VH")} for _ in range(12)]
    stored = {f"p{i}": save(x) for i, x in enumerate(s2)} | {f"r{i}": save(x) for i, x in enumerate(s1) if i}
    write(tmp_path / "db", stored)
    labels(tmp_path, 12)
    how = {"path": "db", "values": "safetensors", "table": "labels.parquet", "key": {"s2": "{id}", "s1": "{s1}"}}
    with pytest.raises(DataError, match=r"db: no value for 1 of 12 keys of s1: r0 \(data.source.missing=keep"):
        Lmdb(str(tmp_path), **how)
    with pytest.raises(DataError, match=r"key: '\{s3\}' names no column of the table; .*nearest: s1"):
        Lmdb(str(tmp_path), **how | {"key": "{s3}"})
    with pytest.raises(DataError, match=r"no value for 12 of 12 keys: .*; expected keys such as 'p0'"):
        Lmdb(str(tmp_path), **how | {"key": "{id}.tif"})
    source = Lmdb(str(tmp_path), missing="keep", **how)
    assert {b.name for b in source.field_bands["s2"]} == {"B01", "B02", "B03"}
    raw = source.read(3, [Stream("s2", bands=(Band("B03"), Band("B02"))), Stream("x", bands=(Band("VH"),), field="s1")])
    np.testing.assert_array_equal(raw.inputs["s2"], np.stack([s2[3]["B03"], s2[3]["B02"]]))
    np.testing.assert_array_equal(raw.inputs["x"][0], s1[3]["VH"])
    assert (raw.scale("s2"), raw.scale("x")) == (65535, 1)
    with pytest.raises(DataError, match=r"db: p3: stream s2 takes bands of several sizes or types \(B01 \(2, 2\)"):
        source.read(3, [Stream("s2", bands=(Band("B01"), Band("B02")))])
    modality = {"s2": {"bands": ["B02", "B03"]}, "s1": {"bands": "all"}}
    made = Data(
        source, scaling=DtypeMax(), split=Split(), labels=["cover"], root=str(tmp_path), batch_size=4, workers=2
    )
    prepared = made.prepare(modality, 0)
    seen = list(prepared.batches("train", epoch=0, shuffle=True))  # each process opens it for itself
    assert sum(len(b) for b in seen) == len(prepared.splits["train"])
    prepared._workers.close()
    assert prepared.batch(np.arange(2)).present["s1"].tolist() == [False, True]


def test_raw_numbers_are_what_dtype_shape_and_card_say(write, tmp_path):
    x = np.random.default_rng(0).random((2, 4)).astype(">f4")
    write(tmp_path, {"a": x[0].tobytes(), "b": x[1].tobytes()[:-1]})
    how = {"values": "raw", "dtype": ">f4", "shape": [4], "card": card([f"e{i}" for i in range(4)])}
    source = Lmdb(str(tmp_path), **how)
    stream = Stream("e", "vector", source.bands[::-1])
    np.testing.assert_array_equal(source.read(0, [stream]).inputs["e"], x[0][::-1])
    with pytest.raises(DataError, match=r": b: 15 bytes, expected 16 of >f4 \[4\]"):
        source.read(1, [stream])
    with pytest.raises(DataError, match=r"stream e: .* holds vector streams, not image"):
        source.read(0, [Stream("e", "image", source.bands)])
    with pytest.raises(DataError, match="values=raw: needs dtype, shape and card"):
        Lmdb(str(tmp_path), values="raw")


def test_half_of_one_is_refused_where_the_library_wrote_it(write, tmp_path):
    write(tmp_path, {f"p{i}": bytes(3000) for i in range(50)})
    require_whole(tmp_path / "data.mdb", "db")
    whole = (tmp_path / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="copied half"):
        Lmdb(str(tmp_path))


def header(last, transaction, page=PAGE, magic=0xBEEFC0DE):
    """A meta page as mdb.c lays it out on 64 bits."""
    tables = struct.pack("<IHHQQQQQ", page, 8, 0, 0, 0, 0, 0, 2**64 - 1) + bytes(48)
    return (
        bytes(16) + struct.pack("<IIQQ", magic, 1, 0, 1 << 20) + tables + struct.pack("<QQ", last, transaction)
    ).ljust(PAGE, b"\0")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            header(9, 4) + header(7, 3) + bytes(5 * PAGE),
            r"copied half: data.mdb has 28,672 bytes, its header asks for 40,960; ",
        ),
        (header(5, 4) + header(9, 5) + bytes(5 * PAGE), r"copied half: .* asks for 40,960"),
        (header(9, 4)[:100], r"data.mdb is no LMDB: it does not begin with the header of one"),
        (header(2, 1, magic=7), r"data.mdb is no LMDB"),
        (b"", r"data.mdb is no LMDB"),
        (None, r"no file data.mdb, expected an LMDB"),
    ],
)
def test_an_lmdb_that_is_not_whole_is_one_sentence(tmp_path, content, said):
    if content is not None:
        (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(DataError, match=said):
        Lmdb(str(tmp_path))


def test_a_page_that_leads_elsewhere_is_refused_before_the_library_reads_it(write, tmp_path):
    """Each damage of a branch or a leaf is refused, or does no harm: a library that follows it ends the process."""
    (tmp_path / "whole").mkdir()
    write(tmp_path / "whole", {f"p{i:03d}": bytes(3000 if i % 9 == 0 else 30) for i in range(300)})
    raw = (tmp_path / "whole" / DATA).read_bytes()
    LmdbFile(tmp_path / "whole", "x")
    header, page, _ = require_whole(tmp_path / "whole" / DATA, "x")
    (root,) = struct.unpack_from("<Q", raw, header + AT + 40)
    leaf = struct.unpack_from("<H", raw, root * page + 16)[0] + root * page  # the first node of the root leads to it
    leaf = struct.unpack_from("<H", raw, leaf)[0]
    value = struct.unpack_from("<H", raw, leaf * page + 16)[0] + leaf * page  # of p000, which lies on pages of its own
    places = {
        "root": header + AT + 40, "depth": header + AT + 6, "number": leaf * page, "flags": leaf * page + 10,
        "end": leaf * page + 12, "begin": leaf * page + 14, "place": leaf * page + 16, "length": value + 1, "key": value + 6,
        "far": value + 12,
    }  # fmt: skip
    for what, at in places.items():
        (tmp_path / what).mkdir()
        (tmp_path / what / DATA).write_bytes(raw[:at] + b"\xff\xff" + raw[at + 2 :])
        with pytest.raises(DataError, match=r"x: damaged: page \d+ of data.mdb leads elsewhere"):
            LmdbFile(tmp_path / what, "x")


def test_a_later_header_that_asks_for_less_is_whole(tmp_path):
    (tmp_path / "data.mdb").write_bytes(header(99, 1) + header(6, 2) + bytes(5 * PAGE))
    require_whole(tmp_path / "data.mdb", "db")


def test_the_package_is_asked_for_before_any_data_are_read(composed, monkeypatch, tmp_path):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "lmdb" else find(name, *a))
    words = ["modality=rgb", "fusion=separate", "loss=simclr", f"data.root={tmp_path}"]
    (found,) = map(str, schema.check(composed("data=lmdb", *words, small=False)))
    assert "needs the package lmdb, which is not installed: pip install -e '.[lmdb]'" in found
    nested = ["data=mixed", "data@data.source.sources.a=lmdb", f"data.source.sources.a.root={tmp_path}"]
    cfg = composed(*nested, *words[:3], f"data.source.sources.b.root={tmp_path}", small=False)
    assert any("data.source.sources.a.source._target_" in str(p) for p in schema.check(cfg))
