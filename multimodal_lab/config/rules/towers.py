"""Rules of what pretrained towers bring: tokenizers of files, the mean and std of their weights."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from multimodal_lab.config.problem import Problem
from multimodal_lab.config.rules.wiring import Tree, backbones, file_of, streams, target
from multimodal_lab.config.signature import SourceError, definition
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


def own_normalisation(tree: Tree) -> Iterator[Problem]:
    """A stream that is normalised as its backbone's weights were trained has a backbone with such weights."""
    for name in (n for n in streams(tree) if tree["modality"][n].get("normalise") == "backbone"):
        node, at = backbones(tree)[name], f"backbones.{name}" if name in (tree.get("backbones") or {}) else "backbone"
        key, near = f"modality.{name}.normalise", f"modality.{name}.normalise=imagenet"
        if not _tells(target(node)):
            names = "imagenet, sat493m or {mean, std}"
            expects = f"{at}={file_of(node)} has no weights with a mean and std of their own; give {names}"
            yield Problem(key, "backbone", expects, near)
        elif node.get("weights") == "random":
            yield Problem(key, "backbone", f"{at}.weights=random have no mean and std of their own; give weights", near)


def _tells(backbone: str) -> bool:
    """Whether a class has a `normalisation`; one whose source or bases are not read is refused nothing."""
    try:
        _, node = definition(backbone)
    except SourceError:
        return True
    if not isinstance(node, ast.ClassDef) or any(not ast.unparse(base).endswith("Module") for base in node.bases):
        return True
    named = [s.name for s in node.body if isinstance(s, ast.FunctionDef)]
    named += [t.id for s in node.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)]
    return "normalisation" in named


TOWER_RULES = (tokenizers, own_normalisation)
