"""BSS Eval: how much of an estimated source is the true one, interference of the others, and artefacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import cho_factor, cho_solve, toeplitz

FILTER = 512  # taps of the distortion that is forgiven


@dataclass(frozen=True)
class BssEval:
    """In dB, (S,) each: signal to distortion, to interference and to artefacts."""

    sdr: np.ndarray
    sir: np.ndarray
    sar: np.ndarray


def bss_eval(reference: np.ndarray, estimated: np.ndarray, taps: int = FILTER) -> BssEval:
    """Of S estimates (S, T), each against its own of S references (S, T); Vincent, Gribonval & Févotte 2006, section III-B.

    An estimate is projected on its reference filtered by any filter of `taps` samples, which is the target, then on all
    references filtered so: what the second adds is interference, what is left are artefacts (equations 8-12, 18). As `mir_eval`'s
    `bss_eval_sources(…, compute_permutation=False)`. ValueError for a silent reference or estimate, and for other shapes.
    """
    if reference.shape != estimated.shape or reference.ndim != 2:
        raise ValueError(
            f"bss_eval: references {reference.shape} and estimates {estimated.shape}, expected (S, T) both"
        )
    for what, x in (("reference", reference), ("estimate", estimated)):
        if silent := np.flatnonzero(~x.any(1)).tolist():
            raise ValueError(f"bss_eval: {what} {silent[0]} is silent, of which no ratio is defined")
    count, steps = reference.shape
    length = steps + taps - 1
    n = next_fast_len(length + taps, real=True)
    ref, est = (rfft(x.astype(np.float64), n, axis=1) for x in (reference, estimated))
    blocks = [[_correlation(ref[i] * ref[j].conj(), n, taps) for j in range(count)] for i in range(count)]
    gram = np.block([[toeplitz(behind, ahead) for ahead, behind in row] for row in blocks])
    cross = np.stack(
        [[_correlation(e * r.conj(), n, taps)[0] for r in ref] for e in est]
    )  # (estimate, reference, taps)
    own = [slice(i * taps, (i + 1) * taps) for i in range(count)]
    whole = _solved(gram, cross.reshape(count, -1).T).T.reshape(count, count, taps)
    found = []
    for i in range(count):
        target = _filtered(ref[i : i + 1], _solved(gram[own[i], own[i]], cross[i, i])[None], n, length)
        every = _filtered(ref, whole[i], n, length)
        rest = np.pad(estimated[i].astype(np.float64), (0, taps - 1)) - every
        energy, interference = (target**2).sum(), ((every - target) ** 2).sum()
        found.append([_db(energy, ((every - target + rest) ** 2).sum()), _db(energy, interference),
                      _db((every**2).sum(), (rest**2).sum())])  # fmt: skip
    return BssEval(*np.array(found).T)


def _correlation(spectrum: np.ndarray, n: int, taps: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlations at lags 0, 1, … and 0, -1, …, (taps,) each."""
    x = irfft(spectrum, n)
    return x[:taps], np.concatenate([x[:1], x[: -taps if taps > 1 else None : -1][: taps - 1]])


def _solved(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """gram⁻¹ right; by least squares where references depend on each other, such as pure tones."""
    try:
        solved: np.ndarray = cho_solve(cho_factor(gram), right)
        if np.isfinite(solved).all():
            return solved
    except np.linalg.LinAlgError:
        pass
    return np.asarray(np.linalg.lstsq(gram, right, rcond=None)[0])


def _filtered(ref: np.ndarray, filters: np.ndarray, n: int, length: int) -> np.ndarray:
    """The sum of references (K, F), transformed, through filters (K, taps): (length,)."""
    x: np.ndarray = irfft((ref * rfft(filters, n, axis=1)).sum(0), n)[:length]
    return x


def _db(signal: float, noise: float) -> float:
    return float(np.inf) if noise == 0 else float(10 * np.log10(signal / noise))
