"""Benchmark: decoding of videos, against PyAV's own loop over the same file.

python scripts/bench/video.py [rounds]

Made-up videos in a temporary folder, page cache warm. The bare loop decodes from the first frame to the last that is wanted
and keeps the wanted ones as arrays; ours goes through the process that decodes, and seeks. Ratios of the CPU time of both
processes, in rotated order.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import numpy as np
from _measure import ratios, row

from multimodal_lab.data.readers import decoder_process
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.video_file import read_clip

LIMITS = Limits(pixels=10**9)
SETS = (("MPEG-4 320 x 240, 7 s", "clip.avi", "mpeg4", (320, 240), 175, 12),
        ("H.264 640 x 360, 10 s", "clip.mp4", "libx264", (640, 360), 250, 25))  # fmt: skip


def write(path: Path, codec: str, size: tuple[int, int], count: int, gop: int) -> None:
    """A smooth picture that moves."""
    noise = np.random.default_rng(0).normal(0, 1, (size[1] + count, size[0] + 2 * count, 3))
    smooth = noise.cumsum(0).cumsum(1)
    picture = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    with av.open(str(path), "w") as file:
        track = file.add_stream(codec, rate=25)
        track.width, track.height = size
        track.pix_fmt, track.codec_context.gop_size = "yuv420p", gop
        for i in range(count):
            x = np.ascontiguousarray(picture[i : i + size[1], 2 * i : 2 * i + size[0]])
            file.mux(track.encode(av.VideoFrame.from_ndarray(x, format="rgb24")))
        file.mux(track.encode())


def bare(path: Path, wanted: list[int]) -> np.ndarray:
    """(T, H, W, 3), as a loop over PyAV's frames gives them."""
    taken, found = {*wanted}, []
    with av.open(str(path)) as file:
        for i, frame in enumerate(file.decode(video=0)):
            if i in taken:
                found.append(frame.to_ndarray(format="rgb24"))
            if i == wanted[-1]:
                break
    return np.stack(found)


def ours(path: Path, how: Frames) -> np.ndarray:
    """(3, T, H, W), as a data set's reader gives them."""
    return read_clip(path, path.name, how, limits=LIMITS).values


def cpu() -> float:
    """Seconds of the CPU that this process and those that decode for it have taken."""
    pool = decoder_process._pool
    ticks = 0
    for decoder in (*pool.waiting, *pool.lent):
        fields = Path(f"/proc/{decoder.process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def repeated(work: Callable[[], object], times: int) -> Callable[[], None]:
    """So often that a tick of the kernel's clock is little."""
    return lambda: [work() for _ in range(times)] and None


def main() -> None:
    """A line for each way to choose frames."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as folder:
        for what, name, codec, size, count, gop in SETS:
            path = Path(folder) / name
            write(path, codec, size, count, gop)
            for called, how, wanted in (
                ("all frames", Frames(None, "dense"), list(range(count))),
                ("16, uniform", Frames(16), [(2 * k + 1) * count // 32 for k in range(16)]),
                ("16 side by side", Frames(16, "dense"), list(range((count - 16) // 2, (count - 16) // 2 + 16))),
            ):
                assert np.array_equal(np.moveaxis(bare(path, wanted), 3, 0), ours(path, how))
                often = 5 if len(wanted) > 16 else 10
                work = {"PyAV's loop": partial(bare, path, wanted), "ours": partial(ours, path, how)}
                found = ratios({k: repeated(w, often) for k, w in work.items()}, "PyAV's loop", rounds, cpu)
                row(f"{what}: {called}", found["ours"], goal=1.0, note=f"{found['ours'].ms / often:.1f} ms each")


if __name__ == "__main__":
    main()
