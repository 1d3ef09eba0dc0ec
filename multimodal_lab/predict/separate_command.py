"""The words of `python -m multimodal_lab.predict separate run=DIR file=MIX.wav out=DIR`, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.config.problem import ConfigError
from multimodal_lab.text import expected_one_of

USAGE = """       python -m multimodal_lab.predict separate run=DIR file=MIX.wav [sources=[a,b]] [STREAM=[FILE,FILE]] [out=DIR] …

separate parts a mixture of sounds with a run whose head separates them (head=separator), and writes a WAV for each part.

file      WAV, FLAC, Ogg, MP3 or AIFF; the mean of its channels is taken, at the rate of the run
sources   of a run that is asked by a label: the classes whose sounds are wanted (default: every class)
STREAM    of a run that is asked by a stream, such as video: what shows each source; .npy holds an array as the run reads them
head      which head, where several separate
out       a directory (default: DIR/separated)"""
WORDS = ("file", "sources", "head")


def tell(words: Mapping[str, str], folder: Path, rest: list[str]) -> str:
    """Write the sounds; what was written where."""
    if "file" not in words:
        raise ConfigError(f"file=MIX.wav is missing\n{USAGE}")
    from multimodal_lab.data.readers.audio_file import read_sound
    from multimodal_lab.files import named, write_bytes
    from multimodal_lab.predict import load
    from multimodal_lab.predict.separate import head_of, levels, separate
    from multimodal_lab.report.listening.wav import gain, wav

    file, out = Path(words["file"]).expanduser(), Path(words.get("out", folder / "separated")).expanduser()
    if not file.is_file():
        raise ConfigError(f"file={file}: no file there")
    predictor = load(folder, words.get("device", "auto"))
    _, head = head_of(predictor, words.get("head"))
    condition = _conditions(rest, head.condition if head.condition in predictor.streams else None)
    mixture = read_sound(file, str(file), rate=predictor.streams[head.sound].rate, channels="mono").values[0]
    sources = _names(words["sources"]) if "sources" in words else None
    parted = separate(predictor, mixture, sources=sources, condition=condition, head=words.get("head"))
    loudest = gain(*parted.sounds)
    files = [out / f"{named(Path(name).stem)}.wav" for name in parted.names]
    if len({*files}) < len(files):
        files = [out / f"{i + 1}_{path.name}" for i, path in enumerate(files)]
    out.mkdir(parents=True, exist_ok=True)
    for path, x in zip(files, parted.sounds, strict=True):
        write_bytes(path, wav(loudest * x, round(parted.rate)))
    level = levels(parted, mixture)
    told = ", ".join(f"{path.name} ({level[name]:+.1f} dB)" for path, name in zip(files, parted.names, strict=True))
    quieter = "" if loudest == 1 else f", all made quieter by a factor of {loudest:.3g}"
    return f"{file.name} by {predictor.checkpoint}: {told} of the mixture{quieter}, in {out}"


def _conditions(rest: list[str], stream: str | None) -> list[Any] | None:
    """What shows each source, an array of a .npy or a path; None where nothing is given."""
    import numpy as np

    found: list[Any] = []
    for word in rest:
        key, _, value = word.partition("=")
        if key != stream:
            known = [*WORDS, "out", "device", *([stream] if stream else [])]
            raise ConfigError(f"{word}: no word of a separation; {expected_one_of(key, known)}")
        for path in map(Path, _names(value)):
            if not path.is_file():
                raise ConfigError(f"{key}={path}: no file there")
            found.append(np.load(path, allow_pickle=False) if path.suffix == ".npy" else path)
    return found or None


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.strip("[]").split(",") if name.strip()]
