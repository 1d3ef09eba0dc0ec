"""Retrieve with a trained run: what is asked by, what is searched in, and the nearest."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from pyarrow import ArrowException

from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.source import DataError
from multimodal_lab.evaluate import texts
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.predict import indexing
from multimodal_lab.predict.index import TABLE, Index
from multimodal_lab.predict.nearest import nearest, searched
from multimodal_lab.runs.directory import CONFIG
from multimodal_lab.text import expected_one_of

Among = Embeddings | Index | Prepared | str | Path | None


class Embeds(Protocol):
    """What is asked of a `Predictor`: its run, the streams that it expects, and the vectors of what is given."""

    folder: Path
    checkpoint: Path
    expected: dict[str, Any]

    def embed(self, samples: Any = None, *, mask: Any = None, **streams: Any) -> Embeddings:
        """Of samples that are given."""

    def embed_data(self, data: Any) -> Embeddings:
        """Of all of data."""


def retrieve(predictor: Embeds, query: dict[str, Any], top_k: int, of: str | None, among: Among) -> pd.DataFrame:
    """The nearest items to each query of one stream; see `Predictor.retrieve`."""
    mask = query.pop("mask", None)
    if "k" in query and "k" not in predictor.expected:
        raise DataError(f"retrieve: k is called top_k now: top_k={query['k']}")
    if top_k < 1:
        raise DataError(f"top_k={top_k}: expected a whole number from 1")
    if len(query) != 1:
        raise DataError(f"retrieve: give one stream to search by, {' or '.join(f'{n}=…' for n in predictor.expected)}")
    if (name := next(iter(query))) not in predictor.expected:  # a sensor of several streams is no query
        raise DataError(f"no stream {name!r} in this run; {expected_one_of(name, predictor.expected)}")
    index = index_of(predictor, among, searched(name, of, predictor.expected))
    return nearest(predictor.embed(mask=mask, **query), name, index, top_k)


def index_of(predictor: Embeds, among: Among, of: str) -> Index:
    """An index of stream `of`; see `Predictor.index`. `DataError` for one of another stream or of other weights."""
    if isinstance(among, Prepared):
        return _of_data(predictor, among, of)
    if isinstance(among, str | Path) and (Path(among).expanduser() / TABLE).is_file():
        among = Index.load(among)
    if isinstance(among, Index):
        wanted = {"stream": of, "weights": indexing.mark_of(predictor.folder, predictor.checkpoint)}
        among.require(
            **{k: v for k, v in wanted.items() if k in among.facts}
        )  # one of vectors of one's own says nothing
        return among
    if isinstance(among, Embeddings):
        return indexing.of_embeddings(among, of)
    return indexing.of_embeddings(*_saved(among, predictor, of))


def kept_index(predictor: Embeds, data: Prepared, where: str, of: str) -> tuple[Index, str]:
    """The index of data of a folder `where`, kept beside the run, and a sentence about it."""
    facts = indexing.facts_of(predictor.folder, predictor.checkpoint, data, of)
    return indexing.kept(predictor.folder, where, facts, lambda: _of_data(predictor, data, of))


def _of_data(predictor: Embeds, data: Prepared, of: str) -> Index:
    made = indexing.of_embeddings(predictor.embed_data(data), of, indexing.texts_of(data, of))
    made.facts |= indexing.facts_of(predictor.folder, predictor.checkpoint, data, of)
    return made


def _saved(among: str | Path | None, predictor: Embeds, of: str) -> tuple[Embeddings, str, list[list[str]] | None]:
    """Saved embeddings, the stream of them, and the texts that are kept of their rows."""
    folder = predictor.folder / "embeddings" if among is None else Path(among).expanduser()
    if not folder.is_dir():
        told = "the run kept no embeddings; name a folder: data.root=…" if among is None else "no folder here"
        raise DataError(f"{folder}: {told}")
    if among is not None and (folder / CONFIG).is_file() and (folder / "embeddings").is_dir():
        folder /= "embeddings"  # a run's directory stands for what it embedded
    found, path = Embeddings.load(folder), texts.beside(folder)
    if not path.is_file():
        return found, of, None
    try:
        return found, of, texts.of_rows(texts.load(path), of, len(found))
    except (OSError, ValueError, ArrowException) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: no texts of {folder} ({why}); without that file they are not shown") from error
