"""Coordinates from a point of the body: where and how large it is stored play no part."""

import numpy as np
import pytest

from multimodal_lab.data.readers.relative import Relative
from multimodal_lab.data.readers.series_arrays import SeriesArrays
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

X = np.random.default_rng(0).normal(size=(12, 9)).astype(np.float32)  # 4 points of 3 coordinates, 9 steps


def plainly(x, origin, at, unit):
    """The same, point by point and step by step."""
    found = np.empty(x.shape)
    lengths = []
    for t in range(x.shape[1]):
        if unit is not None:
            lengths.append(sum((x[3 * unit[0] + k, t] - x[3 * unit[1] + k, t]) ** 2 for k in range(3)) ** 0.5)
        for c in range(x.shape[0]):
            found[c, t] = x[c, t] - x[3 * origin + c % 3, t if at == "each" else 0]
    if at == "each":
        found = np.delete(found, [3 * origin, 3 * origin + 1, 3 * origin + 2], axis=0)
    return found / (np.median(lengths) if unit is not None else 1.0)


@pytest.mark.parametrize(("at", "unit"), [("each", None), ("first", None), ("each", [3, 1]), ("first", [0, 2])])
def test_it_is_what_was_written_down(at, unit):
    found = Relative(3, 3, at, unit).changed(X)
    np.testing.assert_allclose(found, plainly(X, 3, at, unit), atol=1e-6)
    assert found.dtype == np.float32


def test_place_and_size_of_the_body_play_no_part():
    one = Relative(3, 3, "each", [3, 1])
    moved = 2.5 * X + np.tile([4.0, -1.0, 7.0], 4)[:, None].astype(np.float32)
    np.testing.assert_allclose(one.changed(moved), one.changed(X), atol=1e-5)
    assert not np.allclose(Relative(3, 3).changed(moved), Relative(3, 3).changed(X))


def test_a_step_without_the_origin_is_not_measured():
    x = X.copy()
    x[9:, 0] = np.nan
    assert np.isnan(Relative(3, 3).changed(x)[:, 0]).all()
    later = Relative(3, 3, "first").changed(x)
    np.testing.assert_allclose(later[:3, 0], x[:3, 0] - x[9:, 1], atol=1e-6)


def test_a_reader_gives_the_changed_sensor_and_marks_it(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([X, 2 * X]))
    plain = SeriesArrays(str(tmp_path), arrays={"body": "x.npy"})
    made = SeriesArrays(str(tmp_path), arrays={"body": "x.npy"}, relative={"body": Relative(3, 3)})
    stream = Stream("body", "vector", bands=made.bands, steps=9)
    np.testing.assert_array_equal(made.read(1, [stream]).inputs["body"], Relative(3, 3).changed(2 * X))
    assert [b.name for b in made.bands] == [f"d{c:03d}" for c in range(9)]
    assert made.identity != plain.identity
    again = SeriesArrays(str(tmp_path), arrays={"body": "x.npy"}, relative={"body": Relative(3, 3)})
    assert repr(made.identity) == repr(again.identity)


@pytest.mark.parametrize(
    ("sensor", "change", "said"),
    [
        ("body", Relative(5), r"relative.body.axes=5: 12 channels are no points"),
        ("body", Relative(3, 4), r"relative.body.origin: no point 4; there are 0 to 3"),
        ("body", Relative(3, 0, "each", [1, 1]), r"relative.body.unit=\[1, 1\]: expected two points"),
        ("body", Relative(3, 0, "each", [1, 7]), r"relative.body.unit: no point 7"),
        ("hand", Relative(3), r"relative: no sensor 'hand'; there are body"),
    ],
)
def test_points_that_are_not_there_are_refused(tmp_path, sensor, change, said):
    np.save(tmp_path / "x.npy", X[None])
    with pytest.raises(DataError, match=said):
        SeriesArrays(str(tmp_path), arrays={"body": "x.npy"}, relative={sensor: change})


def test_two_points_in_one_place_are_no_unit():
    x = X.copy()
    x[3:6] = x[9:]
    with pytest.raises(DataError, match=r"relative.body.unit=\[3, 1\]: in recording 0 \(from 0\) both are one point"):
        Relative(3, 3, "each", [3, 1]).changed(x, "body")
