"""Tiny videos: frame i is grey of brightness 4 i, a white square marks its upper left corner; its sound is a rising tone."""

import json
from fractions import Fraction

import av
import numpy as np

from multimodal_lab.data.readers.activitynet import ActivityNet
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.msrvtt import MsrVtt
from multimodal_lab.data.readers.video import Video

RATE = 16000


def sweep(seconds, rate=RATE):
    """(1, n) float32: a tone whose pitch rises, so that no moment sounds like another."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (200 + 300 * t) * t)).astype(np.float32)[None]


def brightness(frames):
    """The number of each frame of (C, T, H, W), by its middle."""
    return np.rint(frames[0, :, 8:16, 12:24].mean((1, 2)) / 4).astype(int).tolist()


def write(
    path, count=40, codec="libx264", fps=25, size=(32, 24), moments=None, sound=None, seconds=None, colour=None, gop=12
):
    """moments: when each frame is shown, in milliseconds, instead of fps. sound: the codec of a track, as long as the frames or
    of so many seconds. colour: RGB of all."""
    with av.open(str(path), "w") as file:
        video = file.add_stream(codec, rate=fps)
        video.width, video.height = size
        video.pix_fmt = "gray16le" if codec == "ffv1" else "yuv420p"
        video.codec_context.gop_size = gop
        track = file.add_stream(sound, rate=RATE, layout="mono") if sound else None
        for i in range(count):
            x = np.full((*size[::-1], 3), 4 * i if colour is None else colour, np.uint8)
            x[:4, :4] = 255
            frame = av.VideoFrame.from_ndarray(x, format="rgb24")
            if moments is not None:
                frame.pts, frame.time_base = moments[i], Fraction(1, 1000)
                video.codec_context.time_base = Fraction(1, 1000)
            file.mux(video.encode(frame))
        file.mux(video.encode())
        if track is not None:
            heard = av.AudioFrame.from_ndarray(sweep(seconds or count / fps), format="fltp", layout="mono")
            heard.rate, heard.pts, heard.time_base = RATE, 0, Fraction(1, RATE)
            file.mux(track.encode(heard))
            file.mux(track.encode())
    return path


def _written(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write(path, 8)
    return Frames(4)


def video(folder):
    return Video(str(folder), frames=_written(folder, ["run/a.mp4", "run/b.mp4", "walk/c.mp4"]))


def msrvtt(folder):
    frames = _written(folder, [f"videos/video{i}.mp4" for i in range(3)])
    videos = [{"video_id": f"video{i}", "category": i, "split": s} for i, s in enumerate(("train", "validate", "test"))]
    said = [{"video_id": f"video{i % 3}", "caption": f"words {i}"} for i in range(6)]
    (folder / "MSRVTT_data.json").write_text(json.dumps({"videos": videos, "sentences": said}))
    return MsrVtt(str(folder), frames=frames)


def activitynet(folder):
    frames = _written(folder, ["v_a.mp4", "v_b.mp4"])
    facts = {"duration": 0.32, "timestamps": [[0.1, 0.32]], "sentences": ["one"]}
    for name, of in (("train.json", "v_a"), ("val_1.json", "v_b")):
        (folder / name).write_text(json.dumps({of: facts}))
    return ActivityNet(str(folder), frames=frames)
