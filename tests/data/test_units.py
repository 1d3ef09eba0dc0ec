"""What values of a unit can't be; what need be no fault passes."""

from types import SimpleNamespace

import numpy as np
import pytest

from multimodal_lab.data import units
from multimodal_lab.data.streams.ranges import BandRanges
from multimodal_lab.types import Band

TEN = "reflectance x 10000"


@pytest.mark.parametrize(
    ("unit", "x", "says"),
    [
        ("dB", [0.0001, 0.02, 1.3], "linear power"),
        ("sigma0 dB", [0.0001, 0.02, 1.3], "linear power"),
        ("dB", [120.0, 300.0, 900.0], "amplitudes"),
        ("dB", [-25.0, -3.0, 7.0], ""),
        ("dB", [-9999.0, -12.0, -10.0, -11.0], "nodata"),
        (TEN, np.array([-9999, 300, 4000], dtype=np.int16), "nodata"),
        ("reflectance", [-9999.0, 0.2, 0.3], "nodata"),
        (TEN, np.array([-300, 300, 4000], dtype=np.int16), ""),
        ("dB", [30.0, 55.0, 90.0], ""),  # the loudness of a sound
        ("dB", [0.0, 0.0, 0.0], ""),  # nothing was measured
        ("linear power", [-25.0, -3.0, 7.0], "dB"),
        ("linear power", [-0.01, 0.1, 3.0], ""),  # noise was taken off
        ("reflectance", [120.0, 3000.0, 9000.0], "scaled by 10000"),
        ("surface reflectance", [5.0, 30.0, 80.0], "%"),
        ("reflectance", [0.01, 0.3, 1.4], ""),
        ("reflectance", np.array([2000, 40000], dtype=np.uint16), ""),  # shares of the type's range
        (TEN, [0.01, 0.3, 1.1], "reflectance of 0 to 1"),
        ("BOA reflectance * 1e4", [0.01, 0.3, 1.1], "reflectance of 0 to 1"),
        (TEN, [1.0, 1.0, 2.0], ""),  # whole numbers: black water
        (TEN, np.array([0, 1, 2], dtype=np.uint16), ""),
        (TEN, [30.0, 3000.0, 16000.0], ""),
        (TEN, [40000.0, 65535.0, 65535.0], "stays below 40000"),
        ("counts", [-5.0, 0.1, 1e9], ""),
        ("", [-5.0, 0.1, 1e9], ""),
        ("degrees Celsius", [200.0, 300.0], ""),
    ],
)
def test_values_that_cannot_be_of_their_unit_are_named(unit, x, says):
    x = np.asarray(x, dtype=None if isinstance(x, np.ndarray) else np.float32)
    found = units.doubt(unit, units.seen(x))
    assert units.doubtful(unit, x) == ((units.seen(x), found) if says else None)  # a glance tells no less
    assert bool(found) == bool(says), found
    assert says in found


def test_gaps_are_no_values():
    assert units.seen(np.array([np.nan, 2.0, 4.0], dtype=np.float32)) == units.Values(2.0, 4.0, 3.0, True)
    assert units.seen(np.full(3, np.nan, dtype=np.float32)) is None


def test_two_bands_of_one_sample_are_too_few_to_tell_of_reflectance():
    assert units.alike([Band("VV", None, "dB"), Band("R", 600, "counts"), Band("VH", None, "dB")]) == {"dB": [0, 2]}
    assert units.tells("dB", 1)
    assert [units.tells(TEN, n) for n in (1, 2, 3)] == [False, False, True]


def test_ranges_are_those_of_all_samples_and_equal_bands_are_equal_in_each():
    rng = np.random.default_rng(0)
    samples = [rng.normal(size=(5, n)).astype(np.float32) for n in (4, 7, 3)]
    for x in samples:
        x[3] = x[1]
    samples[0][2] = samples[0][0]  # in one sample alone
    samples[1][4, :3] = np.nan
    found = BandRanges()
    for x in samples:
        found.add(x)
    every = np.concatenate(samples, 1).astype(np.float64)
    facts = found.facts()
    assert facts["same"] == [[1, 3]]
    for key, of in (("low", np.nanmin), ("high", np.nanmax), ("mean", np.nanmean)):
        assert facts[key] == pytest.approx(of(every, 1))
    assert BandRanges().facts() == {}


class Carded:
    card = "there"


class Fixed:
    def __init__(self, *, nodata=0):
        self.nodata = nodata


class Joint:
    def __init__(self, source):
        self.members = {"s1": SimpleNamespace(source=source)}


@pytest.mark.parametrize(
    ("source", "unit", "nodata"),
    [
        (Carded(), "(data.source.card.units)", "data.source.card.nodata=-9999"),
        (
            Joint(Carded()),
            "(source.card.units)",
            "source.card.nodata=-9999",
        ),
        (Fixed(), "which no key changes; convert them", "declare it: data.source.nodata=-9999"),
        (
            Joint(Fixed()),
            "which no key changes",
            "no key declares it",
        ),
    ],
)
def test_the_cure_is_a_key_that_the_data_have(source, unit, nodata):
    bands = [Band("VV", None, "dB")]
    for x, said in (([0.0001, 0.02, 1.3], unit), ([-9999.0, -12.0, -10.0], nodata)):
        sentence = units.sentence("s1", bands, *units.doubtful("dB", np.array(x)), source)
        assert said in sentence
