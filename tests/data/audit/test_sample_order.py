"""A sample whose bands are stored in another order than all others': found with its order, and nothing else is."""

import json

import numpy as np
import pytest
from damaged import REAL

from multimodal_lab.data.audit import sample_order
from multimodal_lab.data.readers.bigearthnet_facts import S2
from multimodal_lab.data.synthetic.sentinel import Sentinel
from multimodal_lab.types import Band

NAMES = [band.name for band in S2]
LAST = [*NAMES[:8], *NAMES[9:], "B8A"]  # as EuroSAT stores them


def made():
    source = Sentinel(patches=80, tiles=20, size=8)
    return np.stack([[band.mean() for band in source.s2(i)] for i in range(80)])


def tiles():
    if not REAL.is_dir():
        pytest.skip("no real tiles here")
    import h5py

    with h5py.File(REAL / "s1s2_tiles.h5") as file:
        return file["s2"][:].mean((2, 3))


def stored(means, row, order):
    changed = means.copy()
    changed[row] = changed[row, [NAMES.index(band) for band in order]]
    return changed


def named(means, bands=S2):
    return list(sample_order.odd("s2", bands, means, [f"p{i:02d}" for i in range(len(means))]))


@pytest.mark.parametrize("means", [made, tiles])
def test_no_sample_in_its_own_order_is_named(means):
    assert not named(means())


@pytest.mark.parametrize("means", [made, tiles])
@pytest.mark.parametrize("order", [LAST, NAMES[::-1], [*NAMES[:3], "B08", *NAMES[4:7], "B04", *NAMES[8:]]])
def test_one_that_is_stored_otherwise_is_named_with_the_order_that_it_has(means, order):
    values = means()
    found = named(stored(values, 21, order))
    assert [f.examples for f in found] == [("p21",)]
    assert f"if its bands are {', '.join(order)};" in found[0].sentence
    assert found[0].level == "warning"
    assert json.dumps(found[0].record())


def test_several_are_told_in_one_sentence():
    values = made()
    for row in (3, 21, 40):
        values = stored(values, row, LAST)
    (found,) = named(values)
    assert found.count == 3
    assert found.examples == ("p03", "p21", "p40")


def test_a_sample_that_is_unlike_all_others_in_any_order_is_not():
    values = made()
    values[21] = 20_000
    assert not named(values)
    values[21] = [*[8000.0] * 10, 800, 600]  # snow
    assert not named(values)


def test_too_few_samples_and_bands_of_other_units_tell_nothing():
    values = stored(made(), 21, LAST)
    assert named(values)
    assert not named(values[:59])
    assert not named(values, [Band(band.name, band.nm, "counts") for band in S2])
    assert not named(np.where(np.arange(12) == 4, np.nan, values))


def test_steps_are_orders_of_all_places_and_none_is_the_order_itself():
    steps = sample_order._steps(5)
    assert (np.sort(steps, 1) == np.arange(5)).all()
    assert len({*map(tuple, steps)}) == len(steps)
    assert tuple(range(5)) not in {*map(tuple, steps)}
