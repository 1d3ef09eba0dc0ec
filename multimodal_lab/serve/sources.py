"""Where the samples of a search come from: the embeddings that a run saved, or files that are embedded now."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pyarrow import ArrowException

from multimodal_lab.config import redact
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data import kinds
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.source import DataError
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.evaluate.embeddings import Embeddings, assembled, named
from multimodal_lab.evaluate.encoded_batch import encode
from multimodal_lab.experiment.reload import read_data
from multimodal_lab.predict import photos
from multimodal_lab.predict.given import OfFile
from multimodal_lab.report.explorer.source import pictures
from multimodal_lab.runs.guarded import require_inside
from multimodal_lab.serve import kept
from multimodal_lab.serve.contents import Contents
from multimodal_lab.serve.gallery import Gallery
from multimodal_lab.serve.model import Model
from multimodal_lab.serve.question import is_pictured
from multimodal_lab.serve.showing import Stored, Thumbnails
from multimodal_lab.text import printable

SLOW = 16  # samples at a time on a CPU: a request waits for no more
NONE = "this run saved no embeddings; give the files to search in: data.root=/folder"


def of_run(folder: Path) -> Contents:
    """What a run embedded at its end, with its thumbnails; `DataError` where there is nothing."""
    place = folder / "embeddings"
    if not any(place.glob("*.parquet")):
        raise DataError(f"{place}: {NONE}")
    try:
        require_inside(folder, [place])
        found = Embeddings.load(place)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArrowException) as error:
        raise DataError(f"{place}: not whole, or not as a run writes it ({type(error).__name__}: {error})") from error
    if len(set(found.ids)) != len(found.ids):
        raise DataError(f"{place}: two samples have one id; expected an id for each")
    rows, images = pictures(folder / "thumbnails.npz", len(found))
    return Contents(found, Thumbnails(rows, images))


def show_stored(made: Contents, cfg: DictConfig, folder: Path) -> None:
    """Show the run's own data where they are still there: pictures as they are, with their words, instead of thumbnails."""
    try:
        made.showing = Stored(read_data(_quietly(cfg, verify="none"), folder), made.embeddings.ids)
    except Exception as error:  # they were moved, or changed
        said = printable(redact.text(str(error).splitlines()[0] if str(error) else type(error).__name__), one_line=True)
        print(f"the run's data can't be opened, so thumbnails stand for them ({said})", flush=True)


def of_data(cfg: DictConfig, words: Sequence[str], folder: Path, model: Model) -> Callable[[Gallery], Contents]:
    """What embeds the data of a config, a batch at a time, so that requests come in between; words: what it was changed by."""

    def make(gallery: Gallery) -> Contents:
        data = _read(_quietly(cfg), words, folder, model)
        total, done, parts = len(data.samples), 0, []
        facts = kept.facts_of(folder, model.predictor.checkpoint, data)
        known, said = kept.load(folder, words, facts)
        if said:
            print(said, flush=True)
        if known is not None:
            return Contents(known, Stored(data, known.ids))
        gallery.step(0, total)
        size = data.batch_size if model.predictor.device.type == "cuda" else min(data.batch_size, SLOW)
        for batch in data.batches("all", batch_size=size):
            with model.turn(), torch.no_grad(), eval_mode(model.predictor.system):
                here = batch.to(model.predictor.device)
                parts.append(encode(model.predictor.system, here, "all", False, False, None))
            done += len(batch)
            gallery.step(done, total)
        found = assembled(parts, named(data), data.classes, model.predictor.device)
        print(kept.save(folder, words, facts, found), flush=True)
        return Contents(found, Stored(data, found.ids))

    return make


def _quietly(cfg: DictConfig, **more: str) -> DictConfig:
    """A config whose data are read in this process, sample by sample, and not hashed."""
    own = copy.deepcopy(cfg)
    for key, value in {"workers": 0, "cache": False, "fingerprint": "quick", **more}.items():
        for node in (own.data, own.data.source):
            if key in node:
                node[key] = value
    return own


def _read(cfg: DictConfig, words: Sequence[str], folder: Path, model: Model) -> Any:
    """The data of a config; where they have some of the run's streams alone, such as photographs without words, these."""
    pictured = [name for name, one in model.streams.items() if is_pictured(one)]
    if len(pictured) == 1 and photos.alone(model.predictor, cfg, words, pictured[0]):
        return photos.pictures(model.predictor, cfg, pictured[0])
    try:
        return read_data(cfg, folder)
    except DataError:
        source = safe_instantiate(cfg.data.source)
        there = {band.name for band in getattr(source, "bands", ())}
        fit = [
            n
            for n, one in model.streams.items()
            if kinds.get(one.kind).has_bands and {b.name for b in one.bands} <= there
        ]
        if not fit or len(fit) == len(model.streams):
            raise
    ids = [str(name) for name in source.samples["id"]]
    files = [OfFile(source, row, name) for row, name in enumerate(ids)]
    given = model.predictor.given(ids, dict.fromkeys(fit, files))
    root = cfg.data.get("root")
    given.fingerprint = fingerprint(source, None if root is None else str(root), "quick")
    return model.predictor.prepared(given)
