"""A folder of photos and nothing else, as one stream of a run whose own data are a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.plain import as_plain
from multimodal_lab.data import kinds
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.readers.pair_rows import TABLES
from multimodal_lab.data.source import DataError
from multimodal_lab.predict.files import IMAGES, Files, colour_of
from multimodal_lab.predict.given import OfFile
from multimodal_lab.predict.predictor import Predictor

KEYS = ("data.root", "data.on_error", "data.max_bad", "data.source.alpha", "data.source.limits")
NAMED = "data=images"
KEPT = ("alpha", "limits", "on_error")  # keys of a reader


def alone(predictor: Predictor, cfg: DictConfig, words: Sequence[str], of: str) -> bool:
    """Whether `words` name a folder without a table, where the run's reader needs one, and `of` is a stream of pictures.

    data=images says so of a folder that holds a table, too.
    """
    one, root = predictor.expected[of], Path(str(cfg.data.get("root"))).expanduser()
    if not all(word == NAMED or word.partition("=")[0].startswith(KEYS) for word in words) or one.steps is not None:
        return False
    if not kinds.get(one.kind).spatial or Files(predictor.source_node, root).alone is not None:
        return False
    return NAMED in words or not any(p.suffix.lower() in TABLES for p in root.iterdir() if p.is_file())


def pictures(predictor: Predictor, cfg: DictConfig, of: str) -> Prepared:
    """All pictures below `data.root` as stream `of`, seen as the run's own."""
    node = as_plain(cfg.data)
    root, names = str(node["root"]), {b.name for b in predictor.expected[of].bands}
    colour = colour_of(node["source"], predictor.expected[of])
    if lacking := sorted(names - ({"grey"} if colour == "grey" else {*"RGB"})):
        raise DataError(f"data.root={root}: stream {of} has band {lacking[0]}, which a picture has not")
    own = {k: node["source"][k] for k in KEPT if node["source"].get(k) is not None}
    source = safe_instantiate({**own, "_target_": IMAGES, "root": root, "colour": colour})
    paths = [str(path) for path in source.samples.path]
    given = predictor.given(paths, {of: [OfFile(source, i, path) for i, path in enumerate(paths)]})
    given.fingerprint = fingerprint(source, root, node["fingerprint"])
    return predictor.prepared(given, on_error=node["on_error"], max_bad=node["max_bad"])
