"""Rules of what pretrained towers bring: tokenizers of files, the mean and std of their weights."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from multimodal_lab.config.problem import Problem
from multimodal_lab.config.rules.wiring import Tree, backbones, file_of, streams, target
from multimodal_lab.config.signature import SourceError, definition
from multimodal_lab.pretrained.hub import ID
from multimodal_lab.pretrained.tokenizer import instead, tokenizer_file
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
            where = "word, bpe, a tokenizer.json, a directory with one, or an id of the Hugging Face hub that is in the cache"
            fetch = f" (`hf download {path}` fetches it)" if ID.fullmatch(path) and "/" in path else ""
            more = f"; {found}" if (found := instead(path)) else ""
            expects = f"no tokenizer there; expected {where}{fetch}{more}"
            yield Problem(key, path, expects, f"{key}={near}" if near else "")


def own_preprocessing(tree: Tree) -> Iterator[Problem]:
    """A stream that is normalised or resized as its backbone's weights were trained has a backbone with such weights."""
    for name in streams(tree):
        node, at = backbones(tree)[name], f"backbones.{name}" if name in (tree.get("backbones") or {}) else "backbone"
        for word, told in (("normalise", _normalisation), ("resize", _resizing)):
            if tree["modality"][name].get(word) == "backbone":
                yield from told(f"modality.{name}", at, node)


def _normalisation(stream: str, at: str, node: Tree) -> Iterator[Problem]:
    key, near = f"{stream}.normalise", f"{stream}.normalise=imagenet"
    if not _tells(target(node), "normalisation"):
        names = "imagenet, sat493m or {mean, std}"
        expects = f"{at}={file_of(node)} has no weights with a mean and std of their own; give {names}"
        yield Problem(key, "backbone", expects, near)
    elif node.get("weights") == "random":
        yield Problem(key, "backbone", f"{at}.weights=random have no mean and std of their own; give weights", near)


def _resizing(stream: str, at: str, node: Tree) -> Iterator[Problem]:
    if not _tells(target(node), "resizing"):
        expects = (
            f"{at}={file_of(node)} has no weights that say how images were resized; give size, resize and resize_mode"
        )
        yield Problem(f"{stream}.resize", "backbone", expects, f"{stream}.resize=bicubic")


def _tells(backbone: str, method: str) -> bool:
    """Whether a class has a method, such as `normalisation`; one whose source or bases are not read is refused nothing."""
    try:
        _, node = definition(backbone)
    except SourceError:
        return True
    if not isinstance(node, ast.ClassDef) or any(not ast.unparse(base).endswith("Module") for base in node.bases):
        return True
    named = [s.name for s in node.body if isinstance(s, ast.FunctionDef)]
    named += [t.id for s in node.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)]
    return method in named


TOWER_RULES = (tokenizers, own_preprocessing)
