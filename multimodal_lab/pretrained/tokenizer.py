"""The tokenizer of a model: its file, by directory or hub id, and its JSON text as the package tokenizers writes it."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from multimodal_lab.files import read_json
from multimodal_lab.pretrained.hub import MODULES, find, inner

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
OLDER = (
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)  # of which FILE is made
AS_THE_FILE = (None, "PreTrainedTokenizerFast", "TokenizersBackend")  # classes that add nothing to tokenizer.json


def tokenizer_file(path: str) -> Path:
    """The tokenizer.json that a path names: itself, or that of a directory or of a hub id in the user's cache."""
    folder = find(path, FILE)
    return Path(path).expanduser() if folder is None else folder / FILE


def instead(path: str) -> str:
    """What to do about a directory without a tokenizer.json, told by what is in it; "" where nothing says."""
    folder = Path(path).expanduser()
    if (folder / (place := inner(folder)) / FILE).is_file():
        return f"{MODULES} says that its model lies in {folder / place}"
    if older := next((name for name in OLDER if (folder / name).is_file()), ""):
        made = f"from transformers import AutoTokenizer as T; T.from_pretrained('{folder}').save_pretrained('{folder}')"
        return f'it has {older} and no {FILE}, which `python -c "{made}"` makes of it once'
    return ""


def tokenizer_json(path: str) -> str:
    """The JSON text of the tokenizer that `path` names; `ValueError` in one sentence, without the path, for what is none.

    A directory may name a class of transformers, which adds to tokenizer.json what the file may lack, such as the lower case of
    SigLIP 2: then it is what that class makes. A file is taken as it is.
    """
    file = tokenizer_file(path)
    alone = file == Path(path).expanduser()
    try:
        return _json(str(file), alone, file.stat().st_mtime_ns)
    except Exception as error:  # the packages raise whatever is wrong
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"{file.name} is not a file of the package tokenizers ({said[:200]})") from error


@lru_cache(maxsize=8)
def _json(file: str, alone: bool, changed: int) -> str:
    from tokenizers import Tokenizer

    named = settings(Path(file).parent).get("tokenizer_class")
    if not alone and named not in AS_THE_FILE and (own := _of_class(Path(file).parent)):
        return own
    return str(Tokenizer.from_file(file).to_str())


def _of_class(folder: Path) -> str:
    """What transformers makes; "" for a class that has no such text, or needs a package that is not here."""
    from transformers import AutoTokenizer

    with contextlib.suppress(ImportError):
        peer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        backend = getattr(peer, "backend_tokenizer", None)
        return "" if backend is None else str(backend.to_str())
    return ""


def settings(folder: Path) -> dict[str, Any]:
    """What tokenizer_config.json of a directory says; {} where it can't be read."""
    return read(folder / SETTINGS)


def read(path: Path) -> dict[str, Any]:
    """A JSON file of names and values; {} where it can't be read, or is none."""
    with contextlib.suppress(OSError, ValueError):
        found = read_json(path)
        return found if isinstance(found, dict) else {}
    return {}
