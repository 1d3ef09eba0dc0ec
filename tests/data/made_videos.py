"""Tiny videos: frame i is grey of brightness 4 i, a white square marks its upper left corner; its sound is a rising tone."""

from fractions import Fraction

import av
import numpy as np

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
