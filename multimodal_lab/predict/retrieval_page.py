"""A self-contained page of what was retrieved: queries, and the nearest with pictures, scores and captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from multimodal_lab.data.prepared import Prepared
from multimodal_lab.evaluate import clips, thumbnails
from multimodal_lab.files import write_text
from multimodal_lab.report.explorer.content import text
from multimodal_lab.report.explorer.sprites import uri

if TYPE_CHECKING:
    import pandas as pd

    from multimodal_lab.predict.predictor import Predictor

TEMPLATE = Path(__file__).with_name("retrieval_page.html.j2")
SIZE, QUALITY = 160, 85
MOST = 2_000  # pictures of a page: some 20 MB
HEARD = 400  # sounds of a page: some 6 MB
ROWS = 64  # samples that are read at a time


@dataclass(frozen=True)
class Hit:
    """One item that was found; picture, sound: data URIs, or None."""

    rank: int
    id: str
    score: float
    caption: str
    picture: str | None
    sound: str | None = None


@dataclass(frozen=True)
class Query:
    """What was asked, and what was found for it."""

    text: str
    picture: str | None
    hits: list[Hit] = field(default_factory=list)
    sound: str | None = None


def html(title: str, queries: Sequence[Query], notes: Sequence[str] = ()) -> str:
    """The page. Jinja escapes every value; the policy in its head forbids scripts and anything from elsewhere."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["clean"] = text
    made: str = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title, queries=queries, notes=notes
    )
    return made


def write(
    out: Path,
    found: pd.DataFrame,
    queries: Sequence[str],
    predictor: Predictor,
    name: str,
    of: str,
    data: Prepared | None,
) -> None:
    """The page of a table that `nearest` made, its column `query` holding the number of each query."""
    ids = list(dict.fromkeys(found["id"].astype(str)))
    shown = (
        pictures_of_data(data, ids[:MOST], of)
        if data is not None
        else pictures_of_run(predictor.folder, ids[:MOST], of)
    )
    heard = (
        sounds_of_data(data, ids[:HEARD], of) if data is not None else sounds_of_run(predictor.folder, ids[:HEARD], of)
    )
    notes = [f"pictures of the first {MOST:,} of {len(ids):,} items"] if len(ids) > MOST else []
    asked, spoken = faces_of_queries(predictor, name, queries[: max(0, MOST - len(shown))])
    sections = []
    for number, query in enumerate(queries):
        rows = found[found["query"] == str(number)].to_dict("records")
        hits = [
            Hit(
                int(r["rank"]),
                str(r["id"]),
                float(r["score"]),
                str(r.get("caption") or ""),
                shown.get(str(r["id"])),
                heard.get(str(r["id"])),
            )
            for r in rows
        ]
        sections.append(Query(query, asked.get(number), hits, spoken.get(number)))
    title = f"{name} → {of} · {predictor.folder.resolve().name}"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, html(title, sections, notes))


def pictures_of_data(data: Prepared, ids: Sequence[str], stream: str) -> dict[str, str]:
    """{id: data URI} of samples, read again; {} of a stream that has no pictures."""
    place = {str(one): row for row, one in enumerate(data.samples["id"])}
    rows = np.array([place[i] for i in ids if i in place], dtype=np.int64)
    made = thumbnails.Thumbnails({stream: data.streams[stream]}, size=SIZE, limit=MOST)
    if not made.streams:
        return {}
    for start in range(0, len(rows), ROWS):
        made.add("all", data.batch(rows[start : start + ROWS]))
    return _uris([i for i in ids if i in place], made.arrays(), stream)


def pictures_of_run(folder: Path, ids: Sequence[str], stream: str) -> dict[str, str]:
    """{id: data URI} of those samples of a run whose small pictures it kept."""
    from multimodal_lab.evaluate.embeddings import Embeddings

    path = folder / "thumbnails.npz"
    if not path.is_file():
        return {}
    rows, pictures = thumbnails.load(path)
    called = np.asarray(Embeddings.load(folder / "embeddings").ids, dtype=object)
    own, wanted = [str(called[row]) for row in rows], {*ids}
    at = [i for i, one in enumerate(own) if one in wanted]
    return _uris([own[i] for i in at], {k: v[at] for k, v in pictures.items()}, stream)


def sounds_of_data(data: Prepared, ids: Sequence[str], stream: str) -> dict[str, str]:
    """{id: data URI} of samples, read again; {} of a stream that is no sound."""
    place = {str(one): row for row, one in enumerate(data.samples["id"])}
    there = [i for i in ids if i in place]
    made = clips.Clips({stream: data.streams[stream]}, limit=HEARD)
    rows = np.array([place[i] for i in there], dtype=np.int64)
    for start in range(0, len(rows) if made.streams else 0, ROWS):
        made.add("all", data.batch(rows[start : start + ROWS]))
    return {there[row]: clip for row, clip in made.found.get(stream, {}).items()}


def sounds_of_run(folder: Path, ids: Sequence[str], stream: str) -> dict[str, str]:
    """{id: data URI} of those samples of a run whose clips it kept."""
    from multimodal_lab.evaluate.embeddings import Embeddings

    found = clips.load(folder / clips.FILE).get(stream, {})
    if not found:
        return {}
    called, wanted = [str(one) for one in Embeddings.load(folder / "embeddings").ids], {*ids}
    return {called[row]: clip for row, clip in found.items() if called[row] in wanted}


def faces_of_queries(
    predictor: Predictor, stream: str, queries: Sequence[str]
) -> tuple[dict[int, str], dict[int, str]]:
    """{number: data URI} of queries that are pictures, or have one, and of those that are sounds."""
    if not queries or predictor.expected[stream].is_text:
        return {}, {}
    with predictor.opened(**{stream: list(queries)}) as data:
        names = [str(i) for i in range(len(queries))]
        made = pictures_of_data(data, names, stream), sounds_of_data(data, names, stream)
    pictures, sounds = ({int(number): face for number, face in found.items()} for found in made)
    return pictures, sounds


def _uris(ids: Sequence[str], arrays: Mapping[str, np.ndarray], stream: str) -> dict[str, str]:
    return {one: uri(Image.fromarray(pixels), QUALITY) for one, pixels in zip(ids, arrays.get(stream, ()))}
