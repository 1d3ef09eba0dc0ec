"""Sounds and videos of samples, as a browser plays them: what the run reads of a sample, not the file that it stands in."""

from __future__ import annotations

import importlib.util
import io
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from multimodal_lab.evaluate.thumbnails import stretched
from multimodal_lab.report.listening.wav import gain, wav
from multimodal_lab.serve import pictures

LONGEST = 60.0  # seconds that are played
FRAMES = 600  # of a video
PER_SECOND = 4.0  # frames, where they have no rate: those that were taken evenly over a video of any length
CODEC = "libvpx"  # of WebM, which every browser plays
QUICK = {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "2M"}


def streams(data: Any) -> list[str]:
    """The streams of prepared data that can be played; videos need PyAV, as most readers of theirs do."""
    return [name for name in data.streams if _heard(data, name) or _moves(data, name)]


def of_sample(data: Any, row: int, name: str) -> tuple[bytes, str] | None:
    """The bytes of a WAV or a WebM, and their content type; None where a sample lacks the stream."""
    raw = data.reader.source.read(row, [data.reader.plans[name].stored])
    if (x := raw.inputs[name]) is None:
        return None
    rate = raw.rates.get(name) or data.streams[name].rate or PER_SECOND
    if _heard(data, name):
        x = np.nan_to_num(np.asarray(x[:, : round(LONGEST * rate)], dtype=np.float64).mean(0)) / raw.scale(name)
        return wav(gain(x) * x, round(rate)), "audio/wav"
    x = np.asarray(x)[:, :FRAMES]
    real = ~np.isnan(x).all((0, 2, 3)) if x.dtype.kind == "f" else np.ones(x.shape[1], dtype=bool)
    if not real.any():
        return None
    frames = torch.from_numpy(x[:, real].astype(np.float32)).transpose(0, 1)
    shown = data.reader.kinds[name].picture(frames, data.reader.plans[name].stored)
    known = shown.byte().permute(0, 2, 3, 1).numpy() if x.dtype == np.uint8 else stretched(shown)
    return webm(known, rate), "video/webm"


def webm(frames: np.ndarray, rate: float) -> bytes:
    """(T, h, w, 3) uint8 as a WebM of `rate` frames a second, of even sides, at most those of a picture."""
    import av

    scale = min(1.0, pictures.SIDE / max(frames.shape[1:3]))
    high, wide = (max(2, round(scale * side) // 2 * 2) for side in frames.shape[1:3])
    out = io.BytesIO()
    with av.open(out, "w", format="webm") as file:
        track: Any = file.add_stream(CODEC, rate=Fraction(rate).limit_denominator(1001), options=QUICK)
        track.width, track.height, track.pix_fmt = wide, high, "yuv420p"
        for x in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(x), format="rgb24")
            file.mux(track.encode(frame.reformat(wide, high, "yuv420p")))
        file.mux(track.encode())
    return out.getvalue()


def _heard(data: Any, name: str) -> bool:
    return bool(data.reader.kinds[name].heard(data.streams[name]))


def _moves(data: Any, name: str) -> bool:
    stream = data.streams[name]
    own = stream.steps is not None and data.reader.kinds[name].spatial
    return own and importlib.util.find_spec("av") is not None
