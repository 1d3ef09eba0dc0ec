"""BSS Eval against mir_eval, and against what it means."""

import warnings

import numpy as np
import pytest

from multimodal_lab.metric.separation import bss_eval

mir_eval = pytest.importorskip("mir_eval")


def sounds(sources, steps, seed=0):
    draw = np.random.default_rng(seed)
    true = draw.normal(size=(sources, steps)) * np.linspace(0.5, 1.5, sources)[:, None]
    told = true + 0.3 * draw.normal(size=true.shape) + 0.2 * true[::-1] + 0.1 * np.roll(true, 3, 1)
    return true, told


def test_it_is_mir_evals():
    for sources, steps in ((2, 2000), (3, 1200)):
        true, told = sounds(sources, steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sdr, sir, sar, _ = mir_eval.separation.bss_eval_sources(true, told, compute_permutation=False)
        found = bss_eval(true, told)
        for own, expected in ((found.sdr, sdr), (found.sir, sir), (found.sar, sar)):
            np.testing.assert_allclose(own, expected, rtol=0, atol=1e-6)


def test_a_short_filter_is_forgiven_and_a_gain_too():
    true, told = sounds(2, 600)
    echo = np.apply_along_axis(np.convolve, 1, true, [0.8, 0.0, 0.3])[:, :600]
    found = bss_eval(true, echo, taps=8)
    assert (found.sdr > 20).all()  # all but the tail that the end cuts
    first, scaled = bss_eval(true, told, taps=8), bss_eval(true, -3 * told, taps=8)
    np.testing.assert_allclose(first.sdr, scaled.sdr, rtol=1e-9)
    assert (bss_eval(true, told + 0.5 * true[::-1], taps=8).sir < first.sir - 3).all()
    noise = np.random.default_rng(5).normal(size=told.shape)
    assert (bss_eval(true, told + noise, taps=8).sar < first.sar - 3).all()


def test_references_that_depend_on_each_other_and_silence():
    true, told = sounds(2, 400)
    true[1] = true[0]
    assert np.isfinite(bss_eval(true, told, taps=4).sdr).all()
    for what, (a, b) in {"reference 1": (true * [[1], [0]], told), "estimate 0": (told, told * [[0], [1]])}.items():
        with pytest.raises(ValueError, match=f"{what} is silent, of which no ratio is defined"):
            bss_eval(a, b)
    with pytest.raises(ValueError, match=r"expected \(S, T\) both"):
        bss_eval(true, told[:, 1:])
