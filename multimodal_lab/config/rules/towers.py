"""Rules of what pretrained towers bring: tokenizers of files."""

from __future__ import annotations

from collections.abc import Iterator

from multimodal_lab.config.problem import Problem
from multimodal_lab.config.rules.wiring import Tree
from multimodal_lab.files import tokenizer_file
from multimodal_lab.text import meant

TRAINED = ("word", "bpe")


def tokenizers(tree: Tree) -> Iterator[Problem]:
    """A tokenizer is trained here, or is a file that is there; what a head writes is written by one trained here."""
    for name, node in tree["modality"].items():
        path, key = node.get("tokens"), f"modality.{name}.tokens"
        if not isinstance(path, str) or path in TRAINED:
            continue
        near = meant(path, TRAINED)
        if node.get("role") == "target":
            expects = "what a head writes it writes by a tokenizer trained here; expected word or bpe"
            yield Problem(key, path, expects, f"{key}={near or 'bpe'}")
        elif not tokenizer_file(path).is_file():
            expects = "no tokenizer there; expected word, bpe, a tokenizer.json, or a directory with one"
            yield Problem(key, path, expects, f"{key}={near}" if near else "")


TOWER_RULES = (tokenizers,)
