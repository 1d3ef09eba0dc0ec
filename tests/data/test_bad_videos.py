"""Files that are no whole video: one sentence that names the file, where their header can tell, else where they are read."""

import struct

import av
import made_videos
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


def patched(file, box, offset, form, *values):
    """The file with numbers written so far behind the name of a box."""
    content = bytearray(file.read_bytes())
    struct.pack_into(form, content, content.index(box) + 4 + offset, *values)
    file.write_bytes(content)
    return file


STRAIGHT = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)]


@pytest.mark.parametrize("matrix", [*STRAIGHT, *((0, a, d, 0) for a, _, _, d in STRAIGHT)])
def test_every_turn_and_mirror_is_shown_as_the_header_says(matrix, folder, tmp_path):
    a, b, c, d = matrix
    made_videos.write(tmp_path / "v.mp4", 2)
    stored = read_clip(tmp_path / "v.mp4", "v.mp4", Frames(1), colour="grey").values[0, 0]
    patched(tmp_path / "v.mp4", b"tkhd", 40, ">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    found = read_clip(tmp_path / "v.mp4", "v.mp4", Frames(1), colour="grey").values[0, 0]
    q, p = np.indices(stored.shape)
    x, y = a * p + c * q, b * p + d * q
    expected = np.zeros((np.ptp(y) + 1, np.ptp(x) + 1), np.uint8)
    expected[y - y.min(), x - x.min()] = stored
    np.testing.assert_array_equal(found, expected)


def test_a_turn_that_is_no_right_angle_is_refused(tmp_path):
    s = int(65536 * 0.5**0.5)
    patched(made_videos.write(tmp_path / "v.mp4", 2), b"tkhd", 40, ">9i", s, s, 0, -s, s, 0, 0, 0, 1 << 30)
    with pytest.raises(DataError, match=r"turned by 45 degrees, or sheared; expected a multiple of 90"):
        read_clip(tmp_path / "v.mp4", "v.mp4", Frames(1))


def test_frames_that_an_edit_list_leaves_out_are_not_shown(tmp_path):
    file = made_videos.write(tmp_path / "v.mp4", 20, gop=30)  # the one key frame is among them
    with av.open(str(file)) as container:
        tick = container.streams.video[0].time_base
    length, begin = struct.unpack(">Ii", file.read_bytes()[(i := file.read_bytes().index(b"elst") + 12) : i + 8])
    patched(file, b"elst", 8, ">Ii", length - 200, begin + round(0.2 / tick))
    assert made_videos.brightness(read_clip(file, "v.mp4", Frames(None, "dense")).values) == [*range(5, 20)]
    assert made_videos.brightness(read_clip(file, "v.mp4", Frames(3, "dense", start="begin")).values) == [5, 6, 7]


@pytest.mark.parametrize(("codec", "name"), [("libx264", "v.mp4"), ("mpeg4", "v.mp4"), ("mpeg2video", "v.mpg")])
def test_damage_that_a_codec_conceals_is_refused_or_taken_by_name(codec, name, tmp_path):
    file, draw = tmp_path / name, np.random.default_rng(0)
    scene = draw.normal(128, 40, (64, 96, 3))
    with av.open(str(file), "w") as made:
        track = made.add_stream(codec, rate=25)
        track.width, track.height, track.pix_fmt = 96, 64, "yuv420p"
        track.codec_context.gop_size, track.codec_context.max_b_frames = 30, 0
        track.options = {"sc_threshold": "0", "coder": "vlc"} if codec == "libx264" else {}
        for _ in range(16):
            x = (scene + draw.normal(0, 12, scene.shape)).clip(0, 255).astype(np.uint8)
            made.mux(track.encode(av.VideoFrame.from_ndarray(x, format="rgb24")))
        made.mux(track.encode())
    with av.open(str(file)) as container:
        _, _, _, packet = [p for p in container.demux(video=0) if p.size][:4]
        begin, size = packet.pos, packet.size
    content = bytearray(file.read_bytes())
    content[begin + size // 4 : begin + size - 8] = draw.bytes(size - 8 - size // 4)
    file.write_bytes(content)
    with pytest.raises(
        DataError, match=rf"^{name}: .*data\.source\.frames\.damaged=conceal takes what the decoder makes of it"
    ):
        read_clip(file, name, Frames(1, "dense", start=0.4))  # frame 10 is decoded from what is damaged
    assert read_clip(file, name, Frames(None, "dense", damaged="conceal")).values.shape[1] >= 15
    assert read_clip(file, name, Frames(1, "dense", start="begin")).values.shape[:2] == (3, 1)  # before it all is whole
