"""Benchmark: the log-mel front end beside librosa, and reading sounds beside soundfile in a bare loop.

python scripts/bench/audio.py [FOLDER of sounds of one rate and length] [rounds]

Without a folder, sixteen clips of five seconds at 16 kHz are made. Ratios of CPU time (of wall time, where processes beside this
one work); median and 25..75 % over rounds in which every candidate runs once, in rotated order. Equality is printed first.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import librosa
import numpy as np
import soundfile
import torch
from _measure import ratios, row

from multimodal_lab.backbone.log_mel import LogMel
from multimodal_lab.data.readers.audio_file import read_sound
from multimodal_lab.types import Band, Stream

RATE, SECONDS, COUNT = 16000, 5, 16
SETTINGS = {"n_fft": 1024, "hop_length": 320, "n_mels": 64, "fmin": 50.0}


def made(folder: Path) -> None:
    """Tones in noise, as Ogg Vorbis."""
    rng, t = np.random.default_rng(0), np.arange(RATE * SECONDS) / RATE
    for i in range(COUNT):
        wave = 0.3 * np.sin(2 * np.pi * 200 * (i + 1) * t) * np.exp(-t) + 0.01 * rng.standard_normal(len(t))
        soundfile.write(folder / f"{i}.ogg", wave.astype(np.float32), RATE)


def theirs(wave: np.ndarray) -> np.ndarray:
    """(T,) to (M, F) in decibels."""
    found: np.ndarray = librosa.power_to_db(librosa.feature.melspectrogram(y=wave, sr=RATE, **SETTINGS))
    return found


def mel(files: list[Path], rounds: int) -> None:
    """Ours for the batch, librosa's clip by clip and for the batch."""
    waves = np.stack([soundfile.read(file, dtype="float32")[0][: RATE * SECONDS] for file in files])
    module = LogMel(Stream("s", "vector", (Band("mono"),), steps=waves.shape[1], rate=RATE), mean=0, std=1, **SETTINGS)
    x, valid = torch.from_numpy(waves)[:, None], torch.ones(waves.shape, dtype=torch.bool)
    apart = max(
        float(np.abs(theirs(w) - y.numpy()).max()) for w, y in zip(waves, module(x, valid)[0][:, 0], strict=True)
    )
    print(f"largest difference from librosa: {apart:.1e} dB")
    work = {
        "librosa": lambda: [theirs(w) for w in waves],
        "ours": lambda: module(x, valid),
        "librosa, a batch": lambda: theirs(waves),
    }
    found = ratios(work, "librosa", rounds)
    batch = found["librosa, a batch"]
    row("log-mel of sixteen clips", found["ours"], goal=1.0, peers=[("librosa, a batch", batch)])


def reading(files: list[Path], rounds: int) -> None:
    """Files decoded in a process of their own, as every reader has it, beside soundfile's call in this one; wall time."""
    work = {
        "soundfile": lambda: [soundfile.read(file, dtype="float32")[0] for file in files],
        "ours": lambda: [read_sound(file, file.name, check=False) for file in files],
    }
    found = ratios(work, "soundfile", rounds, time.perf_counter)
    row("decoding of sixteen clips, one after another", found["ours"], note="in another process, wall time")


def main() -> None:
    """Print the rows."""
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        if len(sys.argv) < 2:
            made(folder)
        files = sorted(p for p in folder.iterdir() if p.suffix in (".ogg", ".wav", ".flac"))[:COUNT]
        mel(files, rounds)
        reading(files, rounds)
    print(f"at {time.strftime('%H:%M')}, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
