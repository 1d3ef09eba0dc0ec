"""The words of `python -m multimodal_lab.predict run=DIR scene=FILE out=FILE.tif`, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.config.problem import ConfigError
from multimodal_lab.text import expected_one_of

USAGE = """       python -m multimodal_lab.predict run=DIR scene=FILE|scene.STREAM=FILE … [out=FILE.tif] [window=N] …

A run whose head tells a map (head=segment) tells every pixel of a scene of any size: GeoTIFF, ENVI, .npy, HDF5 or .mat. Written
are OUT, classes by their stored values (or numbers), where the scene lies, with its legend and a picture beside it.

scene          a file that holds the bands of all streams; scene.s1=… scene.s2=… where each has its own, on one grid
bands          the names of its bands, where the file has none: [B02,B03,B04], or run: those of the run, in that order; bands.s1=…
key, axes      the name of the array in HDF5 or .mat; hwc (default) or chw, of an array
window         pixels a side that the network sees at once (default: as the run was trained), overlap, how many neighbours share
               (a quarter), margin, how many at a window's edge count nothing (a quarter of that)
probabilities  true: also OUT_probabilities.tif, (H, W, K)
head           which head, where several tell a map
"""
WORDS = ("scene", "bands", "key", "axes", "window", "overlap", "margin", "probabilities", "head")
DOTTED = ("scene", "bands", "key")


def is_asked(words: list[str]) -> bool:
    """Whether a command line names a scene."""
    return any(word.startswith(("scene=", "scene.")) for word in words)


def tell(words: Mapping[str, str], folder: Path, rest: list[str]) -> str:
    """Write the map; what was written where."""
    given: dict[str, dict[str, str]] = {kind: {"": words[kind]} if kind in words else {} for kind in DOTTED}
    for word in rest:
        kind, _, value = word.partition("=")
        first, dot, stream = kind.partition(".")
        if not (dot and first in DOTTED and value):
            near = expected_one_of(kind, [*WORDS, "out", "device", "scene.STREAM"])
            raise ConfigError(f"{word}: no word of a scene; {near}")
        given[first][stream] = value
    whole = {name: _whole(name, words[name]) for name in ("window", "overlap", "margin") if name in words}
    axes, chances = words.get("axes", "hwc"), words.get("probabilities", "false")
    if axes not in ("hwc", "chw"):
        raise ConfigError(f"axes={axes}: {expected_one_of(axes, ('hwc', 'chw'))}")
    if chances not in ("true", "false"):
        raise ConfigError(f"probabilities={chances}: {expected_one_of(chances, ('true', 'false'))}")
    out = Path(words.get("out", folder / "map.tif")).expanduser()
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"out={out}: {expected_one_of(out.suffix or 'nothing', ('.tif', '.tiff'))} as its ending")
    from multimodal_lab.predict import load, map_file
    from multimodal_lab.predict.scene import Asked, SceneTeller

    asked = Asked(
        {n: Path(f).expanduser() for n, f in given["scene"].items()}, {n: _names(v) for n, v in given["bands"].items()},
        given["key"], "hwc" if axes == "hwc" else "chw", words.get("head"), **whole,
    )  # fmt: skip
    teller = SceneTeller(load(folder, words.get("device", "auto")), asked)
    for note in teller.notes:
        print(note, flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    raster = teller.raster
    size = (raster.height, raster.width)
    if teller.count:
        counts = map_file.write_classes(
            out, teller, size, teller.classes, teller.ignored, raster.geo, chances == "true"
        )
        said = ", ".join(f"{n} {c / (size[0] * size[1]):.1%}" for n, c in _most(counts))
    else:
        said = ", ".join(f"{n} {v:g}" for n, v in map_file.write_numbers(out, teller, size, raster.geo).items())
    return f"{teller.label} of {size[0]} x {size[1]} pixels by {teller.predictor.checkpoint}: {said} in {out}"


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(((n, c) for n, c in counts.items() if c), key=lambda one: -one[1])[:8]


def _whole(name: str, text: str) -> int:
    if not text.isdecimal() or (name == "window" and text == "0"):
        raise ConfigError(f"{name}={text}: expected a whole number of pixels")
    return int(text)


def _names(text: str) -> Any:
    return "run" if text == "run" else [name.strip() for name in text.strip("[]").split(",") if name.strip()]
