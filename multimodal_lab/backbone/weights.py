"""Find and load pretrained weights from a file or the local caches, never from the network."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_lab.backbone import dinov3
from multimodal_lab.files import read_json
from multimodal_lab.text import beside

FORMATS = (".safetensors", ".pt", ".pth", ".bin")
INDEX = "model.safetensors.index.json"
IN_DIRECTORY = ("model.safetensors", INDEX)
PICKLED = "pytorch_model*.bin"  # what older versions of transformers wrote: one file, or several
CONVERT = (
    'python -c "import glob, torch, safetensors.torch as s; s.save_file({{k: v.contiguous().clone() for f in glob.glob({old!r}) '
    "for k, v in torch.load(f, map_location='cpu', weights_only=True).items()}}, {new!r}, {{'format': 'pt'}})\""
)
SAYS_STATISTICS = (
    ("preprocessor_config.json", "", ("image_mean", "image_std")),
    ("processor_config.json", "image_processor", ("image_mean", "image_std")),
    ("config.json", "pretrained_cfg", ("mean", "std")),
)
WRAPPERS = ("state_dict", "model", "model_state_dict")
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")


def locate(weights: str, cfg: Mapping[str, Any], model: str) -> Path:
    """The file of `weights`: a path, a directory that holds one, or "cache": where timm would have put those of `cfg`.

    A directory is as timm and transformers save one: model.safetensors, or the index of several. FileNotFoundError says where
    it looked and what command fetches the file; a format that could run code on reading is a ValueError.
    """
    if weights == "cache":
        return _cached(cfg, model)
    path = Path(weights).expanduser()
    if path.is_dir():
        return in_directory(path, f"backbone.weights={weights}")
    if path.suffix not in FORMATS:
        raise ValueError(
            f"backbone.weights={weights}: expected random, cache, a directory of timm or transformers, or a file ending in "
            f"{', '.join(FORMATS)}"
        )
    if not path.is_file():
        near = beside(path.absolute())
        raise FileNotFoundError(f"backbone.weights={weights}: no such file (looked for {path.absolute()}){near}")
    return path


def in_directory(folder: Path, said: str) -> Path:
    """The safetensors file of a directory, or the index of several; `FileNotFoundError`, which begins with `said`, without one.

    A pickle beside is never read: the message tells the command that converts it.
    """
    there = [folder / name for name in IN_DIRECTORY if (folder / name).is_file()]
    if there:
        return there[0]
    expects = f"expected {' or '.join(IN_DIRECTORY)} in it"
    if pickled := sorted(folder.glob(PICKLED)):
        convert = CONVERT.format(old=str(folder / PICKLED), new=str(folder / IN_DIRECTORY[0]))
        raise FileNotFoundError(f"{said}: {pickled[0].name} is a pickle, {expects}; convert it once with `{convert}`")
    raise FileNotFoundError(f"{said}: {expects}, found neither")


def statistics(weights: str) -> tuple[list[float], list[float]] | None:
    """The mean and std that the model in a directory (or that of a file) was trained with, of images from 0 to 1.

    By transformers' preprocessor_config.json or timm's config.json; None where neither says.
    """
    path = Path(weights).expanduser()
    folder = path if path.is_dir() else path.parent
    for name, inside, keys in SAYS_STATISTICS:
        try:
            found: Any = read_json(folder / name)
            found = found[inside] if inside else found
            mean, std = ([float(v) for v in found[key]] for key in keys)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if not found.get("do_rescale", True) or abs(found.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-3:
            raise ValueError(
                f"normalise=backbone: {folder / name} rescales images otherwise than by 1/255; give {{mean, std}}"
            )
        return mean, std
    return None


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file by name, without the wrappers that training scripts put around them.

    safetensors, the index of several, or a PyTorch file read with `weights_only=True`, which builds tensors and plain values
    only.
    """
    if path.name == INDEX:
        return {name: x for part in _parts(path) for name, x in read(part).items()}
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state: dict[str, Tensor] = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: not a readable safetensors file, or cut short ({error})") from error
        return state
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError… for what are all bad files
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{path}: not a file of plain tensors ({reason[0][:200]}); convert it to safetensors"
        ) from error
    return _unwrapped(found, path)


def load(model: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Load `state` into `model`: all of it or none.

    Classifier keys are dropped. Layouts that timm knows (the original DINOv3, ConvNeXt, … releases) are translated by
    its own filter, which also resamples a position table to the size of the stream (see `translate`). Anything else
    that is missing, extra or of another shape is a ValueError with the counts and the first names.
    """
    want = model.state_dict()
    missing = [k for k in want if k not in state and not k.endswith("num_batches_tracked")]
    extra = [k for k in state if k not in want]
    shape = [
        f"{k} {tuple(state[k].shape)} for {tuple(want[k].shape)}"
        for k in want
        if k in state and state[k].shape != want[k].shape
    ]
    if missing or extra or shape:
        parts = [
            f"{len(names)} {what} (first: {', '.join(names[:3])})"
            for names, what in ((missing, "missing"), (extra, "not in the model"), (shape, "of another shape"))
            if names
        ]
        raise ValueError(f"{source}: its weights don't fit {type(model).__name__}: {'; '.join(parts)}")
    model.load_state_dict(dict(state), strict=False)  # strict but for num_batches_tracked, which old files lack


def translate(state: Mapping[str, Tensor], model: nn.Module, cfg: Mapping[str, Any], source: Path) -> dict[str, Tensor]:
    """`state` in the names and shapes of the timm `model`, without the classifier; unknown layouts pass unchanged."""
    state = {k: v for k, v in state.items() if isinstance(v, Tensor)}
    for prefix in PREFIXES:
        if state and all(k.startswith(prefix) for k in state):
            state = {k.removeprefix(prefix): v for k, v in state.items()}
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        state = dinov3.translate(state, model)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    if convert is not None:
        # a layout that the filter doesn't know may break it: `load` then says what doesn't fit
        with suppress(KeyError, ValueError, RuntimeError, AttributeError, IndexError):
            state = convert(state, model)
    names = cfg.get("classifier") or ()
    heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    return {k: v for k, v in state.items() if not k.startswith(heads)}


def _parts(index: Path) -> list[Path]:
    """The files that an index names, all of its own directory."""
    try:
        named = sorted({str(name) for name in read_json(index)["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index}: not an index of safetensors files ({type(error).__name__}: {error})") from error
    for name in named:
        if Path(name).name != name or not name.endswith(".safetensors") or not (index.parent / name).is_file():
            raise ValueError(
                f"{index}: names {name!r}, which is no safetensors file beside it; is the download complete?"
            )
    return [index.parent / name for name in named]


def _unwrapped(found: Any, path: Path) -> dict[str, Tensor]:
    for name in WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not any(isinstance(v, Tensor) for v in found.values()):
        raise ValueError(
            f"{path}: holds no weights by name; expected a dict of tensors, or one under {', '.join(WRAPPERS)}"
        )
    return {str(k): v for k, v in found.items() if isinstance(v, Tensor)}


def _cached(cfg: Mapping[str, Any], model: str) -> Path:
    repository, _, revision = (cfg.get("hf_hub_id") or "").partition("@")
    url = cfg.get("url") or ""
    looked: list[str] = []
    if repository:
        from huggingface_hub import constants, try_to_load_from_cache

        names = [cfg["hf_hub_filename"]] if cfg.get("hf_hub_filename") else ["model.safetensors", "pytorch_model.bin"]
        for name in names:
            found = try_to_load_from_cache(repository, name, revision=revision or None)
            if isinstance(found, str):
                return Path(found)
        looked.append(f"{repository} in {constants.HF_HUB_CACHE}")
        if published := dinov3.repository(model):
            for name in IN_DIRECTORY:
                found = try_to_load_from_cache(published, name)
                if isinstance(found, str):
                    return Path(found)
            looked.append(published)
    if url.endswith(FORMATS):
        path = _torch_cache() / url.rpartition("/")[2]
        if path.is_file():
            return path
        looked.append(str(path))
    if not looked:
        raise FileNotFoundError(
            f"backbone.weights=cache: timm knows no pretrained weights for {model}; give a file or random"
        )
    fetch = f"hf download {repository} {names[0]}" if repository else f"curl -L --create-dirs -o {path} {url}"
    raise FileNotFoundError(
        f"backbone.weights=cache: no weights for {model}; looked for {' and '.join(looked)}. Nothing is downloaded "
        f"here. Fetch them once with `{fetch}`, give a file (backbone.weights=/path/to.safetensors), or ask for "
        "backbone.weights=random"
    )


def _torch_cache() -> Path:
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints"
