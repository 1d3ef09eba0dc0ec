"""Repeat the step that stopped a training: `python -m multimodal_lab.replay runs/mine/bad_batch_0`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from multimodal_lab import stage
from multimodal_lab.config import redact, resolvers
from multimodal_lab.runs.records import BATCH, read_batch, read_config, read_record, require_readable
from multimodal_lab.text import plain_output

USAGE = """usage: python -m multimodal_lab.replay RUN/bad_batch_RANK

Builds the run's system again, gives it the kept weights and batches, and says which loss terms and which module are not
finite. The run's data must be where they were."""
FACTS = ("batches", "epoch", "ids", "precision", "progress", "scale", "seed", "step")


def kept(folder: Path) -> dict[str, Any]:
    """What `batch.json` says of the kept step; `ValueError` where it can't be read, or the run beside it can't."""
    path = folder / BATCH
    try:
        found: dict[str, Any] = read_batch(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: can't be read ({error})") from error
    if not isinstance(found, dict) or not all(k in found for k in FACTS):
        raise ValueError(f"{path}: expected the facts of a kept step ({', '.join(FACTS)})")
    require_readable(folder.parent)
    return found


def repeat(folder: Path) -> str:
    """Repeat the saved step and return what it gives."""
    facts = kept(folder)
    from omegaconf import OmegaConf

    from multimodal_lab.config.check import refuse
    from multimodal_lab.config.directories import absent

    cfg = OmegaConf.create(read_config(folder.parent))
    refuse([*absent(cfg)])
    import torch

    from multimodal_lab.config.instantiate import safe_instantiate
    from multimodal_lab.device.placement import pick_device, repeatable
    from multimodal_lab.experiment.build import build_augmentation, build_system, feature_cache
    from multimodal_lab.train import divergence
    from multimodal_lab.train.step import Step

    device = pick_device(cfg.device)
    repeatable(device, cfg.get("deterministic", True))
    record = read_record(folder.parent)
    modality = OmegaConf.to_container(cfg.modality, resolve=True)
    with stage.stage("reading data"):
        data = safe_instantiate(cfg.data).prepare(modality, cfg.seed, frozen=record)
    system = build_system(cfg, data).to(device)
    augment = build_augmentation(cfg, feature_cache(cfg), system, data, device)
    scaler = torch.amp.GradScaler(device.type, init_scale=facts["scale"], enabled=facts["precision"] == "fp16")
    optimizer = torch.optim.SGD(system.parameters())
    step = Step(
        system, optimizer, scaler, augment, device, facts["precision"], facts["seed"], None, cfg.train.micro_batch
    )
    terms, norm, first = divergence.replay(folder, step)
    lines = [f"step {facts['step']}, samples {', '.join(str(i) for ids in facts['ids'] for i in ids)}"]
    lines += [f"{name} = {value:g}" for name, value in {**terms, "gradient norm": norm}.items()]
    return "\n".join(
        [*lines, f"first module that is not finite: {first or 'none; look at the losses and the gradient'}"]
    )


def main() -> None:
    """The command line."""
    plain_output()
    resolvers.register()
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(USAGE)
        return
    if len(sys.argv) != 2:
        sys.exit(f"error: expected one RUN/bad_batch_RANK\n{USAGE}")
    folder = Path(sys.argv[1])
    if not (folder / BATCH).is_file():
        sys.exit(f"error: {folder}: no kept batch here (expected batch.json in it)")
    try:
        print(repeat(folder))
    except Exception as error:
        stage.leave(error, redact.text)


if __name__ == "__main__":
    main()
