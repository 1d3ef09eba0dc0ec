"""The words of `python -m multimodal_lab.predict retrieve run=DIR query="…"`, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from multimodal_lab.config.problem import ConfigError
from multimodal_lab.embed import WORDS as OF_DATA
from multimodal_lab.embed import opened
from multimodal_lab.predict.backends import BACKENDS
from multimodal_lab.text import expected_one_of

if TYPE_CHECKING:
    import pandas as pd

    from multimodal_lab.data.prepared import Prepared
    from multimodal_lab.predict.index import Index
    from multimodal_lab.predict.predictor import Predictor

USAGE = """       python -m multimodal_lab.predict retrieve run=DIR query=…|STREAM=…|queries=FILE [data.root=/folder] [top_k=10] …

retrieve finds the top_k items that are nearest to words, a picture or a sound.

query     words, or the path of a picture or a sound; STREAM=… says which stream it is of: text="a red bird", image=a.png
queries   a text file with a query a line
of        the stream to search in (default: the other one)
data      what to search in: data.root=/folder of the run's kind of data or of pictures alone, or data=CHOICE
          (data=images: of pictures, whatever tables lie beside them). It is embedded once; its index lies in
          DIR/indexes and is used again for as long as no file and no weight changes
among     instead of data: a folder of embeddings or of an index (default: the run's own data, as it embedded them)
backend   tiles (default) or faiss, for large banks: both are exact; hnsw is approximate, and its recall is told
out       a file that ends in .html (a page with pictures), .csv or .parquet (default: the terminal)
"""
WORDS = {"query", "queries", "of", "top_k", "among", "backend", "k"}
ENDS = (".csv", ".parquet", ".html")


def tell(words: Mapping[str, str], folder: Path, rest: list[str]) -> str:
    """Write or tell the nearest items."""
    top_k, out = _checked(words)
    own = [word for word in rest if word.startswith(OF_DATA)]
    if own and "among" in words:
        raise ConfigError(f"among={words['among']}: give either among=… or {own[0].partition('=')[0]}=…, not both")
    named = [word for word in rest if word not in own]
    ways = [*named, *(f"{key}={words[key]}" for key in ("query", "queries") if key in words)]
    if len(ways) != 1 or "=" not in ways[0][1:]:
        raise ConfigError(
            f'{" ".join(ways) or "retrieve"}: expected one query, such as query="a red bird", text="a red bird" or queries=FILE'
        )
    from multimodal_lab.predict import load
    from multimodal_lab.predict.asked import asked
    from multimodal_lab.predict.nearest import nearest, searched
    from multimodal_lab.predict.unread import unread

    predictor = load(folder, words.get("device", "auto"))
    name, queries = asked(words, named, predictor.expected)
    of = searched(name, words.get("of"), predictor.expected)
    index, data, notes = _index(predictor, words, own, of)
    if predictor.expected[name].is_text:
        notes += unread(predictor.tokens.get(name), name, queries)
    for note in notes:
        print(note, flush=True)
    index.use(words.get("backend", "tiles"))
    embedded = predictor.embed(**{name: queries})
    found = nearest(embedded, name, index, top_k)
    if index.backend == "hnsw":
        share = index.recall(embedded.space(name, index.facts.get("space") == "projection"), top_k)
        print(f"backend=hnsw is approximate: it finds {share:.1%} of the {top_k} nearest of these queries", flush=True)
    table = found.assign(query=[queries[int(number)] for number in found["query"]])
    if out is None:
        return _told(table, len(queries))
    if out.suffix == ".html":
        from multimodal_lab.predict import retrieval_page

        retrieval_page.write(out, found, queries, predictor, name, of, data)
    else:
        from multimodal_lab.predict.tables import write

        write(table, out)
    return f"{len(found)} items for {len(queries)} {'query' if len(queries) == 1 else 'queries'} in {out}"


def _checked(words: Mapping[str, str]) -> tuple[int, Path | None]:
    """How many items are asked for, and the file; words are refused before anything heavy is imported."""
    if "k" in words:
        raise ConfigError(f"k={words['k']}: is called top_k now: top_k={words['k']}")
    top_k = words.get("top_k", "10")
    if not top_k.isdecimal() or int(top_k) < 1:
        raise ConfigError(f"top_k={top_k}: expected a whole number from 1")
    if (backend := words.get("backend", "tiles")) not in BACKENDS:
        raise ConfigError(f"backend={backend}: {expected_one_of(backend, BACKENDS)}")
    out = Path(words["out"]) if "out" in words else None
    if out is not None and out.suffix not in ENDS:
        raise ConfigError(f"out={out}: {expected_one_of(out.suffix or 'nothing', ENDS)} as its ending")
    return int(top_k), out


def _index(
    predictor: Predictor, words: Mapping[str, str], own: list[str], of: str
) -> tuple[Index, Prepared | None, list[str]]:
    """What to search in, the data behind it where they were given, and what there is to tell."""
    if not own:
        return predictor.index(words.get("among"), of=of), None, []
    from multimodal_lab.experiment.reload import read_data
    from multimodal_lab.predict import photos, retrieval

    cfg, notes = opened(predictor.folder, own), []
    cfg.data.cache = False  # a sample is read once at most: none, where the index is used again
    if photos.alone(predictor, cfg, own, of):
        data = photos.pictures(predictor, cfg, of)
        notes.append(f"data.root={cfg.data.root}: its {len(data.samples)} pictures are searched as stream {of}")
    else:
        data = read_data(cfg, predictor.folder)
    notes += [note for note in data.notes if note.startswith("data.on_error=")]
    index, said = retrieval.kept_index(predictor, data, str(cfg.data.get("root") or own), of)
    return index, data, [*notes, said]


def _told(found: pd.DataFrame, queries: int) -> str:
    shown = found.drop(columns="query") if queries == 1 else found
    return str(shown.to_string(index=False, float_format=lambda x: f"{x:.4f}"))
