"""Share what is given by sensor, such as all bands of Sentinel-2, among the streams of a run by the names of the bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from multimodal_lab.data.source import DataError
from multimodal_lab.predict.expected import Expected
from multimodal_lab.text import expected_one_of

Cards = Mapping[str, Sequence[str]]  # {sensor: its bands, in the order of its card}


def by_stream(given: Mapping[str, Any], expected: Mapping[str, Expected], cards: Callable[[], Cards]) -> dict[str, Any]:
    """{stream: what is given} of values by stream or sensor; a sensor's become {band: array} of every stream it has bands of.

    A name that is no stream is a sensor: {band: array}, or an array of all bands that its card has, in the card's order. cards:
    what the run's data know of sensors, asked where an array is given. A stream that no band is given of is left out, and
    bands of no stream are no matter. `DataError` for a band of a stream that nothing has while others of the stream are there,
    for one that is given twice, and for one of two streams, which may not be the same there.
    """
    found = {name: x for name, x in given.items() if name in expected}
    of: dict[str, str] = {}  # band: the sensor that it is given by
    values: dict[str, Any] = {}
    for sensor in (name for name, x in given.items() if name not in expected and x is not None):
        for band, x in _bands(sensor, given[sensor], expected, cards).items():
            if band in of:
                raise DataError(f"band {band} is given twice, by {of[band]} and by {sensor}")
            of[band], values[band] = sensor, x
    for name, one in expected.items():
        wanted = [b.name for b in one.bands]
        there = [b for b in wanted if b in of]
        if not there:
            continue
        band = there[0]
        if found.get(name) is not None:
            raise DataError(f"band {band} is given twice, by stream {name} and by {of[band]}")
        if others := [n for n, o in expected.items() if n != name and band in [b.name for b in o.bands]]:
            raise DataError(
                f"{of[band]}: band {band} is one of the streams {name} and {others[0]}; give each stream by its name"
            )
        if lacking := [b for b in wanted if b not in of]:
            sensors = ", ".join(dict.fromkeys(of.values()))
            raise DataError(f"stream {name}: band {lacking[0]} is in none of what is given ({sensors})")
        found[name] = {b: values[b] for b in wanted}
    return found


def _bands(sensor: str, x: Any, expected: Mapping[str, Expected], cards: Callable[[], Cards]) -> dict[str, Any]:
    """{band: array} of one sensor, one of a stream at least."""
    known = {b.name: one for one in expected.values() for b in one.bands}
    if isinstance(x, Mapping):
        if not any(str(band) in known for band in x):
            raise DataError(f"{_none(sensor)} and none of its bands ({', '.join(map(str, x))}) is one of a stream; "
                            f"{expected_one_of(sensor, expected)}")  # fmt: skip
        return {str(band): own for band, own in x.items()}
    card = cards().get(sensor)
    own = [one for band, one in known.items() if band in (card or ())]
    if card is None or not own:
        raise DataError(
            f"{_none(sensor)}; {expected_one_of(sensor, [*expected, *cards()])}{', or {band: array}' * bool(known)}"
        )
    if not isinstance(x, np.ndarray | Tensor):
        what = f"an array of its {len(card)} bands, or {{band: array}}"
        raise DataError(f"{sensor}: {type(x).__name__}, expected {what}; give other things by stream")
    place = x.ndim - own[0].axes
    if place not in (0, 1) or x.shape[place] != len(card):
        said = f"{card[0]} … {card[-1]}" if len(card) > 8 else ", ".join(card)
        raise DataError(
            f"{sensor}: an array of shape {tuple(x.shape)}, expected its {len(card)} bands ({said}), bands first, or N of them"
        )
    return {band: x[i] if place == 0 else x[:, i] for i, band in enumerate(card)}


def _none(sensor: str) -> str:
    return f"no stream {sensor!r} in this run"
