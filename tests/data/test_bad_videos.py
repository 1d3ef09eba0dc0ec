"""Files that are no whole video: one sentence that names the file, where their header can tell, else where they are read."""

import av
import numpy as np
import pytest
from made_videos import write

from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.video_file import read_clip, read_header, read_track
from multimodal_lab.data.source import DataError


def moved_to_front(folder):
    """An MP4 whose index stands before its frames."""
    with (
        av.open(str(folder / "index_first.mp4"), "w", options={"movflags": "faststart"}) as made,
        av.open(str(folder / "a.mp4")) as given,
    ):
        track = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                made.mux(packet)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    for name, codec in (("a.mp4", "libx264"), ("b.mkv", "libx264"), ("c.avi", "mpeg4"), ("d.webm", "libvpx-vp9")):
        write(folder / name, codec=codec, size=(320, 240))
    moved_to_front(folder)
    for name in ("a.mp4", "index_first.mp4", "b.mkv", "c.avi", "d.webm"):
        whole = (folder / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(whole[: len(whole) * 6 // 10])
    holed = bytearray((folder / "index_first.mp4").read_bytes())
    middle = len(holed) * 6 // 10
    holed[middle : middle + 400] = np.random.default_rng(0).integers(0, 255, 400, dtype=np.uint8).tobytes()
    (folder / "holed.mp4").write_bytes(holed)
    for name in ("no_frames.mp4", "no_frames.mkv"):
        with av.open(str(folder / name), "w") as file:
            track = file.add_stream("libx264", rate=25)
            track.width, track.height, track.pix_fmt = 32, 24, "yuv420p"
            file.start_encoding()
            file.mux(track.encode())
    (folder / "empty.mp4").write_bytes(b"")
    with av.open(str(folder / "sound.mp4"), "w") as file:
        track = file.add_stream("aac", rate=16000, layout="mono")
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        heard.rate, heard.pts = 16000, 0
        file.mux(track.encode(heard))
        file.mux(track.encode())
    return folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cut_a.mp4", "(a video without tracks, as one that is cut short|no video track|not a whole, readable video)"),
        ("cut_index_first.mp4", r"a video that is cut short: its last frame ends at byte [\d,]+, the file at"),
        ("no_frames.mp4", "a video without tracks"),
        ("no_frames.mkv", "not a whole, readable video"),
        ("empty.mp4", "not a whole, readable video: Invalid data"),
        ("sound.mp4", "no video track; its tracks: audio"),
    ],
)
def test_a_header_tells(folder, name, said):
    with pytest.raises(DataError, match=rf"^{name}: {said}"):
        read_header(folder / name, name, Limits())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cut_b.mkv", r"a video that is cut short: its header says 1.6 s, and its frames end at 0\.\d+"),
        ("cut_d.webm", r"a video that is cut short: its header says 1.6 s, and its frames end at 0\.\d+"),
        ("cut_c.avi", r"a video that is cut short: its header says 40 frames, and \d+ are there"),
        (
            "holed.mp4",
            r"not a whole, readable video: Invalid data|frame \d+ is damaged|a video that is cut short or damaged",
        ),
    ],
)
def test_reading_tells(folder, name, said):
    read_header(folder / name, name, Limits())
    for how in (Frames(8), Frames(None, "dense")):
        with pytest.raises(DataError, match=rf"^{name}: ({said})"):
            read_clip(folder / name, name, how)


def test_a_part_that_is_not_there(folder):
    for span, said in (
        ((2.0, 3.0), r"from 2 to 3 s, and the video has 1.6 s"),
        ((1.0, 0.5), r"from 1 to 0.5 s, .*expected 0 <= start < end"),
        ((0.5, 4.0), r"ends at 4 s, and the video at 1.6 s; data.source.frames.beyond=cut"),
    ):
        for read in (read_clip, read_track):
            with pytest.raises(DataError, match=rf"^a.mp4: .*{said}"):
                read(folder / "a.mp4", "a.mp4", Frames(8), span=span)
    assert read_clip(folder / "a.mp4", "a.mp4", Frames(8, beyond="cut"), span=(0.5, 4.0)).values.shape[1] == 8


def test_a_video_that_is_turned_is_shown_upright(tmp_path):
    with av.open(str(tmp_path / "turned.mp4"), "w") as file:
        track = file.add_stream("libx264", rate=25)
        track.width, track.height, track.pix_fmt = 32, 24, "yuv420p"
        track.set_display_rotation(90)
        x = np.zeros((24, 32, 3), np.uint8)
        x[:8, :8] = 255
        for _ in range(3):
            file.mux(track.encode(av.VideoFrame.from_ndarray(x, format="rgb24")))
        file.mux(track.encode())
    found = read_clip(tmp_path / "turned.mp4", "turned.mp4", Frames(2), colour="grey").values
    assert found.shape == (1, 2, 32, 24)
    assert found[0, :, -4, 4].min() > 200  # anticlockwise: the upper left corner becomes the lower left
    assert found[0, :, 4, 4].max() < 50
