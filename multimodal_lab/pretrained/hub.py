"""A model by its directory, or by its id on the Hugging Face hub as this user's cache holds it; the network is never asked."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from multimodal_lab.files import read_json
from multimodal_lab.text import beside

CONFIG = "config.json"
MODULES = "modules.json"  # of sentence-transformers: the model, and what stands behind it, each in a folder or beside this file
ID = re.compile(
    r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*(?:@[\w./-]+)?"
)  # OWNER/NAME, or of old NAME, and @REVISION


def find(model: str, file: str = CONFIG) -> Path | None:
    """The directory that `model` names: itself, or the cached snapshot of a hub id that has `file`; None where neither is."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.exists() or not ID.fullmatch(model):
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    repository, _, revision = model.partition("@")
    try:
        found = try_to_load_from_cache(repository, file, revision=revision or None)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def directory(model: str, key: str) -> Path:
    """As `find`; one that is not there, or without a config.json, is a `ValueError` that begins with `key`."""
    found = find(model)
    if found is None and ID.fullmatch(model) and not Path(model).exists():
        from huggingface_hub import constants

        repository, _, revision = model.partition("@")
        fetch = f"hf download {repository}{f' --revision {revision}' if revision else ''}"
        raise ValueError(
            f"{key}={model}: no such directory, and no such model in the Hugging Face cache ({constants.HF_HUB_CACHE}). Nothing "
            f"is downloaded here. Fetch it once with `{fetch}`, or give a directory with {CONFIG} and model.safetensors"
        )
    if found is None or not (found / CONFIG).is_file():
        inside = found and inner(found)
        near = f"; {MODULES} says that its model lies in {key}={found / inside}" if found and inside else ""
        near = near if found else beside(Path(model).expanduser().absolute())
        raise ValueError(
            f"{key}={model}: expected a directory with {CONFIG} and model.safetensors, as save_pretrained of transformers "
            f"writes it, or an id of the Hugging Face hub; found {f'no {CONFIG} in it' if found else 'no such directory'}{near}"
        )
    return found


def inner(folder: Path) -> str:
    """The folder in a directory of sentence-transformers that holds its first module, the model; "" where it is the directory."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        place = read_json(folder / MODULES)[0]["path"]
        return place if isinstance(place, str) and Path(place).name == place else ""
    return ""


def whole(folder: Path) -> Path:
    """The directory of sentence-transformers whose model a folder is; itself where it is none."""
    return folder.parent if folder.name and inner(folder.parent) == folder.name else folder
