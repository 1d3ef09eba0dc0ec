"""Mixtures, their parts and what was made of them, to be seen and heard: one HTML file without scripts."""

from __future__ import annotations

import base64
import io
import logging
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from multimodal_lab import files
from multimodal_lab.evaluate.sound_samples import FILE
from multimodal_lab.files import parse_json
from multimodal_lab.report.listening.wav import gain, wav
from multimodal_lab.runs.guarded_arrays import read_npz

log = logging.getLogger(__name__)
TEMPLATE = Path(__file__).with_name("template.html.j2")
RANGE = 60.0  # dB below the loudest cell of a mixture that a spectrogram shows
SIDE = (320, 160)  # pixels of a picture, width and height


def separation(folder: Path, run_dir: Path) -> list[Path]:
    """`separation_<head>.html`: for some held-out mixtures spectrograms, masks and sounds, with the SI-SDR of each estimate."""
    path = run_dir / FILE
    if not path.is_file():
        log.warning("no sounds to hear: no head of this run separates any (head=separator)")
        return []
    found = read_npz(path)
    facts = parse_json(found.pop("facts").tobytes())
    paths = []
    for head, own in facts["heads"].items():
        arrays = {k.removeprefix(f"{head}."): v for k, v in found.items() if k.startswith(f"{head}.")}
        out = folder / f"separation_{files.named(head)}.html"
        out.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(out, html(head, own, arrays))
        paths.append(out)
    return paths


def html(head: str, facts: Any, arrays: dict[str, np.ndarray]) -> str:
    """The page. Jinja escapes every value; the policy in its head forbids scripts and anything from elsewhere."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    mixtures = [_mixture(i, facts, arrays) for i in range(len(arrays["mixture"]))]
    improvement = float(np.mean(facts["si_sdr_improvement"])) if facts["si_sdr_improvement"] else float("nan")
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(head=head, mixtures=mixtures, improvement=improvement, asked=facts["condition"])


def _mixture(i: int, facts: Any, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """One row of the page: a mixture and its two sources, each with truth, estimate and mask."""
    real = arrays["real"][i]
    mixture, sources, estimates = (arrays[k][i][..., real] for k in ("mixture", "sources", "estimates"))
    louder = gain(mixture, *sources, *estimates)
    top = _decibels(mixture, facts).max()

    def heard(x: np.ndarray) -> dict[str, str]:
        sound = base64.b64encode(wav(louder * x, round(facts["rate"]))).decode()
        shown = (_decibels(x, facts) - top + RANGE) / RANGE
        return {"sound": f"data:audio/wav;base64,{sound}", "picture": _png(shown, "magma")}

    parts = [
        {
            "name": facts["ids"][i][k], "class": facts["classes"][i][k], "true": heard(sources[k]),
            "told": heard(estimates[k]), "mask": _png(arrays["mask"][i][k].astype(np.float32), "gray"),
            "si_sdr": facts["si_sdr"][i][k], "improvement": facts["si_sdr_improvement"][i][k],
            "frame": _picture(arrays["frames"][i][k]) if "frames" in arrays else "",
        }
        for k in range(2)
    ]  # fmt: skip
    return {"mixture": heard(mixture), "parts": parts}


def _decibels(x: np.ndarray, facts: Any) -> np.ndarray:
    """(T,) to (F, L), the magnitudes of its short-time Fourier transform in dB."""
    import scipy.signal

    n_fft, hop = facts["n_fft"], facts["hop_length"]
    x = x if len(x) >= n_fft else np.pad(x, (0, n_fft - len(x)))
    _, _, found = scipy.signal.stft(x, nperseg=n_fft, noverlap=n_fft - hop)
    levels: np.ndarray = 20 * np.log10(np.abs(found) + 1e-9)
    return levels


def _png(x: np.ndarray, colours: str) -> str:
    """(F, L) of 0 to 1 as a picture of 64 colours, low frequencies below."""
    levels = Image.fromarray((x[::-1].clip(0, 1) * 255).astype(np.uint8)).resize(SIDE, Image.Resampling.BILINEAR)
    picture = Image.fromarray(np.asarray(levels) // 4)
    picture.putpalette(matplotlib.colormaps[colours](np.linspace(0, 1, 64), bytes=True)[:, :3].tobytes())
    return _encoded(picture)


def _picture(pixels: np.ndarray) -> str:
    return _encoded(Image.fromarray(pixels))


def _encoded(picture: Image.Image) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
