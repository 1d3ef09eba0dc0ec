"""Hashes of the config settings that change results, and of the package's source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from multimodal_lab.files import file_hash, json_hash, read_failure, retried
from multimodal_lab.runs import guarded

# Keys that change no number: where files lie, how they are loaded, what is kept.
MAY_MOVE = {"data": {"root", "workers", "cache"}, "train": {"keep_last", "save_every"}, "cache": {"root"}}
# The files that end a run, and the keys of the first that name what the run was made of.
SUMMARY, PREDICTIONS = "summary.json", "predictions.parquet"
OF_CONFIG, OF_SOURCE, OF_PREDICTIONS = (f"provenance/{k}" for k in ("config", "source", "predictions"))
OF_DATA = "provenance/data_fingerprint"
OLDER = "recorded by a version that left out the middle of files over 1 MiB"  # a fingerprint of another rule
OBJECTIVE = "provenance/objective"  # the score that a sweeper reads of a run; "" where it has none
JUDGE = "provenance/judge"  # the evaluator whose predictions a run is judged by
BOOKKEEPING = {"dir", "name", "log", "resume", "device", "deterministic", "figures", "objective", "report", "study"}
TRAINED = {
    "weights",
    "runs",
    "tokens",
    "negatives",
    "warm_start",
}  # keys whose values name files of weights, a tokenizer or mined negatives, or runs that hold them
OF_A_MODEL = ("*.safetensors", "config.json", "tokenizer.json", "modules.json", "*_*/config.json", "*_*/*.safetensors")


def judge(summary: Mapping[str, Any]) -> str:
    """The evaluator that a run is judged by; older runs, which did not record it, had the probe."""
    return str(summary.get(JUDGE, "probe"))


def incomparable(*marks: object) -> str:
    """Why fingerprints of several rules say nothing of each other: how one of them was made."""
    quick = any(str(mark).startswith("quick:") for mark in marks)
    return "recorded once by data.fingerprint=quick" if quick else OLDER


def comparable(one: object, two: object) -> bool:
    """Whether two fingerprints of data were taken by one rule; else they differ, and that says nothing of the data."""
    return str(one).rpartition(":")[0] == str(two).rpartition(":")[0]


def config_key(plain: Mapping[str, Any]) -> str:
    """16 hex digits that name a resolved config without its bookkeeping: equal keys mean equal numbers.

    Where a setting names weights on disk, what they hold is part of the key: others under the same name are another config.
    """
    facts = {k: v for key in plain if key not in BOOKKEEPING for k, v in flat(plain[key], key).items()}
    named = {k: v if isinstance(v, list) else [v] for k, v in facts.items() if k.rpartition(".")[2] in TRAINED}
    facts |= {f"{k}@": held for k, v in named.items() if any(held := [weights_hash(Path(str(n))) for n in v])}
    return json_hash(facts)[:16]


@cache
def source_hash() -> str:
    """Hash of the package's source as it was when first called in this process: later edits do not run in it."""
    return source_hash_of("")


@cache
def source_hash_of(*parts: str) -> str:
    """The same of some files and folders of the package alone, by their paths in it."""
    digest = hashlib.sha256()
    here = Path(__file__).parents[1]
    found = [[here / part] if part.endswith(".py") else (here / part).rglob("*.py") for part in parts]
    for path in sorted(path for paths in found for path in paths):
        digest.update(str(path.relative_to(here)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def weights_hash(path: Path) -> list[str]:
    """Digests of a file of weights, of those in a model's directory or in a run's checkpoints; none where there is neither."""
    path = path.expanduser()
    if path.is_file():
        at = path.stat()
        return [_of_large(path, at.st_size, at.st_mtime_ns)]
    # beside a model of sentence-transformers in a folder of its own stand its pooling and its last layers
    folders = [path, *([path.parent] if (path.parent / "modules.json").is_file() else [])]
    if own := [p for f in folders for pattern in OF_A_MODEL for p in sorted(f.glob(pattern)) if p.is_file()]:
        return [digest for p in own for digest in weights_hash(p)]
    return [digest for p in sorted(path.glob("checkpoints/*/manifest.json")) for digest in _in_checkpoint(p)]


def _in_checkpoint(manifest: Path) -> list[str]:
    try:
        files = guarded.read_json(manifest)["files"]
        return [digest for name, digest in sorted(files.items()) if name.startswith(("model.", "ema."))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if read_failure(error):
            raise
        return [guarded.file_hash(manifest)]  # damaged: whoever loads it says so


@cache
def _of_large(path: Path, size: int, changed: int) -> str:
    """Once a process for each state of the file: every cell of a study asks."""
    return retried(lambda: file_hash(path))


def flat(node: Any, key: str) -> dict[str, Any]:
    """{dotted key: plain value} of what stands at the top-level `key` of a config; what may move is left out."""
    return _flat(node, key, MAY_MOVE.get(key, set()))


def _flat(node: Any, key: str, skip: set[str]) -> dict[str, Any]:
    """{dotted key: plain value}, the keys of `skip` left out at any depth."""
    if isinstance(node, Mapping):
        pairs = [(str(k), v) for k, v in node.items() if k not in skip]
    elif isinstance(node, list) and any(isinstance(v, Mapping | list) for v in node):
        pairs = [(str(i), v) for i, v in enumerate(node)]
    else:
        return {key: node if node is None or isinstance(node, list | bool | int | float | str) else str(node)}
    return {k: v for name, child in pairs for k, v in _flat(child, f"{key}.{name}", skip).items()}
