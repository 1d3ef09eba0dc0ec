"""Tars of samples: their index, what members become, and tars that are not what they seem."""

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import forked
import numpy as np
import pytest
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers import tar_index
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.webdataset import WebDataset
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Band, Stream

ROOT = Path(__file__).parents[2]
RGB = (Band("R"), Band("G"), Band("B"))
LONG = "folder/" + "n" * 150  # longer than a plain header holds


def picture(i, deep=False, grey=False):
    shape = (4, 5) if grey else (4, 5, 3)
    x = np.random.default_rng(i).integers(0, 255, shape, dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(x.astype(np.uint16) * 256 if deep else x).save(data, "png")
    return x, data.getvalue()


def write(path, members, form=tarfile.GNU_FORMAT):
    """A tar of {name: bytes, or a TarInfo}."""
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members:
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)


def sample(key, i, **more):
    facts = {"caption": f"bird {i}", "site": f"s{i % 2}", "box": {"x": 1}, "id": 7, **more}
    return [
        (f"{key}.png", picture(i)[1]),
        (f"{key}.cls", str(i % 2).encode()),
        (f"{key}.json", json.dumps(facts).encode()),
    ]


def test_members_of_one_key_are_a_sample(tmp_path):
    write(
        tmp_path / "a.tar",
        [*sample("0", 0), ("0.depth.png", picture(5, grey=True)[1]), ("0.npz", b"x"), *sample(LONG, 1)],
    )
    write(tmp_path / "b.tar", [*sample("0", 2), ("._0.png", b"fork")], tarfile.PAX_FORMAT)
    source = WebDataset(str(tmp_path), index="make", missing="keep", colour={"depth": "grey"})
    assert source.samples.id.tolist() == ["a/0", LONG, "b/0"]  # a key that two tars have is named by its tar
    assert source.samples.path.tolist() == ["a.tar", "a.tar", "b.tar"]
    assert source.samples.cls.tolist() == [0, 1, 0]
    assert source.samples["json.id"].tolist() == [7, 7, 7]
    assert "box" not in source.samples
    assert (source.images, source.text_columns) == (["image", "depth"], ["caption"])
    assert "warning: left out: members that are no images, texts or labels: .npz (1)" in source.notes
    streams = [
        Stream("image", bands=RGB[::-1]),
        Stream("depth", bands=(Band("grey"),)),
        Stream("words", "text", field="caption"),
    ]
    raw = source.read(0, streams)
    np.testing.assert_array_equal(raw.inputs["image"], picture(0)[0].transpose(2, 0, 1)[::-1])
    np.testing.assert_array_equal(raw.inputs["depth"][0], picture(5, grey=True)[0])
    assert raw.inputs["words"] == "bird 0"
    assert source.read(1, streams).inputs["depth"] is None
    with pytest.raises(DataError, match=r"has no 'depth'; .*2 of 3 rows lack something.*missing=keep"):
        WebDataset(str(tmp_path), colour={"depth": "grey"})
    with pytest.raises(DataError, match="colour: no image 'dpeth'; expected one of image, depth; nearest: depth"):
        WebDataset(str(tmp_path), missing="keep", colour={"dpeth": "grey"})


def test_it_trains_and_names_what_is_bad(tmp_path):
    write(tmp_path / "a.tar", [m for i in range(12) for m in sample(f"{i:02d}", i)])
    modality = {"image": {"kind": "image", "bands": "all"}, "text": {"kind": "text", "field": "caption"}}
    data = Data(
        WebDataset(str(tmp_path), index="make"), scaling=DtypeMax(), split=Split(), labels=["cls", "site"],
        root=str(tmp_path), batch_size=4, size=8, workers=2,
    )  # fmt: skip
    made = data.prepare(modality, 0)
    batches = list(made.batches("train", epoch=0, shuffle=True))  # each process opens the tars for itself
    assert sum(len(b) for b in batches) == 8
    assert made.classes == {"cls": ["0", "1"], "site": ["s0", "s1"]}
    made._workers.close()
    raw = bytearray((tmp_path / "a.tar").read_bytes())
    at = raw.index(b"IDAT")
    raw[at + 8 : at + 20] = bytes(12)
    (tmp_path / "a.tar").write_bytes(raw)
    with pytest.raises(DataError, match=r"a.tar: 00.png: not a whole, readable image"):
        data.source.read(0, [Stream("image", bands=RGB)])
    os.truncate(tmp_path / "a.tar", 3000)
    with pytest.raises(DataError, match=r"a.tar: 11.png: cut short, 0 of"):
        data.source.read(11, [Stream("image", bands=RGB)])


def test_the_index_is_made_once_by_a_command_and_is_of_one_file(tmp_path):
    write(tmp_path / "a.tar", sample("0", 0))
    with pytest.raises(
        DataError, match=rf"a.tar: no index \(a.tar.index.jsonl\); python scripts/index_tars.py {tmp_path} makes it"
    ):
        WebDataset(str(tmp_path))
    env = {**os.environ, **forked.OWN, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}"}
    done = forked.command("index_tars", [str(tmp_path)], tmp_path, env)
    assert (done.returncode, done.stdout) == (0, f"a.tar: 1 samples, indexed in {tmp_path}/a.tar.index.jsonl\n")
    assert len(WebDataset(str(tmp_path)).samples) == 1
    write(tmp_path / "a.tar", [*sample("0", 0), *sample("1", 1)])
    with pytest.raises(
        DataError, match=r"a.tar: its index is of another file, by size or time; python scripts/index_tars.py"
    ):
        WebDataset(str(tmp_path))
    assert len(WebDataset(str(tmp_path), index="make").samples) == 2
    index = tmp_path / "a.tar.index.jsonl"
    index.write_text(index.read_text().replace('"png": [', '"png": [9'))
    with pytest.raises(DataError, match=r"a.tar.index.jsonl: '1' is not of a.tar"):
        WebDataset(str(tmp_path))
    head = index.read_text().splitlines()[0]
    for members, text in (({"txt": [0, 3]}, {}), ({"cls": [0, 3]}, {"cls": []}), ({"json": [0, 3]}, {"json": "{}"})):
        index.write_text(f"{head}\n{json.dumps({'key': 'a', 'members': members, 'text': text})}\n")
        with pytest.raises(DataError, match=r"a.tar.index.jsonl: 'a' is not of a.tar"):
            WebDataset(str(tmp_path))
    index.write_text("nothing")
    with pytest.raises(DataError, match=r"a.tar.index.jsonl: not a whole, readable index of a tar"):
        WebDataset(str(tmp_path))


def test_an_index_that_cannot_lie_beside_its_tar_lies_in_the_cache(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    write(tmp_path / "set/a.tar", sample("0", 0))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = tar_index.files.write_text

    def refused(path, content):
        if path.parent.name == "set":
            raise PermissionError(path)
        whole(path, content)

    monkeypatch.setattr(tar_index.files, "write_text", refused)
    for index in ("make", "require"):
        assert len(WebDataset(str(tmp_path / "set"), index=index).samples) == 1
    assert [p.name for p in (tmp_path / "set").iterdir()] == ["a.tar"]


def special(kind, name="x.png", **facts):
    member = tarfile.TarInfo(name)
    member.type = kind
    for key, value in facts.items():
        setattr(member, key, value)
    return (name, member)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([special(tarfile.SYMTYPE, linkname="/etc/passwd")], r"'x.png' is a link, expected plain files"),
        ([special(tarfile.LNKTYPE, linkname="y.png")], r"'x.png' is a link"),
        ([special(tarfile.CHRTYPE)], r"'x.png' is a device or pipe"),
        ([special(tarfile.FIFOTYPE)], r"'x.png' is a device or pipe"),
        ([("../x.png", b"1")], r"'\.\./x\.png': a name that leaves the folder or can't be printed"),
        ([("/x.png", b"1")], r"'/x\.png': a name that leaves"),
        ([("a\nb.png", b"1")], r"'a\\nb\.png': a name that leaves the folder or can't be printed"),
        ([("0.png", b"1"), ("0.png", b"2")], r"'0\.png' stands twice"),
        ([("0.png", b"1"), ("1.png", b"2"), ("0.cls", b"1")], r"members of '0' stand in two places"),
        ([("0.json", b"[1]")], r"0\.json: a JSON list, expected an object"),
        ([("0.json", b"{")], r"0\.json: not JSON"),
        ([("0.txt", b"a" * (1 << 20) + b"b")], r"0\.txt: a text of 1,048,577 bytes, the limit is 1,048,576"),
    ],
)
def test_members_that_are_no_plain_files_are_refused(tmp_path, members, said):
    write(tmp_path / "bad.tar", members)
    with pytest.raises(DataError, match=rf"bad.tar: {said}"):
        WebDataset(str(tmp_path), index="make")


def header(name, kind, size, magic=b"ustar\x0000"):
    made = bytearray(512)
    made[: len(name)] = name
    made[100:108] = b"0000644\0"
    made[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    made[156:157] = kind
    made[257:265] = magic
    made[148:156] = b"%06o\0 " % (sum(made) + 8 * 32)
    return bytes(made)


NEGATIVE = b"\xff" * 12  # -1, as GNU tar writes numbers of more than eleven octal digits


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (header(b"0.png", b"0", 10**6) + b"x" * 512, "'0.png': 1,000,000 bytes, but the tar is cut short at 1,024"),
        (header(b"x", b"x", 2**33 - 1) + b"x" * 512, "a header of 8,589,93.,... bytes, the limit is 1,048,576"),
        (header(b"x", b"L", 2**30) + b"x" * 512, "a header of 1,073,741,824 bytes"),
        (header(b"x", b"L", NEGATIVE) + b"x" * 512, "bad.tar: "),
        (header(b"0.png", b"0", NEGATIVE) + b"x" * 512, "bad.tar: "),
        (header(b"0.png", b"S", 512) + b"x" * 512, "bad.tar: "),
        (header(b"x", b"x", 512) * 3000, "bad.tar: "),
        (
            gzip.compress(b"a" * 9999, mtime=0),
            "bad.tar: compressed, so that no sample can be read by itself; gunzip it first",
        ),
        (b"no tar at all" * 99, "bad.tar: not a whole, readable tar"),
    ],
)
def test_a_tar_that_lies_of_its_sizes_is_refused_at_once(tmp_path, raw, said):
    (tmp_path / "bad.tar").write_bytes(raw)
    with pytest.raises(DataError, match=said):
        WebDataset(str(tmp_path), index="make")


def test_a_member_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    write(tmp_path / "a.tar", sample("0", 0))
    source = WebDataset(str(tmp_path), index="make", limits=Limits(bytes=50))
    with pytest.raises(
        DataError, match=r"a.tar: 0.png: \d+ bytes, the limit is 50 \(data.source.limits.bytes raises it\)"
    ):
        source.read(0, [Stream("image", bands=RGB)])


def captioned(key, i, text, form="RGB"):
    data = io.BytesIO()
    Image.fromarray(picture(i)[0]).convert(form).save(data, "jpeg")
    return [(f"{key}.jpg", data.getvalue()), (f"{key}.txt", text.encode())]


def test_tars_of_a_benchmark_have_a_caption_a_line_and_tell_their_split(tmp_path):
    """The layout of CLIP_benchmark's sets for retrieval: train/0.tar, test/0.tar, five lines in each .txt."""
    for split, rows in (("train", range(6)), ("test", range(6, 9))):
        (tmp_path / split).mkdir()
        lines = ["\n".join(f"{i} in words {k}" for k in range(5)) for i in rows]
        write(tmp_path / split / "0.tar", [m for i, text in zip(rows, lines) for m in captioned(f"s{i:07d}", i, text)])
    source = WebDataset(str(tmp_path), index="make", lines=True)
    assert source.samples.split.value_counts().to_dict() == {"train": 6, "test": 3}
    row = source.samples.id.tolist().index("s0000007")
    assert source.read(row, [Stream("text", "text")]).inputs["text"] == [f"7 in words {k}" for k in range(5)]
    assert "column split: by the folders or names of the tars" in source.notes
    whole = WebDataset(str(tmp_path)).read(row, [Stream("text", "text")]).inputs["text"]
    assert whole.count("\n") == 4
    write(tmp_path / "other.tar", captioned("x", 1, "y"))
    assert "split" not in WebDataset(str(tmp_path), index="make").samples


def test_names_of_tars_tell_splits(tmp_path):
    for name in ("train-000", "train-001", "val-000"):
        write(tmp_path / f"{name}.tar", captioned(name, 0, "x"))
    assert sorted(WebDataset(str(tmp_path), index="make").samples.split) == ["train", "train", "val"]


def test_blank_captions_are_refused_kept_or_left_out_with_a_count(tmp_path):
    texts = ["one", " \n ", "two", "\n\nthree\n \n"]
    write(tmp_path / "a.tar", [m for i, text in enumerate(texts) for m in captioned(f"{i}", i, text)])
    with pytest.raises(DataError, match=r"sample '1' has no 'text'; .*missing=keep allows gaps, drop"):
        WebDataset(str(tmp_path), index="make")
    kept, dropped = (WebDataset(str(tmp_path), missing=policy) for policy in ("keep", "drop"))
    assert kept.read(1, [Stream("text", "text")]).inputs["text"] in (None, "")
    assert dropped.samples.id.tolist() == ["0", "2", "3"]
    assert any("1 of 4 rows (25.00%) are left out (data.source.missing=drop)" in note for note in dropped.notes)
    np.testing.assert_array_equal(
        dropped.read(2, [Stream("image", bands=RGB)]).inputs["image"],
        kept.read(3, [Stream("image", bands=RGB)]).inputs["image"],
    )


def test_grey_and_cmyk_members_become_rgb(tmp_path):
    write(
        tmp_path / "a.tar", [m for i, form in enumerate(("RGB", "L", "CMYK")) for m in captioned(f"{i}", i, "x", form)]
    )
    with pytest.raises(
        DataError, match=r"1\.jpg: a grey image, expected data\.source\.colour=rgb \(to_rgb makes RGB of it\)"
    ):
        WebDataset(str(tmp_path), index="make").read(1, [Stream("image", bands=RGB)])
    source = WebDataset(str(tmp_path), colour="to_rgb")
    assert [source.read(i, [Stream("image", bands=RGB)]).inputs["image"].shape for i in range(3)] == [(3, 4, 5)] * 3
