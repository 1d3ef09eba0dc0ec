"""What figures show of single samples: it is saved with the embeddings, as figures are drawn from the files of a run alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.evaluate import (
    attention_samples,
    map_samples,
    retrieval_samples,
    sound_samples,
    texts,
    time_samples,
)
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.retrieval import Retrieval
from multimodal_lab.evaluate.rollout import Rollout
from multimodal_lab.evaluate.separation import Separation
from multimodal_lab.stage import computing, stage


@dataclass(frozen=True)
class FigureSamples:
    """names: the figures that will be drawn. rollout: how attention is shown. separation: which mixtures are heard. retrieval:
    the evaluator whose items are searched."""

    names: Collection[str] = ()
    rollout: Rollout = field(default_factory=Rollout)
    separation: Separation = field(default_factory=Separation)
    retrieval: Retrieval = field(default_factory=Retrieval)

    @classmethod
    def of(cls, cfg: DictConfig) -> FigureSamples:
        """Those of a config."""
        node = (cfg.get("report") or {}).get("attention")
        judged = cfg.get("evaluate") or {}
        mixed, ranked = judged.get("separation"), judged.get("retrieval")
        return cls(
            list(cfg.figures),
            safe_instantiate(node) if node else Rollout(),
            safe_instantiate(mixed) if mixed else Separation(),
            own if isinstance(own := safe_instantiate(ranked) if ranked else None, Retrieval) else Retrieval(),
        )

    @property
    def attention(self) -> bool:
        """Whether any figure shows what towers look at."""
        return not {*self.names}.isdisjoint(attention_samples.FIGURES)

    def require(self, system: Any, data: Any, device: torch.device, split: str) -> None:
        """`ValueError`, before the training, for what can't be shown for the way in which it was asked for."""
        if self.attention:
            with stage("looking at the attention of one sample"):
                attention_samples.require(system, data, device, split, self.rollout)

    def save(
        self, system: Any, data: Any, test: Embeddings, device: torch.device, splits: Sequence[str], split: str,
        folder: Path, pictures: bool,
    ) -> None:  # fmt: skip
        """Write what figures show of `split`, the scored one of the embedded `splits`. pictures: inputs are images."""
        texts.save(data, splits, folder / texts.FILE)
        if "neighbours" in self.names:
            with stage("searching for the queries of the figures"):
                file = folder / retrieval_samples.FILE
                retrieval_samples.save(data, test, file, pictures, ranking=self.retrieval)
        if "separation" in self.names:
            with computing(system, "mixing and separating the sounds of the page"):
                sound_samples.save(system, data, test, device, folder / sound_samples.FILE, self.separation)
        if pictures:
            map_samples.save(system, data, device, split, folder / map_samples.FILE)
        if pictures and self.attention:
            with computing(system, "looking at what the towers attend to"):
                attention_samples.save(system, data, device, split, folder / attention_samples.FILE, self.rollout)
        if pictures and time_samples.FIGURE in self.names:
            with computing(system, "looking at what the backbones attend to over time"):
                time_samples.save(system, data, device, split, folder / time_samples.FILE)
