"""Scale first convolutions that were laid for other bands as the training split says: `backbone.band_correlation=measured`."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.backbone.first_scale import FirstConvolution, deviation
from multimodal_lab.data.fitted_cache import learn
from multimodal_lab.data.streams.bands import RESIZING, plan
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.data.streams.source_bands import stored_bands
from multimodal_lab.stage import stage
from multimodal_lab.system import Normalise, System
from multimodal_lab.types import Stream

FACT = "first_scale"  # in the record of a run: {stream: a factor for each of its first convolutions}
MOST, AT_ONCE = 256, 32  # training samples that are looked at; so many of them together


def scale(system: System, data: Any) -> None:
    """Scale what waits for it (`FirstConvolution`) in a system that was just built, and note it; the record keeps the factors.

    Activations then deviate from their channels' means as those of the pretrained kernels do on the bands that these know, in the
    same training samples, each band standardised by the training split: sqrt(mean over channels of the variance over samples and
    places). Bands and pixels are as alike as they are there. `ValueError` where the data do not hold those bands.
    """
    if not (found := waiting(system)):
        return
    known: dict[str, list[float]] = data.facts.setdefault(FACT, {})
    for name, those in found.items():
        with stage(f"measuring the scale of the first convolution of stream {name}"):
            if name not in known:
                known[name] = _factors(system, data, name, those)
                told = ", ".join(f"{factor:.3g}" for factor in known[name])
                bands = ", ".join(those[0].bands)
                data.notes.append(
                    f"first convolution of {name}: times {told}, so that it varies as that of {bands} does"
                )
            for one, factor in zip(those, known[name], strict=True):
                one.scale(factor)


def waiting(system: System) -> dict[str, list[FirstConvolution]]:
    """{stream: its first convolutions that wait}, each but once: none is left waiting."""
    found: dict[str, list[FirstConvolution]] = {}
    for module in system.backbones.modules():
        for name, ones in vars(module).get("unscaled", {}).items():
            if ones:
                found[name] = list(ones)
                ones.clear()
    return found


def _factors(system: System, data: Any, name: str, those: Sequence[FirstConvolution]) -> list[float]:
    if data.streams[name].steps is not None:
        raise ValueError(f"backbone.band_correlation=measured: stream {name!r} is a video; give a number from 0 to 1")
    rows = data.splits["train"]
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round().astype(int)]
    reader, stream = _reader(data, name, those[0].bands, rows)
    normalise = Normalise(stream)
    found = []
    for one in those:
        device = one.conv.weight.device
        wanted = deviation(one.reference(), (normalise(x).to(device) for x in _read(reader, rows)))
        own = deviation(one.conv, (x.to(device) for x in _inputs(system, data, name, rows)))
        if not (wanted > 0 and own > 0):
            raise ValueError(
                f"backbone.band_correlation=measured: on {len(rows)} training samples the first convolution of stream {name!r} "
                f"varies by {own:.3g}, that of {', '.join(one.bands)} by {wanted:.3g}; give a number from 0 to 1"
            )
        found.append(wanted / own)
    return found


def _inputs(system: System, data: Any, name: str, rows: np.ndarray) -> Iterator[Tensor]:
    """What the backbone of a stream is given, of the samples that have it."""
    for part in np.array_split(rows, -(-len(rows) // AT_ONCE)):
        batch = data.batch(part)
        yield system.input(name, batch)[batch.present[name]]


def _read(reader: SampleReader, rows: np.ndarray) -> Iterator[Tensor]:
    for part in np.array_split(rows, -(-len(rows) // AT_ONCE)):
        found = [x for row in part.tolist() if (x := next(iter(reader.sample(row).inputs.values()))) is not None]
        if found:
            yield torch.from_numpy(np.stack(found)).float()


def _reader(data: Any, name: str, bands: Sequence[str], rows: np.ndarray) -> tuple[SampleReader, Stream]:
    """A reader of the bands that the kernels know, on the grid of stream `name`, and their stream as `rows` teach it."""
    own: SampleReader = data.reader
    fields = dict.fromkeys([own.plans[name].stored.field, "", *(p.stored.field for p in own.plans.values())])
    for field in fields:
        stored = stored_bands(own.source, name, field)
        places = {band.name for band in stored}
        chosen = [next((b for b in entry.split("|") if b in places), None) for entry in bands]
        if None in chosen:
            continue
        facts = {k: v for k, v in data.facts["modality"][name].items() if k in RESIZING}
        facts |= {"bands": chosen, **({"field": field} if field else {})}
        source = copy.copy(own.source)  # which may keep the size of what it is asked for
        plans = {name: plan(name, facts, stored)}
        reader = SampleReader(source, plans, own.scaling, own.resize, own.background, own.nodata, False)
        reader.units = {}  # the run holds them to their units
        learn(reader, rows, None, "")
        return reader, reader.kinds[name].stream(plans[name], reader.fitted[name])
    raise ValueError(
        f"backbone.band_correlation=measured: stream {name!r} is to vary as {', '.join(bands)} do, and the data hold no such "
        "bands beside it; give a number from 0 to 1"
    )
