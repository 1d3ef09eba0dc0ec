"""What a server embedded, kept for its next start: in the run's directory, or in the user's cache where that can't be written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyarrow import ArrowException

from multimodal_lab import files
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.predict.indexing import CHANGED, FOLDER, SEEN, mark_of
from multimodal_lab.runs import guarded

FACTS = "facts.json"  # written last: without it the folder holds nothing
LAYOUT = 1


def facts_of(run: Path, checkpoint: Path, data: Prepared) -> dict[str, str]:
    """What the vectors of data by the weights of a run depend on."""
    record = data.record()
    return {"data": files.json_hash([record[k] for k in SEEN])[:16], "weights": mark_of(run, checkpoint)}


def load(run: Path, words: Sequence[str], facts: Mapping[str, str]) -> tuple[Embeddings | None, str]:
    """What was kept of the data that `words` name, and a sentence; None where there is nothing, or nothing of these `facts`."""
    for place in _places(run, words):
        if not (place / FACTS).is_file():
            continue
        try:
            said = guarded.read_json(place / FACTS)
            if said["layout"] != LAYOUT:
                continue
            if changed := [CHANGED.get(k, k) for k, v in facts.items() if said["facts"].get(k) != v]:
                return None, f"the index is made anew, as {' and '.join(changed)} changed"
            if any(guarded.file_hash(place / name) != digest for name, digest in said["files"].items()):
                return None, f"the index in {place} is damaged, and made anew"
            found = Embeddings.load(place)
            return found, f"index of {len(found):,} samples in {place}: used again, files and weights are as they were"
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArrowException) as error:
            return None, f"the index in {place} can't be read, and is made anew ({type(error).__name__}: {error})"
    return None, ""


def save(run: Path, words: Sequence[str], facts: Mapping[str, str], found: Embeddings) -> str:
    """Keep it; what to tell."""
    last: OSError | None = None
    for place in _places(run, words):
        try:
            (place / FACTS).unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            paths = [path for path in found.save(place, ["parquet"]) if path.suffix == ".parquet"]
            digests = {path.name: guarded.file_hash(path) for path in paths}
            files.write_json(place / FACTS, {"layout": LAYOUT, "facts": dict(facts), "files": digests})
            return f"index of {len(found):,} samples kept in {place}"
        except OSError as error:
            last = error
    return f"index of {len(found):,} samples not kept: {last.strerror if last else 'nowhere to write'}"


def _places(run: Path, words: Sequence[str]) -> list[Path]:
    """Where it may lie: in the run, else in the user's cache, by the run's own path."""
    name = f"served.{files.json_hash([*words])[:12]}"
    return [run / FOLDER / name, files.user_cache() / FOLDER / files.json_hash([str(run.resolve()), name])[:16]]
