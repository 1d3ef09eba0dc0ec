"""A video's chosen frames and the sound that goes with them, in every container."""

from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import RATE, brightness, sweep, write

from multimodal_lab.data.readers.decode import video, video_frames
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.video_file import read_clip, read_header, read_track
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.resize import Resize

FORMS = {"a.mp4": "libx264", "b.avi": "mpeg4", "c.mkv": "libx264", "d.webm": "libvpx-vp9", "e.mpg": "mpeg1video",
         "f.avi": "libx264", "g.mkv": "ffv1"}  # fmt: skip
EVERY = Frames(None, "dense")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for name, codec in FORMS.items():
        write(folder / name, codec=codec)
    write(folder / "sound.mp4", sound="aac")
    write(folder / "short.mp4", 5)
    moments = np.cumsum([0, *[40, 40, 120] * 13]).tolist()  # every third frame lasts thrice as long
    write(folder / "uneven.mkv", 40, moments=moments)
    return folder


def clip(folder, name, how, **more):
    return read_clip(folder / name, name, how, **more)


@pytest.mark.parametrize("name", FORMS)
def test_frames_are_those_that_decoding_all_in_order_gives(folder, name):
    header = read_header(folder / name, name, Limits())
    assert (header.height, header.width, header.rate, header.sound) == (24, 32, 25, 0)
    form = "rgb48le" if header.bits == 16 else "rgb24"
    with av.open(str(folder / name)) as file:
        frames = [frame.to_ndarray(format=form) for frame in file.decode(video=0)]
    every = np.moveaxis(np.stack(frames), 3, 0)
    assert every.shape[1] == 40
    np.testing.assert_array_equal(clip(folder, name, EVERY).values, every)
    for how, taken in (
        (Frames(8), [(2 * k + 1) * 40 // 16 for k in range(8)]),
        (Frames(4, "dense", stride=3, start="begin"), [0, 3, 6, 9]),
        (Frames(4, "dense", stride=3), [15, 18, 21, 24]),
        (Frames(2, "dense", start=1.2), [30, 31]),
    ):
        found = clip(folder, name, how)
        np.testing.assert_array_equal(found.values, every[:, taken])
        assert found.rate == (None if how.sampling == "uniform" else pytest.approx(25 / how.stride))
    parts = [clip(folder, name, Frames(4, "clip", stride=2, clips=3), clip=k).values for k in range(3)]
    for part, first in zip(parts, (0, 16, 33), strict=True):  # evenly from the first frames to the last
        np.testing.assert_array_equal(part, every[:, first : first + 7 : 2])


def test_a_part_in_seconds_and_a_rate_of_its_own(folder):
    part = clip(folder, "a.mp4", Frames(4), span=(0.4, 0.8))
    assert brightness(part.values) == [11, 13, 16, 18]  # of frames 10 to 19
    slow = clip(folder, "a.mp4", Frames(None, "dense", rate=5))
    assert (brightness(slow.values), slow.rate) == ([0, 5, 10, 15, 20, 25, 30, 35], 5)
    assert brightness(clip(folder, "a.mp4", Frames(None, "dense"), span=(1.2, None)).values) == [*range(30, 40)]


def test_frames_that_last_unequally_are_taken_by_the_moment_they_are_shown(folder):
    taken = brightness(clip(folder, "uneven.mkv", Frames(8)).values)
    shown = np.cumsum([0, *[40, 40, 120] * 13])
    length = shown[-1] + 40
    moments = [(k + 0.5) * length / 8 for k in range(8)]
    expected = [int(np.searchsorted(shown, t, "right")) - 1 for t in moments]
    assert np.abs(np.subtract(taken, expected)).max() <= 1  # the container tells no length of the last frame
    steady = clip(folder, "uneven.mkv", Frames(10, "dense", start="begin", rate=25))
    assert brightness(steady.values) == [0, 1, 2, 2, 2, 3, 4, 5, 5, 5]
    with pytest.raises(DataError, match=r"uneven.mkv: frames at a variable rate, .*variable_rate=timestamps"):
        clip(folder, "uneven.mkv", Frames(4, variable_rate="refuse"))


@pytest.mark.parametrize("how", [Frames(8), Frames(8, "dense"), Frames(8, "clip", clips=2)])
def test_a_video_shorter_than_the_window_is_refused_padded_or_repeated(folder, how):
    with pytest.raises(DataError, match=r"short.mp4: 5 frames, and data.source.frames.count=8 .*short=pad .* repeat"):
        clip(folder, "short.mp4", how)
    padded = clip(folder, "short.mp4", Frames(8, how.sampling, clips=how.clips, short="pad"))
    assert brightness(padded.values) == [0, 1, 2, 3, 4]  # the batch pads them
    repeated = brightness(clip(folder, "short.mp4", Frames(8, how.sampling, clips=how.clips, short="repeat")).values)
    assert repeated == ([0, 0, 1, 2, 2, 3, 4, 4] if how.sampling == "uniform" else [0, 1, 2, 3, 4, 4, 4, 4])


@pytest.mark.parametrize("rate", [None, 8000])
def test_sound_begins_and_ends_with_the_frames(folder, rate):
    assert read_header(folder / "sound.mp4", "", Limits()).sound == RATE
    file = folder / "sound.mp4"
    for how, k, span, start, end in (
        (Frames(8), 0, (None, None), 0, 1.6),
        (Frames(8), 0, (0.4, 1.2), 0.4, 1.2),
        (Frames(8, "dense", stride=2), 0, (None, None), 12 / 25, 28 / 25),
        (Frames(4, "clip", clips=2), 1, (None, None), 36 / 25, 1.6),
    ):
        heard = read_track(file, "sound.mp4", how, rate=rate, span=span, clip=k)
        assert heard.rate == (rate or RATE)
        true = sweep(1.6, heard.rate)[0][round(start * heard.rate) : round(end * heard.rate)]
        assert heard.values.shape == (1, len(true))
        assert np.abs(heard.values[0] - true).mean() < 0.01  # a millisecond late would be .25
    long = write(folder / "silent_end.mkv", 40, sound="pcm_s16le", seconds=1.2)
    behind = read_track(long, "silent_end.mkv", Frames(8), rate=rate).values[0]
    assert np.isfinite(behind).sum() == pytest.approx(0.75 * len(behind), abs=2)
    assert np.isnan(behind[-100:]).all()
    with pytest.raises(DataError, match=r"a.mp4: no audio track; its tracks: video"):
        read_track(folder / "a.mp4", "a.mp4", Frames(8))


def test_colour_grey_and_depth(tmp_path):
    write(tmp_path / "red.mp4", 3, colour=(200, 40, 20))
    rgb, depth = (clip(tmp_path, "red.mp4", EVERY, colour=c).values for c in ("rgb", "depth"))
    assert np.abs(rgb[:, 0, 12, 20].astype(int) - (200, 40, 20)).max() < 12
    luma = np.array([0.299, 0.587, 0.114]) @ rgb[:, 0, 12, 20]
    assert (rgb.shape, depth.shape) == ((3, 3, 24, 32), (1, 3, 24, 32))
    assert abs(luma - depth[0, 0, 12, 20]) < 4


@pytest.mark.parametrize("fit", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("rule", ["area", "bicubic"])
def test_frames_made_small_as_they_are_decoded_are_what_resizing_whole_numbers_gives(folder, fit, rule):
    resize = Resize(10, rule, fit, 0.8 if fit == "crop" else 1.0)
    full = clip(folder, "a.mp4", Frames(3)).values
    small = clip(folder, "a.mp4", Frames(3), resize=resize).values
    assert small.nbytes < full.nbytes / 2
    for t in range(3):  # Pillow and torch round in other places
        a, b = resize.whole(small[:, t]), resize.whole(full[:, t])
        assert a.shape == b.shape == (3, 10, 10)
        assert np.abs(a.astype(int) - b).max() <= 1
    np.testing.assert_array_equal(clip(folder, "a.mp4", Frames(3), resize=Resize(224, rule, fit)).values, full)


def test_only_what_is_asked_for_is_decoded(folder):
    """A key frame every 12: the frames between the last one before and the one that is wanted, and no others."""
    seen = []

    class Watched:
        def __init__(self, container):
            self.seek = container.seek
            self.container = container

        def decode(self, track):
            for frame in self.container.decode(track):
                seen.append(frame.pts)
                yield frame

    with video._opened(str(folder / "a.mp4")) as (container, track):
        times = video.times_of(container, track, str(folder / "a.mp4"))
        (frame,) = video_frames._decoded(Watched(container), track, times, [30], True)
    assert frame.pts == times.ticks[30]
    assert 1 <= len(seen) <= 12


def test_limits_hold_before_anything_is_allocated(folder):
    with pytest.raises(DataError, match=r"a.mp4: 40 frames of 24 x 32 pixels are 30,720 pixels, the limit is 2,000"):
        clip(folder, "a.mp4", EVERY, limits=Limits(pixels=2000))
    with pytest.raises(DataError, match=r"a.mp4: its header claims 768 pixels, the limit is 500"):
        read_header(folder / "a.mp4", "a.mp4", Limits(pixels=500))


def test_a_playlist_that_calls_itself_a_video_opens_no_other_file(folder, tmp_path):
    for name, text in (
        ("a.mp4", f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.6,\n{folder}/a.mp4\n#EXT-X-ENDLIST\n"),
        ("b.mkv", f"ffconcat version 1.0\nfile '{folder}/a.mp4'\n"),
        ("c.avi", "not a video"),
    ):
        Path(tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=name):
            read_header(tmp_path / name, name, Limits())
