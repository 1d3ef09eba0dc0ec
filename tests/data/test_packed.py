"""A packed store gives what its source gave, bit for bit, and notices whatever happened to it since."""

import importlib.util
import json
import os
import pickle
import signal
import sys
import time
from pathlib import Path

import forked
import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from made_source import Made
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, writer
from multimodal_lab.data.packed import format as store
from multimodal_lab.data.packed.probe import probe
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.readers.scene import Scene
from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DatasetStats, DtypeMax
from multimodal_lab.data.synthetic.specimens import Specimens
from multimodal_lab.types import Band, Stream

ROOT = Path(__file__).parents[2]
EMPTY = lambda done, total: None  # noqa: E731


def pack(source, out, split=None, workers=1, duplicates="refuse", rate=None):
    offer = probe(source, rate=rate)
    plan = writer.begin(source, offer, out, {"fingerprint": fingerprint(source, None)})
    writer.write(plan, workers, EMPTY)
    splits = finalize.split_of(plan, split or Split(), None)
    finalize.finish(plan, fingerprint(source, None), {"labels": None}, splits, duplicates)
    return Packed(str(out))


def same(a, b):
    assert torch.equal(a.ids, b.ids)
    assert torch.equal(a.groups, b.groups)
    assert (a.mask is None) == (b.mask is None)
    assert a.mask is None or torch.equal(a.mask, b.mask)
    for x, y in ((a.inputs, b.inputs), (a.targets, b.targets), (a.present, b.present)):
        assert x.keys() == y.keys()
        assert all(x[k].dtype == y[k].dtype and torch.equal(x[k], y[k]) for k in x)


def specimens(folder):
    return Specimens(individuals=12, species=3, size=16, missing=0.4)


def tiff(folder):
    rng = np.random.default_rng(0)
    for i in range(12):
        cube = rng.integers(1, 4000, (4, 8 + i % 3, 9), dtype=np.uint16)
        cube[3] = cube[3] > 1000
        path = folder / f"Genus_{'ab'[i % 2]}_{i // 2}_{'MF'[i % 2]}_Back.tif"
        tifffile.imwrite(path, cube, photometric="minisblack", planarconfig="separate")
    made = card(["R", "G", "UV", "mask"], nm=[600, 530, 365, None], unit="counts", mask_band="mask")
    return Tiff(str(folder), card=made, labels=Labels(pattern="auto"))


def pairs(folder):
    rows = []
    for i in range(12):
        for name in ("a", "b"):
            if i % 3 or name == "a":
                pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}{i}.png")
        texts = [f"word{i % 4} one", "two"] if i % 2 else f"word{i % 4}"
        there = f"b{i}.png" if i % 3 else None
        rows.append(
            {"id": i, "a": f"a{i}.png", "b": there, "text": texts, "kind": "xy"[i % 2], "n": i if i % 5 else None}
        )
    (folder / "index.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    return Pairs(str(folder), images=["a", "b"], texts=["text"], missing="keep")


def table(folder):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random((12, 5)), columns=[f"nm{n}" for n in range(300, 800, 100)])
    frame.assign(name=[f"s{i}" for i in range(12)], kind=["x", "y", None] * 4, age=range(12)).to_csv(
        folder / "t.csv", index=False
    )
    return Table(str(folder), file="t.csv", pattern=r"nm(?P<nm>\d+)", id="name", unit="%", missing_labels="keep")


def scene(folder):
    rng = np.random.default_rng(0)
    np.save(folder / "cube.npy", rng.integers(0, 5000, (12, 12, 4)).astype(np.int16))
    classes = np.zeros((12, 12), np.uint8)
    classes[::3, ::3], classes[1::3, 1::3] = 1, 2
    np.save(folder / "map.npy", classes)
    return Scene(str(folder), cube="cube.npy", map="map.npy", patch=3, block=4)


def hdf5(folder):
    rng = np.random.default_rng(0)
    with h5py.File(folder / "x.h5", "w", libver="latest") as file:
        file["rgb"] = rng.integers(0, 255, (12, 3, 6, 6), dtype=np.uint8)
        file["uv"] = rng.random((12, 2, 6, 6)).astype(np.float32)
    made = card(["R", "G", "B", "U", "V"], nm=[600, 530, 460, 385, 365])
    return Hdf5(str(folder), datasets={"rgb": ["R", "G", "B"], "uv": ["U", "V"]}, card=made)


RGB = {"rgb": {"kind": "image", "bands": ["G", "R"]}}
SOURCES = {
    "specimens": (specimens, {**RGB, "uv": {"kind": "image", "bands": ["UV*"]}, "words": {"kind": "text", "field": "caption"}}),
    "tiff": (tiff, {**RGB, "uv": {"kind": "image", "bands": {"nm": [[300, 400]]}}}),
    "pairs": (pairs, {"a": {"kind": "image", "bands": "all", "field": "a"}, "b": {"kind": "image", "bands": ["B"], "field": "b"},
                      "words": {"kind": "text"}}),
    "table": (table, {"v": {"kind": "vector", "bands": {"every": 2}}}),
    "scene": (scene, {"cube": {"kind": "image", "bands": "all", "pca": 2}, "v": {"kind": "vector", "bands": {"index": [3, 0]}}}),
    "hdf5": (hdf5, {**RGB, "all": {"kind": "image", "bands": "all"}, "uv": {"kind": "image", "bands": ["U"]}}),
}  # fmt: skip


def prepared(source, modality, **changes):
    facts = {"scaling": DatasetStats(), "split": Split(by="auto", stratify="auto"), "labels": "auto", "batch_size": 5}
    return Data(source, **{**facts, "size": None if "v" in modality else 8, **changes}).prepare(modality, 0)


@pytest.mark.parametrize("name", SOURCES)
def test_the_same_batches_as_from_the_source(tmp_path, name):
    (tmp_path / "in").mkdir()
    made, modality = SOURCES[name]
    source = made(tmp_path / "in")
    packed = pack(source, tmp_path / "out")
    pd.testing.assert_frame_equal(packed.samples, source.samples)
    assert packed.bands == source.bands
    assert packed.text_columns == list(getattr(source, "text_columns", ()))
    one, two = prepared(source, modality), prepared(packed, modality, workers=2)
    assert {**one.record(), "fingerprint": ""} == {**two.record(), "fingerprint": ""}
    for split in one.splits:
        for a, b in zip(
            one.batches(split, epoch=1, shuffle=True), two.batches(split, epoch=1, shuffle=True), strict=True
        ):
            same(a, b)
    kept = json.loads(json.dumps(one.record()))  # a run trained on the source knows its splits again
    assert prepared(packed, modality).fingerprint == fingerprint(source, None)
    again = Data(packed, scaling=DatasetStats(), split=Split(), labels="auto", size=None if "v" in modality else 8)
    frozen = again.prepare(modality, 0, {**kept, "fingerprint": packed.fingerprint})
    assert {k: v.tolist() for k, v in frozen.splits.items()} == {k: v.tolist() for k, v in one.splits.items()}


def test_every_single_sample_and_every_choice_of_bands(tmp_path):
    source = specimens(None)
    packed = pack(source, tmp_path / "out")
    for take in ([0], [5], [2, 1], [0, 3], [5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5]):
        stream = Stream("x", "image", tuple(source.bands[i] for i in take))
        for row in range(len(source.samples)):
            for _ in range(2):  # with the hash checked, and then only the bytes that are needed
                a, b = source.read(row, [stream]), packed.read(row, [stream])
                assert (a.inputs["x"] is None) == (b.inputs["x"] is None)
                assert a.inputs["x"] is None or np.array_equal(a.inputs["x"], b.inputs["x"])
                assert np.array_equal(a.mask, b.mask)
                assert a.scale("x") == b.scale("x")


def test_what_the_source_lacks_the_store_refuses_too(tmp_path):
    (tmp_path / "in").mkdir()
    packed = pack(pairs(tmp_path / "in"), tmp_path / "out")
    for stream, words in (
        (Stream("x", "vector", packed.bands), "holds image, not vector"),
        (Stream("x", "image", packed.bands), "modality.x.field: none, expected one of the image columns: a, b"),
        (Stream("x", "text", field="kind"), "no text 'kind'; there are text"),
        (Stream("x", "image", (Band("Q"),), field="a"), "no band 'Q'"),
    ):
        with pytest.raises(DataError, match=words):
            packed.read(0, [stream])


def test_the_manifest_holds_the_statistics_of_the_training_split(tmp_path):
    source = specimens(None)
    pack(source, tmp_path / "out", Split(by="individual"))
    found = store.read_manifest(tmp_path / "out")
    rows = Split(by="individual").assign(source.samples)["train"]
    cubes = [source.read(int(r), [Stream(b.name, "image", (b,)) for b in source.bands]) for r in rows]
    for i, band in enumerate(source.bands):
        inside = [c.inputs[band.name][0][c.mask] for c in cubes if c.inputs[band.name] is not None]
        values = np.concatenate(inside).astype(float)
        assert np.isclose(found["statistics"][0]["mean"][i], values.mean())
        assert np.isclose(found["statistics"][0]["std"][i], values.std())
        assert found["statistics"][0]["pixels"][i] == len(values)
    assert found["splits"] == {k: len(v) for k, v in Split(by="individual").assign(source.samples).items()}


CUBE = [Stream("x", "image", Made().bands)]


def flip(path, at=-1000):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def edit(folder, **changes):
    path = folder / "manifest.json"
    found = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({**found, "seal": store.seal(found)}))


DAMAGES = {
    "manifest": (lambda f: flip(f / "manifest.json", 400), "not JSON|seal|format"),
    "format": (lambda f: edit(f, format="other"), "format 'other', expected 'multimodal_lab packed store'"),
    "version": (lambda f: edit(f, version=99), "version 99, this program reads 1; pack the data again"),
    "table": (lambda f: flip(f / "table.json", 100), r"table\.json: not the table that the manifest names"),
    "no table": (lambda f: (f / "table.json").unlink(), r"table\.json: not there"),
    "index": (lambda f: flip(f / "shard-00001.npy", -5), r"shard-00001\.npy: not the index"),
    "no index": (lambda f: (f / "shard-00001.npy").unlink(), r"shard-00001\.npy: not there"),
    "truncated": (lambda f: os.truncate(f / "shard-00002.bin", 100), r"shard-00002\.bin: 100 bytes, expected [\d,]+: cut short"),
    "no shard": (lambda f: (f / "shard-00002.bin").unlink(), r"shard-00002\.bin: 0 bytes, expected"),
    "count": (lambda f: edit(f, count=25), "25 samples, but 24 rows in its table, 24 in its indexes"),
    "hash": (lambda f: edit(f, hash="md5"), "hash 'md5', expected one of xxh3_128, blake2b_128"),
    "begun": (lambda f: (f / "manifest.json").rename(f / "plan.json"), "packed in part only"),
    "nothing": (lambda f: (f / "manifest.json").unlink(), r"holds no manifest\.json"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_refused_when_it_is_opened(tmp_path, damage):
    act, words = DAMAGES[damage]
    pack(Made(), tmp_path)
    act(tmp_path)
    with pytest.raises(DataError, match=words):
        Packed(str(tmp_path))


@pytest.mark.parametrize("verify", ["first", "every", "never"])
def test_a_damaged_record_is_named_with_sample_and_shard(tmp_path, verify):
    pack(Made(), tmp_path)
    packed = Packed(str(tmp_path), verify=verify)
    shard = tmp_path / "shard-00003.bin"
    flip(shard, 10)
    assert len(finalize.verify(tmp_path, 2, EMPTY)) == 1
    if verify == "never":
        assert not np.array_equal(packed.read(6, CUBE).inputs["x"], Made().arrays[6])
    else:
        with pytest.raises(
            DataError, match=r"sample 's06': damaged in .*shard-00003\.bin, hash \w{32}, expected \w{32}"
        ):
            packed.read(6, CUBE)
    assert np.array_equal(packed.read(7, CUBE).inputs["x"], Made().arrays[7])
    flip(shard, 10)
    assert packed.read(6, CUBE)
    flip(shard, 10)  # read once, and trusted from then on unless `every`
    if verify == "every":
        with pytest.raises(DataError, match="damaged"):
            packed.read(6, CUBE)
    else:
        assert packed.read(6, CUBE)
    os.truncate(shard, 40)
    with pytest.raises(DataError, match=r"sample 's06': .*shard-00003\.bin is truncated, 40 of \d+ bytes"):
        packed.read(6, CUBE)


def test_without_xxhash_samples_are_hashed_all_the_same(tmp_path, monkeypatch):
    pack(Made(), tmp_path / "fast")
    monkeypatch.setitem(sys.modules, "xxhash", None)
    packed = pack(Made(), tmp_path / "slow")
    assert packed.hash_name == "blake2b_128"
    assert packed.read(3, CUBE)
    with pytest.raises(DataError, match="xxh3_128, which needs `pip install xxhash`"):
        Packed(str(tmp_path / "fast"))
    assert Packed(str(tmp_path / "fast"), verify="never").read(3, CUBE)


def test_a_store_can_be_sent_to_another_process(tmp_path):
    packed = pack(Made(), tmp_path)
    packed.read(0, CUBE)
    again = pickle.loads(pickle.dumps(packed))
    assert np.array_equal(again.read(5, CUBE).inputs["x"], Made().arrays[5])


def test_a_bad_sample_stops_packing_and_what_is_done_is_kept(tmp_path):
    source = Made()
    source.arrays[20] = source.arrays[20].astype(np.uint8)
    with pytest.raises(
        DataError, match=r"sample 's20': bands R to UV1 are uint8 .*expected uint16 of full scale 65535"
    ):
        pack(source, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.bin")}
    assert len(before) == 10
    with pytest.raises(DataError, match="packed in part only; the same"):
        Packed(str(tmp_path))
    packed = pack(Made(), tmp_path)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert np.array_equal(packed.read(20, CUBE).inputs["x"], Made().arrays[20])
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.moments")) + list(tmp_path.glob("plan.json"))


def test_other_data_do_not_go_on_in_a_folder_that_was_begun(tmp_path):
    source = Made()
    source.arrays[20] = source.arrays[20].astype(np.uint8)
    with pytest.raises(DataError):
        pack(source, tmp_path)
    with pytest.raises(DataError, match="begun with another facts"):
        pack(Made(n=25), tmp_path)
    (tmp_path / "plan.json").unlink()
    with pytest.raises(DataError, match="not empty, and no store that was begun"):
        pack(Made(), tmp_path)


def test_equal_values_in_two_splits_are_refused_or_told(tmp_path):
    source = Made()
    rows = Split().assign(source.samples)
    a, b = int(rows["train"][0]), int(rows["test"][0])
    source.arrays[b], source.masks[b] = source.arrays[a], source.masks[a]
    pair = f"{source.samples.id[min(a, b)]} .* = {source.samples.id[max(a, b)]}"
    with pytest.raises(
        DataError, match=f"1 pairs of samples hold equal values in two splits: {pair}.*duplicates=report"
    ):
        pack(source, tmp_path)
    pack(source, tmp_path, duplicates="report")
    assert len(store.read_manifest(tmp_path)["duplicates"]) == 1


def test_a_process_that_dies_while_packing_is_reported(tmp_path):
    source = Made()
    read, main = source.read, os.getpid()
    source.read = lambda i, s: os.kill(os.getpid(), signal.SIGKILL) if i == 13 and os.getpid() != main else read(i, s)
    with pytest.raises(DataError, match="a packing process died"):
        pack(source, tmp_path, workers=2)
    del source.read
    assert pack(source, tmp_path, workers=2).read(13, CUBE)


def command(monkeypatch, *words):
    spec = importlib.util.spec_from_file_location("pack", ROOT / "scripts" / "pack.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["pack.py", *map(str, words)])
    try:
        module.main()
    except SystemExit as error:
        return error.code
    return 0


def test_the_command_packs_goes_on_after_a_kill_and_verifies(tmp_path, monkeypatch, capsys):
    words = ["data=specimens", "data.source.individuals=64", f"out={tmp_path}", "workers=1"]
    env = {**os.environ, **forked.OWN, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}"}
    began = forked.Begun("pack", words, tmp_path.parent, env)
    until = time.monotonic() + 60
    while not (tmp_path / "shard-00001.npy").exists() and time.monotonic() < until:
        time.sleep(0.002)
    os.kill(began.pid, signal.SIGKILL)
    began.communicate(60)
    assert not (tmp_path / "manifest.json").exists()
    first = (tmp_path / "shard-00000.bin").stat().st_mtime_ns
    assert command(monkeypatch, *words) == 0
    said = capsys.readouterr().out
    assert "128 samples: 6 bands of u2 (image)" in said
    assert "split: 64 train, 16 val, 48 test" in said
    assert (tmp_path / "shard-00000.bin").stat().st_mtime_ns == first
    assert command(monkeypatch, "--verify", tmp_path) == 0
    flip(tmp_path / "shard-00005.bin")
    assert command(monkeypatch, "--verify", tmp_path, "workers=2") == 1
    assert "damaged in" in capsys.readouterr().out
    flip(tmp_path / "shard-00005.bin")
    _composes(tmp_path)


def _composes(folder):
    """`data=packed` is the run that `data=specimens` is."""
    from hydra import compose, initialize_config_dir

    from multimodal_lab.config import resolvers
    from multimodal_lab.config.check import check_command
    from multimodal_lab.config.instantiate import conf_dir, safe_instantiate

    resolvers.register()
    lines = [["data=specimens", "data.source.individuals=64"], ["data=packed", f"data.root={folder}"]]
    made = []
    for overrides in lines:
        check_command(overrides)
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose("config", overrides=overrides)
        modality = {"rgb": {"kind": "image", "bands": ["R", "G", "B"]}, "uv": {"kind": "image", "bands": ["UV*"]}}
        made.append(safe_instantiate(cfg.data).prepare(modality, 0))
    assert made[0].record() == made[1].record()
    for a, b in zip(made[0].batches("train", shuffle=True), made[1].batches("train", shuffle=True), strict=True):
        same(a, b)


def test_sources_that_the_line_chooses_are_packed(tmp_path, monkeypatch, capsys):
    """As docs/sources.md names them: in the place of one of the data set, and beside its own."""
    for nm in (300, 400):
        (tmp_path / f"{nm}.csv").write_text(
            "\n".join([f"id,kind,nm{nm}", *(f"{i},{i % 2},{i / nm}" for i in range(12))])
        )
    at = "data.source.sources"
    words = ["data=joined", f"data.root={tmp_path}", f"data@{at}.image=table", f"+data@{at}.more=table"]
    words += [
        f"{at}.{name}.source.{key}"
        for name, nm in (("image", 300), ("more", 400))
        for key in (f"file={nm}.csv", "id=id")
    ]
    words += [f"{at}.more.root={tmp_path}", f"~{at}.spectrum", f"out={tmp_path / 'store'}", "workers=1"]
    assert command(monkeypatch, *words) == 0
    assert "12 samples: 1 bands of f4 (vector image), 1 bands of f4 (vector more)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "pack.py data=multispectral_tiff"),
        (["data=specimen", "out=x"], 2, "nearest: data=specimens"),
        (["data=specimens"], 2, "out=DIR is missing"),
        (["data=specimens", "out=x", "fusion=concat"], 2, "fusion=concat: only data"),
        (["data=specimens", "out=x", "workers=0"], 2, "workers=0: expected a whole number from 1"),
        (["data=specimens", "out=x", "duplicates=no"], 2, "expected refuse or report"),
    ],
)
def test_words_that_cannot_be(words, code, said, monkeypatch, capsys):
    found = command(monkeypatch, *words)
    out = capsys.readouterr()
    assert found == code
    assert said in out.out + out.err


def test_a_packed_choice_without_a_store_is_one_clear_problem(tmp_path):
    from multimodal_lab.config import resolvers
    from multimodal_lab.config.check import ConfigError, check_command

    resolvers.register()
    with pytest.raises(ConfigError, match=r"is no packed store \(scripts/pack.py makes one\)"):
        check_command(["data=packed", f"data.root={tmp_path}"])
    with pytest.raises(ConfigError, match=r"data\.root=\?\?\?"):
        check_command(["data=packed"])


def test_scaling_can_be_another_than_was_packed(tmp_path):
    packed = pack(Made(), tmp_path)
    modality = {"cube": {"kind": "image", "bands": "all"}}
    one = prepared(Made(), modality, scaling=DtypeMax(), size=None)
    two = prepared(packed, modality, scaling=DtypeMax(), size=None)
    same(next(one.batches("train")), next(two.batches("train")))


def holed(folder):
    """Two data sets that lack pixels of their own, in some rows."""
    rng = np.random.default_rng(0)
    with h5py.File(folder / "x.h5", "w") as file:
        for name, count in (("rgb", 3), ("uv", 2)):
            x = rng.integers(0, 999, (12, count, 6, 6)).astype("i2")
            x[::3, -1, :2] = -9999
            x[::4, :, 3:, 3:] = -9999
            file[name] = x
            file[name].attrs["_FillValue"] = np.int16(-9999)
    made = card(["R", "G", "B", "U", "V"])
    return Hdf5(str(folder), datasets={"rgb": ["R", "G", "B"], "uv": ["U", "V"]}, card=made)


@pytest.mark.parametrize("rule", ["any", "all"])
def test_what_was_not_measured_is_packed(tmp_path, rule):
    (tmp_path / "files").mkdir()
    source = holed(tmp_path / "files")
    found = pack(source, tmp_path / "store", duplicates="report")
    modality = {"x": {"kind": "image", "bands": ["V", "R", "B"]}, "uv": {"kind": "image", "bands": ["U", "V"]}}
    one, two = (
        Data(s, scaling=DtypeMax(), split=Split(), labels=[], nodata=rule).prepare(modality, 0) for s in (source, found)
    )
    assert one.streams == two.streams
    assert any(n.startswith("nodata") for n in two.notes)
    for a, b in zip(one.batches("all"), two.batches("all"), strict=True):
        same(a, b)
    facts = json.loads((tmp_path / "store/manifest.json").read_text())["statistics"][0]
    assert min(facts["mean"]) > 0


def test_a_scene_lacks_what_its_card_or_its_file_says(tmp_path):
    rng = np.random.default_rng(0)
    cube = rng.integers(0, 5000, (12, 12, 4)).astype(np.int16)
    cube[3:7, 3:7] = -1
    np.save(tmp_path / "cube.npy", cube)
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        file["x"] = cube
        file["x"].attrs["_FillValue"] = np.int16(-1)
    np.save(tmp_path / "map.npy", rng.integers(1, 3, (12, 12)).astype(np.uint8))
    how = {"map": "map.npy", "patch": 3, "block": 4}
    one = Scene(str(tmp_path), cube="cube.npy", card=card(["a", "b", "c", "d"], nodata=-1), **how)
    two = Scene(str(tmp_path), cube="cube.h5", cube_key="x", **how)
    for source in (one, two):
        index = source.samples.id.tolist().index("2_2")
        raw = source.read(index, [Stream("x", bands=source.bands[1:3]), Stream("v", "vector", source.bands[:1])])
        assert np.array_equal(raw.missing["x"], raw.inputs["x"] == -1)
        assert raw.missing["x"].any()
        assert "v" not in raw.missing
