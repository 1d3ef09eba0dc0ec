"""What a start reads of the data, and what it is spared by a quick fingerprint, a sample, a preset or an earlier start."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.cache.start import StartCache
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.fitted_cache import known_good
from multimodal_lab.data.readers.fingerprint import fingerprint, marked
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.preset import Preset
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.runs.hashes import comparable, incomparable

RGB = {"rgb": {"kind": "image", "bands": "all"}}
ROWS = 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 pictures of 8 x 8 pixels, beside a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    rng = np.random.default_rng(0)
    for i in range(ROWS):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "data" / f"{i:02d}.png")
    return tmp_path / "data"


class Counted(Images):
    """Pictures that tell which were decoded, and whose headers were read."""

    def __init__(self, root: str, **options: Any) -> None:
        self.decoded: list[int] = []
        self.headers: list[str] = []
        super().__init__(root, **options)

    def read(self, index: int, streams: Any) -> Any:
        self.decoded.append(index)
        return super().read(index, streams)

    def _header(self, path: str, first: Any) -> Any:
        self.headers.append(path)
        return super()._header(path, first)


def made(folder: Path, **changes: Any) -> Data:
    source = Counted(str(folder), **{k: changes[k] for k in ("verify",) if k in changes})
    return Data(source, scaling=DtypeMax(), split=Split(), labels=[], root=str(folder), **changes)


def notes_of(folder: Path) -> list[str]:
    memory = StartCache()
    prepared = made(folder).prepare(RGB, 0, memory=memory)
    prepared.record()
    prepared.record()
    return memory.notes


def test_only_what_an_earlier_start_has_left_is_told_as_such(folder: Path) -> None:
    assert notes_of(folder) == []
    (again,) = notes_of(folder)
    assert notes_of(folder) == [again]
    assert f"of an earlier start on these data read from {StartCache().root}" in again


def opened(folder: Path, **changes: Any) -> tuple[Counted, Any]:
    data = made(folder, **changes)
    data.source.decoded.clear()  # tiles are looked for when the folder is opened
    return data.source, data.prepare(RGB, 0, memory=StartCache())


def test_what_one_start_has_read_no_other_reads_again(folder: Path) -> None:
    first, one = opened(folder)
    second, two = opened(folder)
    assert sorted(first.decoded) == list(range(ROWS))
    assert second.decoded == []
    assert one.record() == two.record()
    Image.new("RGB", (8, 8)).save(folder / "03.png")
    third, _ = opened(folder)
    assert sorted(third.decoded) == list(range(ROWS))


def test_a_check_of_some_samples_is_none_of_all(folder: Path) -> None:
    opened(folder, verify="headers")
    source, prepared = opened(folder)
    assert sorted(source.decoded) == sorted(set(range(ROWS)) - set(prepared.splits["train"].tolist()))
    assert not known_good(prepared.reader, StartCache(), "another fingerprint")


def test_nothing_is_remembered_of_data_whose_content_no_fingerprint_sees(folder: Path) -> None:
    data = made(folder)
    data.source.samples = data.source.samples.drop(columns="path")
    assert not marked(data.source, str(folder))[1]
    data.source._paths = None
    data.source.read = lambda index, streams: Images.read(full, index, streams)  # type: ignore[method-assign]
    full = Images(str(folder))
    data.prepare(RGB, 0, memory=StartCache())
    assert not list((folder.parent / "cache").rglob("entry.json"))


def test_a_cache_that_cannot_be_written_stops_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "file"))
    assert len(opened(folder)[0].decoded) == ROWS


@pytest.mark.parametrize(("verify", "headers"), [("all", ROWS), ("headers", ROWS), ("none", 1)])
def test_headers_are_read_at_once_or_when_they_are_needed(folder: Path, verify: str, headers: int) -> None:
    source = made(folder, verify=verify).source
    read = len(set(source.headers)) - len(set(source.decoded))
    assert headers - len(set(source.decoded)) <= read <= headers
    assert source.samples.height.tolist() == [8] * ROWS
    assert any("one of 40 headers is read" in note for note in source.notes) == (verify == "none")


def test_a_header_that_waits_is_refused_when_it_is_read(folder: Path) -> None:
    (folder / "39.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"39\.png.*\(1 of 40 files"):
        made(folder)
    held = made(folder, verify="none")
    with pytest.raises(DataError, match=r"39\.png"):
        held.source.read(39, [])


def test_a_quick_fingerprint_goes_by_size_and_time(folder: Path) -> None:
    source = Images(str(folder))
    quick = fingerprint(source, str(folder), "quick")
    assert quick.startswith("quick:")
    assert fingerprint(source, str(folder), "quick") == quick
    (folder / "00.png").touch()
    assert fingerprint(source, str(folder), "quick") != quick
    assert not comparable(quick, fingerprint(source, str(folder)))
    assert "data.fingerprint=quick" in incomparable(quick, "2:x")
    assert made(folder, fingerprint="quick").prepare(RGB, 0).fingerprint.startswith("quick:")


def test_statistics_of_evenly_spaced_training_samples(folder: Path) -> None:
    source, prepared = opened(folder, statistics=5, verify="headers")
    train = prepared.splits["train"]
    assert source.decoded == train[np.linspace(0, len(train) - 1, 5).round().astype(int)].tolist()
    assert "data.statistics: rgb are scaled by 5 of 28 training samples, evenly spaced" in prepared.notes
    everything = opened(folder)[1]
    assert prepared.streams["rgb"].mean != everything.streams["rgb"].mean
    assert opened(folder, statistics=28)[1].streams == everything.streams
    assert np.allclose(prepared.streams["rgb"].mean, everything.streams["rgb"].mean, atol=0.05)


def test_a_preset_knows_mean_and_deviation(folder: Path) -> None:
    known = {"R": [0.1, 0.2], "G": [0.3, 0.4], "B": [0.5, 0.6]}
    source, prepared = opened(folder, statistics=Preset(name="published", bands=known, samples=3), verify="headers")
    assert len(source.decoded) == 3
    assert prepared.streams["rgb"].mean == prepared.streams["rgb"].fill == (0.1, 0.3, 0.5)
    assert prepared.streams["rgb"].std == (0.2, 0.4, 0.6)
    assert any("those of published" in note for note in prepared.notes)
    with pytest.raises(DataError, match=r"data\.statistics=published: no band 'B' of stream rgb"):
        opened(folder, statistics=Preset(name="published", bands={"R": [0, 1], "G": [0, 1]}))
    with pytest.raises(DataError, match=r"data\.statistics\.bands\.R: \[0, 0\], expected \[mean, deviation above 0\]"):
        Preset(name="published", bands={"R": [0, 0]})
    assert json.dumps(prepared.record())


def test_texts_are_all_read_where_statistics_are_of_a_sample(data: Any, made: Any) -> None:
    words = {"cube": RGB["rgb"], "words": {"kind": "text", "field": "text", "vocab": 30, "length": 8}}
    every, some = (data(made(), statistics=n).prepare(words, 0) for n in ("train", 2))
    assert every.streams["words"] == some.streams["words"]
    assert every.streams["cube"] != some.streams["cube"]


def test_what_texts_lose_is_looked_at_once(
    data: Any, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multimodal_lab.data.streams.tokenizer import Tokens

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    looked: list[int] = []
    real = Tokens.lost
    monkeypatch.setattr(Tokens, "lost", lambda self, texts: looked.append(len(texts)) or real(self, texts))
    words = {"words": {"kind": "text", "field": "text", "vocab": 30, "length": 3}}
    first, second = (data(made()).prepare(words, 0, memory=StartCache(), encodes=True) for _ in range(2))
    splits = len(first.splits)
    assert len(looked) == splits
    assert [n for n in first.notes if "are cut" in n] == [n for n in second.notes if "are cut" in n] != []
    words["words"]["length"] = 4
    data(made()).prepare(words, 0, memory=StartCache(), encodes=True)
    assert len(looked) == 2 * splits
