"""The layers that sentence-transformers puts behind the pooled vector of a text model: `N_Dense` of its directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from multimodal_lab.backbone import weights as files
from multimodal_lab.files import read_json
from multimodal_lab.pretrained.hub import MODULES, whole
from multimodal_lab.pretrained.tokenizer import read

# the model, `own_pooling`, and unit length, which losses and metrics give
ELSEWHERE = ("Transformer", "CLIPModel", "Pooling", "Normalize")
ACTIVATIONS = {
    f"torch.nn.modules.{file}.{kind.__name__}": kind
    for file, kinds in (
        ("linear", (nn.Identity,)),
        ("activation", (nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.Mish)),
    )
    for kind in kinds
}


def dense_layers(folder: Path, hidden: int, begin: str) -> nn.Sequential | None:
    """activation(W x + b) for each `Dense` that modules.json names, in its order; None where it names none.

    hidden: the width of the pooled vector. begin: "random", with weights of their own. `ValueError` for a module of another kind,
    or for layers that don't fit; `FileNotFoundError` where one has no safetensors.
    """
    layers: list[nn.Module] = []
    folder = whole(folder)
    for place, said in _named(folder):
        linear, activation = _built(folder / place, said, hidden)
        if begin == "pretrained":
            path = files.in_directory(folder / place, f"backbone.weights={folder}: {place}")
            try:
                linear.load_state_dict({k.removeprefix("linear."): x.float() for k, x in files.read(path).items()})
            except RuntimeError as error:
                why = " ".join(str(error).split()).partition(":")[2].strip()[:200]
                said_so = f"backbone.weights={folder}: {place}: its tensors are not those of its config.json"
                raise ValueError(f"{said_so} ({why})") from error
        layers += [linear, activation]
        hidden = linear.out_features
    return nn.Sequential(*layers) if layers else None


def require_dense(folder: Path, hidden: int, begin: str) -> None:
    """Its errors, but for those of the tensors, which are not read."""
    folder = whole(folder)
    for place, said in _named(folder):
        hidden = _built(folder / place, said, hidden)[0].out_features
        if begin == "pretrained":
            files.in_directory(folder / place, f"backbone.weights={folder}: {place}")


def _named(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """The folders of the `Dense` modules, and what their config.json says."""
    layers = []
    for module in _list(folder):
        kind, place = (str(module.get(key, "")) for key in ("type", "path"))
        if (kind := kind.rpartition(".")[2]) in ELSEWHERE:
            continue
        if kind != "Dense":
            raise ValueError(
                f"backbone.pool=auto: {folder / MODULES} names a module {kind or module}, and {', '.join(ELSEWHERE)} and Dense "
                "are read; choose mean, first, last or pooler, which leave out what stands behind the model"
            )
        if Path(place).name != place or not place:
            raise ValueError(f"{folder / MODULES}: names {place!r}, which is no folder beside it")
        layers.append((place, read(folder / place / "config.json")))
    return layers


def _list(folder: Path) -> list[dict[str, Any]]:
    """modules.json, a list of modules; [] where there is none."""
    path = folder / MODULES
    if not path.is_file():
        return []
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: can't be read ({error})") from error
    if not isinstance(found, list) or not all(isinstance(module, dict) for module in found):
        raise ValueError(f"{path}: expected a list of modules, as sentence-transformers writes it")
    return found


def _built(place: Path, said: dict[str, Any], hidden: int) -> tuple[nn.Linear, nn.Module]:
    width, out, activation = (said.get(key) for key in ("in_features", "out_features", "activation_function"))
    if width != hidden or not isinstance(out, int) or not 0 < out <= 2**16:
        raise ValueError(
            f"{place / 'config.json'}: a layer from {width} to {out} numbers behind a vector of {hidden}; expected "
            f"in_features={hidden}"
        )
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"{place / 'config.json'}: activation_function {activation!r}, expected one of {', '.join(ACTIVATIONS)}"
        )
    return nn.Linear(hidden, out, bias=bool(said.get("bias", True))), ACTIVATIONS[activation]()
