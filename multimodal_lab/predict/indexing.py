"""Make an index of what a run embedded, every item once, and keep it beside the run for as long as nothing changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab import files
from multimodal_lab.data import kinds
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.source import DataError
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.gallery import gallery
from multimodal_lab.predict.index import Index
from multimodal_lab.runs.hashes import weights_hash
from multimodal_lab.text import expected_one_of

FOLDER = "indexes"  # of a run directory
ALIKE = 1e-5  # by how much the cosine of one thing that was embedded twice may differ from 1
SPACES = {True: "projection", False: "backbone"}
SEEN = ("fingerprint", "modality", "choices", "streams", "bad")  # of a record: what the vectors depend on
CHANGED = {"data": "the files or how they are read", "weights": "the weights"}


def of_embeddings(e: Embeddings, stream: str, texts: Sequence[Sequence[str]] | None = None) -> Index:
    """The items of a stream, each once: what a projection head makes of them, where there is one, else their vectors.

    Rows of one image, embedded once for each of its captions, are one item, and so are equal texts, see `gallery`; where
    nobody said which rows hold the same, rows called NAME_0, NAME_1, … of one vector. Columns: `split`, and with `texts`, those
    of every row, see `texts_of`, `caption`: the text itself, or the first that stands beside an image.
    """
    if stream not in e.vectors:
        raise DataError(f"of={stream}: {expected_one_of(stream, e.vectors)}")
    projected = stream in e.projected
    x = e.space(stream, projected)
    made = Index(x.shape[1], facts={"stream": stream, "space": SPACES[projected]})
    if not e.present[stream].any():
        return made
    if e.held(stream) is None:
        e = replace(e, items={**e.items, stream: _repeated(e.ids, x)})
    held = gallery(e, stream, e.present[stream], projected)
    columns: dict[str, list[str | None]] = {"split": [str(e.split[row]) for row in held.home]}
    if texts is not None:
        columns["caption"] = [texts[row][n] if n < len(texts[row]) else None for row, n in zip(held.home, held.text)]
    made.add(held.x, [str(e.ids[row]) for row in held.home], **columns)
    return made


def kept(run: Path, where: str, facts: Mapping[str, str], make: Callable[[], Index]) -> tuple[Index, str]:
    """The index of `where`, such as a folder, kept in the run's directory, and a sentence: made anew unless all `facts`, see
    `facts_of`, are as they were."""
    place = run / FOLDER / files.named(f"{facts['stream']}.{Path(where).name}.{files.json_hash([where, *facts])[:8]}")
    try:
        found = Index.load(place)
    except DataError:
        found = None
    if found is not None and facts.items() <= found.facts.items():
        return found, f"index of {len(found)} items in {place}: used again, files and weights are as they were"
    why = [CHANGED.get(k, k) for k in facts if found is not None and found.facts.get(k) != facts[k]]
    began = time.monotonic()
    made = make()
    said = f"index of {len(made)} items made in {time.monotonic() - began:.1f} s"
    said += f", as {' and '.join(why)} changed" if why else ""
    try:
        return made, f"{said}, kept in {made.save(place)}"
    except OSError as error:
        return made, f"{said}, not kept: {place} can't be written ({error.strerror})"


def facts_of(run: Path, checkpoint: Path, data: Prepared, stream: str) -> dict[str, str]:
    """What an index of data by the weights of a run depends on."""
    record = data.record()
    seen = files.json_hash([record[k] for k in SEEN])[:16]
    return {"stream": stream, "data": seen, "weights": mark_of(run, checkpoint)}


def mark_of(run: Path, checkpoint: Path) -> str:
    """16 hex digits that name the weights of a run."""
    return files.json_hash([checkpoint.name, weights_hash(run)])[:16]


def _repeated(ids: Sequence[str], x: np.ndarray) -> np.ndarray:
    """(N,) the first row that holds the same as each row: of one name before the number, and of one vector."""
    base = pd.Series([str(i) for i in ids]).str.replace(r"_\d+$", "", regex=True)
    codes, _ = pd.factorize(base)
    first = np.unique(codes, return_index=True)[1][codes]
    length = np.maximum(np.linalg.norm(x, axis=1), 1e-12)
    cosine = np.einsum("nd,nd->n", x, x[first]) / (length * length[first])
    return np.where(cosine > 1 - ALIKE, first, np.arange(len(first)))


def texts_of(data: Prepared, stream: str) -> list[list[str]] | None:
    """The texts of every row: those of the stream itself, else of the first stream that is text; None where there are none."""
    texts = [name for name, plan in data.reader.plans.items() if kinds.of(plan.stored).stored == "column"]
    name = stream if stream in texts else next(iter(texts), None)
    if name is None:
        return None
    reader = data.reader.only([name])  # no picture is decoded
    kind: Any = reader.kinds[name]
    found = [[] if i in data.bad.why else kind.several(reader, reader.raw(i), name) for i in range(len(data.samples))]
    return found if any(found) else None
