"""Short clips of sounds, small enough for a page that plays them: MP3, or WAV where libsndfile is not installed."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
import wave
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multimodal_lab import files
from multimodal_lab.data import kinds
from multimodal_lab.data.readers.decode.wave import resample
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.types import Batch, Stream

FILE = "sounds.json"  # beside a run's thumbnails
LIMIT = 200  # samples of a split
SECONDS = 4.0  # of one clip
RATE = 16_000  # Hz at the most
URI = re.compile(r"data:audio/(mpeg|wav);base64,[A-Za-z0-9+/]+=*")


class Clips:
    """Collects clips of the first `limit` samples of each split, of every stream that is heard, as data URIs."""

    def __init__(self, streams: Mapping[str, Stream], *, limit: int = LIMIT) -> None:
        self.limit = limit
        self.streams = {name: s for name, s in streams.items() if kinds.of(s).heard(s)}
        self.found: dict[str, dict[int, str]] = {name: {} for name in self.streams}  # by row
        self._taken: Counter[str] = Counter()
        self._seen = 0

    def add(self, split: str, batch: Batch) -> None:
        """Take what still fits of one batch; batches come in the order of the embeddings' rows."""
        n = min(len(batch), self.limit - self._taken[split])
        for name, stream in self.streams.items():
            for i in range(n):
                if batch.present[name][i]:
                    real = batch.valid[name][i]
                    x = torch.where(real, batch.inputs[name][i].float(), 0.0)[:, : int(real.nonzero().max()) + 1]
                    self.found[name][self._seen + i] = uri(x.cpu().numpy(), float(stream.rate or RATE))
        self._taken[split] += n
        self._seen += len(batch)

    def save(self, path: Path) -> None:
        """Write {stream: {row of the embeddings: data URI}} as JSON, where there is any."""
        if any(self.found.values()):
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_json(path, {k: {str(row): clip for row, clip in own.items()} for k, own in self.found.items()})


def load(path: Path) -> dict[str, dict[int, str]]:
    """What `Clips.save` wrote; {} where there is no file. ValueError for anything that is no clip."""
    if not path.is_file():
        return {}
    found: Any = read_json(path)
    for own in found.values():
        for clip in own.values():
            if not isinstance(clip, str) or not URI.fullmatch(clip):
                raise ValueError("expected data URIs of sounds")
    return {str(name): {int(row): clip for row, clip in own.items()} for name, own in found.items()}


def uri(x: np.ndarray, rate: float) -> str:
    """A sound (C, T) at `rate` Hz as a data URI: its first seconds, the mean of its channels."""
    mono = x.mean(0)[: int(SECONDS * rate)]
    mono = np.clip(mono, -1.0, 1.0).astype(np.float32)  # players have no more than full scale
    if rate > RATE and importlib.util.find_spec("soxr"):
        mono, rate = resample(mono, rate, RATE), RATE
    if importlib.util.find_spec("soundfile"):
        import soundfile

        if "MP3" in soundfile.available_formats() and round(rate) in _MP3:
            out = io.BytesIO()
            soundfile.write(out, mono, round(rate), format="MP3")
            return "data:audio/mpeg;base64," + base64.b64encode(out.getvalue()).decode()
    return "data:audio/wav;base64," + base64.b64encode(_wav(mono, round(rate))).decode()


_MP3 = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz that MPEG has


def _wav(mono: np.ndarray, rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(mono * 32767).astype("<i2").tobytes())
    return out.getvalue()
