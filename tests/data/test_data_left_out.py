"""Files of an image folder that can't be read are named and counted, and a folder of nothing else is refused."""

import os
import re
import socket

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

X = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)


def dangling(folder):
    (folder / "a.png").symlink_to(folder / "nowhere.png")


def annexed(folder):
    (folder / "a.png").symlink_to(".git/annex/objects/x.png")


def pipe(folder):
    os.mkfifo(folder / "a.png")


def plug(folder):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(folder / "a.png"))


def dvc(folder):
    (folder / "img.dvc").write_text("outs:\n- path: img\n")


def raw(folder):
    (folder / "a.NEF").write_bytes(b"photograph")


def linked(folder):
    (folder / "else").symlink_to(folder.parent)


KINDS = [
    (dangling, r"1 links to files that are not there \(copy the files too\): a\.png"),
    (annexed, r"1 links to files that are not there \(git annex get\): a\.png"),
    (pipe, r"1 pipes, sockets or devices, which are no files: a\.png"),
    (plug, r"1 pipes, sockets or devices, which are no files: a\.png"),
    (dvc, r"1 pointers of DVC without their files \(dvc pull fetches them\): img\.dvc"),
    (raw, r"1 files that end in \.nef, which this reader does not take: a\.NEF"),
    (linked, r"1 links to folders, which are not followed: else"),
]


@pytest.mark.parametrize(("make", "said"), KINDS, ids=lambda v: getattr(v, "__name__", ""))
def test_what_is_left_out_is_told_and_alone_it_is_an_error(tmp_path, make, said):
    folder = tmp_path / "set"
    folder.mkdir()
    make(folder)
    (folder / "readme.txt").write_text("no sample")
    with pytest.raises(DataError, match=rf"no file that ends in \.png, .*; warning: left out: {said}$"):
        Images(str(folder))
    Image.fromarray(X).save(folder / "good.png")
    source = Images(str(folder))
    assert source.samples.id.tolist() == ["good"]
    (note,) = source.notes
    assert re.fullmatch(f"warning: left out: {said}", note)


@pytest.mark.parametrize("suffix", ["webp", "bmp", "gif", "ppm", "jfif", "JPE", "dib"])
def test_pictures_of_other_formats_are_read(tmp_path, suffix):
    image = Image.fromarray(X).quantize(8) if suffix == "gif" else Image.fromarray(X)
    kind = {"jfif": "JPEG", "jpe": "JPEG", "dib": "DIB"}.get(suffix.lower(), suffix.upper())
    image.save(tmp_path / f"a.{suffix}", format=kind, **({"lossless": True} if suffix == "webp" else {}))
    source = Images(str(tmp_path))
    assert source.notes == []
    found = source.read(0, [Stream("rgb", bands=source.bands)]).inputs["rgb"]
    wanted = np.moveaxis(np.array(Image.open(tmp_path / f"a.{suffix}").convert("RGB")), 2, 0)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_moving_picture_is_refused(tmp_path, suffix):
    frames = [Image.fromarray(np.roll(X, i, 0)) for i in range(3)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=rf"a\.{suffix}: 3 images in one file, expected 1"):
        Images(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root opens every folder")
def test_a_folder_that_cannot_be_opened_is_told(tmp_path):
    Image.fromarray(X).save(tmp_path / "good.png")
    (tmp_path / "closed").mkdir(mode=0)
    assert Images(str(tmp_path)).notes == ["warning: left out: 1 folders that can't be opened: closed"]


def test_a_folder_is_listed_once(tmp_path, monkeypatch):
    for name in ("a/1.png", "a/2.png", "b/3.png", "b/4.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(X).save(tmp_path / name, format="png")
    listed, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(os.path.relpath(path, tmp_path)), scandir(path))[1])
    source = Images(root=str(tmp_path))
    assert sorted(listed) == [".", "a", "b"]
    assert any("1 files that end in .heic" in note for note in source.notes)
    (tmp_path / "c").mkdir()
    Image.fromarray(X).save(tmp_path / "c/5.png")
    assert len(Images(root=str(tmp_path)).samples) == 4
