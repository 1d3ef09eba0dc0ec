"""Merge the low-rank updates of a trained run into its layers: `python -m multimodal_lab.merge run=DIR out=DIR`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimodal_lab import stage
from multimodal_lab.backbone.pooling import SENTENCES
from multimodal_lab.config import redact, resolvers
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.embed import asked, opened
from multimodal_lab.pretrained.hub import find
from multimodal_lab.runs import directory, hashes
from multimodal_lab.runs.records import DATA, read_config
from multimodal_lab.text import plain_output

if TYPE_CHECKING:
    from torch import nn

USAGE = """usage: python -m multimodal_lab.merge run=DIR out=DIR

run    the directory of a finished run with adapt=lora or adapt=adalora
out    a new directory: the run without adapt, whose layers are W + ΔW. Whatever reads a run reads it, adapt=encoders too; a
       training can't be resumed from it. The backbones lie in out/weights, for backbone.weights=FILE of another run."""
WEIGHTS = "weights"
BARE = {"save": "all", "ema": None, "monitor": None, "warm_start": None}  # of one checkpoint, which holds every weight
BESIDE = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "*.model", "*processor_config.json",
          "modules.json", str(SENTENCES))  # fmt: skip


def merge(run: Path, out: Path) -> str:
    """Write the run in `run`, its updates merged, to the new directory `out`; what was written."""
    if out.exists():
        raise ConfigError(f"out={out}: is there already; expected a new directory")
    opened(run, [])
    from omegaconf import OmegaConf

    from multimodal_lab.adapt import low_rank
    from multimodal_lab.checkpoint.store import CheckpointStore, read_state
    from multimodal_lab.files import write_json, write_text
    from multimodal_lab.predict import load
    from multimodal_lab.runs.guarded import read_json

    predictor = load(run, "cpu")
    adapted = _adapted(predictor.system)
    if not (count := low_rank.merge(predictor.system)):
        raise ConfigError(
            f"run={run}: has no low-rank updates to merge; expected a run with adapt=lora or adapt=adalora"
        )
    config = read_config(run)
    nodes = {name: config["backbones"].get(name, config["backbone"]) for name in adapted}
    config |= {"adapt": {}, "dir": str(out), "train": {**config["train"], **BARE}}
    CheckpointStore(out / directory.CHECKPOINTS, 1).save_weights(
        predictor.system, read_state(predictor.checkpoint)["step"]
    )
    written = [_backbone(name, predictor, nodes[name], out / WEIGHTS) for name in adapted if "weights" in nodes[name]]
    write_text(out / directory.CONFIG, OmegaConf.to_yaml(OmegaConf.create(config)))
    shutil.copyfile(run / DATA, out / DATA)
    summary = read_json(run / hashes.SUMMARY) if (run / hashes.SUMMARY).is_file() else {}
    # its scores are those of the unmerged run, to rounding; the hashes are of another config
    kept = {k: v for k, v in summary.items() if k not in (hashes.OF_CONFIG, hashes.OF_PREDICTIONS)}
    write_json(out / hashes.SUMMARY, {**kept, "provenance/merged": str(run)}, sort_keys=True)
    return "\n".join([f"{count} updates of {predictor.checkpoint} merged: {out}", *written])


def _adapted(system: nn.Module) -> list[str]:
    """The streams whose own backbone holds updates."""
    names = [name for name, _ in system.named_modules() if ".lora_" in name]
    return list(dict.fromkeys(name.split(".")[2] for name in names if name.startswith("backbones.each.")))


def _backbone(name: str, predictor: Any, node: dict[str, Any], folder: Path) -> str:
    """Write the model of a merged backbone as its `weights` are read: a directory of transformers, or a file; how to use it."""
    from multimodal_lab.checkpoint.safetensors_writer import write

    backbone, bands = predictor.system.backbones.each[name], [band.name for band in predictor.streams[name].bands]
    if getattr(backbone, "projection", None) is not None:  # a directory of transformers holds none
        return (
            f"backbone of {name}: no weights of its own, as its projection is a part of it; take it by adapt=encoders"
        )
    model = backbone.model
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(model, "save_pretrained"):
        path = folder / name
        if bands and hasattr(model.config, "num_channels"):
            model.config.num_channels = len(bands)  # its first convolution has been widened to them
        model.save_pretrained(path)
        beside = find(str(node["weights"]))  # also a hub id in the user's cache
        for file, base in ((f, beside) for pattern in BESIDE for f in beside.glob(pattern)) if beside else ():
            (path / file.relative_to(base)).parent.mkdir(exist_ok=True)
            shutil.copyfile(file, path / file.relative_to(base))
    else:
        path = folder / f"{name}.safetensors"
        write(path, model.state_dict())
    reads = f" pretrained_bands=[{','.join(bands)}]" if bands else ""
    return f"backbone of {name}: weights={path}{reads}"


def main() -> None:
    """The command line."""
    plain_output()
    resolvers.register()
    words, folder, rest = asked(USAGE, {"out"})
    try:
        if "out" not in words or rest:
            raise ConfigError(
                f"{rest[0]}: expected run=DIR and out=DIR" if rest else "out=DIR is missing: a new directory"
            )
        print(merge(folder, Path(words["out"])))
    except Exception as error:
        stage.leave(error, redact.text)


if __name__ == "__main__":
    main()
