"""Reload a trained run to embed other files with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from multimodal_lab.checkpoint.manifest import CheckpointError
from multimodal_lab.checkpoint.store import CheckpointStore, load_weights
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data.dataset import Resplit
from multimodal_lab.device.placement import pick_device
from multimodal_lab.evaluate import texts
from multimodal_lab.evaluate.embeddings import embed
from multimodal_lab.experiment.build import build_system
from multimodal_lab.runs.aliases import upgrade_weight
from multimodal_lab.runs.records import is_previous, read_record
from multimodal_lab.stage import computing, stage
from multimodal_lab.system import System


def embed_files(cfg: DictConfig, folder: Path, out: Path) -> str:
    """Embed all of `cfg.data` with the run in `folder`, preprocessed as its training data; returns the written files."""
    device = pick_device(cfg.device)
    system, data, path = trained(cfg, folder, device)
    with computing(system, "embedding the data"):
        found = embed(system, data, device, ("all",))
    files = found.save(out)
    texts.save(data, ("all",), texts.beside(out), most=None)
    return f"{len(found)} samples embedded by {path}: {', '.join(sorted(f.name for f in files))} in {out}"


def trained(cfg: DictConfig, folder: Path, device: torch.device) -> tuple[System, Any, Path]:
    """The trained system of the run in `folder`, `cfg.data` preprocessed as its own data, and the checkpoint used."""
    data = read_data(cfg, folder)
    system, path = load_trained(cfg, folder, data, device)
    return system, data, path


def read_data(cfg: DictConfig, folder: Path, resplit: Resplit = "never") -> Any:
    """`cfg.data` prepared as the run in `folder` prepared its own; resplit: see `Data.prepare`."""
    modality = OmegaConf.to_container(cfg.modality, resolve=True)
    with stage("reading data"):
        return safe_instantiate(cfg.data).prepare(modality, cfg.seed, frozen=read_record(folder), resplit=resplit)


def load_trained(cfg: DictConfig, folder: Path, data: Any, device: torch.device) -> tuple[System, Path]:
    """The trained system of the run in `folder`, built for `data`, and the checkpoint used.

    That is the best one where a score was watched, else the newest. `CheckpointError` if there is none.
    """
    store = CheckpointStore(folder / "checkpoints", cfg.train.keep_last)
    path = (store.best() if cfg.train.monitor else None) or store.newest()
    if path is None:
        raise CheckpointError(f"{store.folder}: no checkpoint here; was the run trained to its end?")
    torch.manual_seed(cfg.seed)  # frozen weights that were never trained are those of the seed
    system = build_system(cfg, data, trained=True).to(device)
    load_weights(path, system, upgrade_weight if is_previous(folder) else None)
    return system, path
