"""Gradient accumulation: what the labels of one batch count beside those of the step's other batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from multimodal_lab.device import distributed
from multimodal_lab.device.eval_mode import restored_modes
from multimodal_lab.loss.precision import counting
from multimodal_lab.system import System
from multimodal_lab.types import Batch

BY_ROW = ("features", "out", "present")  # of a scope, beside the batch


class LabelShares:
    """Factors with which the mean of a step's batch means is the mean over all labels of the step, however unevenly they fall.

    A term that is a mean over labels (`precision.mean_over_all`: of known labels, of tokens, weighted or not) gets, in each
    batch, its denominator there over the mean of its denominators. Any other term, such as a contrastive one, is the mean
    over the batches as it is. The denominators are asked of the losses themselves, with labels as they are and outputs of
    heads as zeros without memory; one forward pass of the whole training, in eval mode, of `rows` rows, finds their shapes.
    """

    def __init__(self, system: System, rows: int | None = None, added: Collection[str] = ()) -> None:
        """added: the targets that the augmentation adds, or gives another shape."""
        self.system, self.rows, self.added = system, rows, added
        self.scope: dict[str, Any] = {}
        self.terms: list[str] | None = None

    def __call__(
        self, group: Sequence[Batch], view: Batch, augmented: Callable[[Batch], Batch] | None = None
    ) -> list[dict[str, Tensor]]:
        """{term: factor} of each batch of `group`, whose first was augmented to `view`; alike on every rank.

        augmented: makes the view of a batch; it is asked where a loss reads what the augmentation adds.
        """
        terms = self._probe(view) if self.terms is None else self.terms
        if not terms:
            return [{}] * len(group)
        copies = len(view) // len(group[0])
        if augmented is not None and any(_reads(self.system.losses[k], self.added) for k in terms):
            labels = [augmented(batch).replace(inputs={}, mask=None) for batch in group]
        else:
            labels = [_labels(batch, view, copies) for batch in group]
        counts = torch.stack([torch.stack([torch.stack(self._counted(k, b)).sum() for k in terms]) for b in labels])
        counts = distributed.all_reduce_mean(counts)
        mean = counts.mean(0)
        shares = torch.where(mean > 0, counts / mean, 1.0)
        return [dict(zip(terms, row.unbind(), strict=True)) for row in shares]

    def _counted(self, term: str, batch: Batch) -> list[Tensor]:
        scope = {k: _hollow(v, len(batch)) if k in BY_ROW else v for k, v in self.scope.items()}
        with torch.no_grad(), counting() as found:
            self.system.losses[term]({**scope, "batch": batch})
        return found

    def _probe(self, view: Batch) -> list[str]:
        """Which terms read labels and take a mean over them, and the shapes of all else that they read."""
        reads = [k for k, loss in getattr(self.system, "losses", {}).items() if _reads_labels(loss)]
        if reads:
            with restored_modes(self.system), torch.no_grad():
                self.system.eval()
                found = self.system.scope(view.map(lambda x: x[: self.rows]))
            self.scope = {k: _hollow(v) if k in BY_ROW else v for k, v in found.items() if k != "batch"}
        self.terms = [k for k in reads if self._counted(k, view)]
        return self.terms


def _labels(batch: Batch, view: Batch, copies: int) -> Batch:
    """A batch's labels as often as it has views, without its inputs, where the view is."""
    bare = batch.replace(inputs={}, mask=None).to(view.ids.device)
    return bare.map(lambda x: torch.cat([x] * copies))


def _reads_labels(loss: Any) -> bool:
    return any(path.startswith("batch.targets.") for path in getattr(loss, "paths", {}).values())


def _reads(loss: Any, targets: Collection[str]) -> bool:
    return any(path.removeprefix("batch.targets.") in targets for path in getattr(loss, "paths", {}).values())


def _hollow(value: Any, rows: int | None = None) -> Any:
    """Zeros in place of every tensor, of its type and its shape, with `rows` rows, and the memory of one number."""
    if isinstance(value, Tensor):
        shape = value.shape if rows is None or not value.ndim else (rows, *value.shape[1:])
        return value.new_zeros(()).expand(shape)
    if isinstance(value, Mapping):
        return {k: _hollow(v, rows) for k, v in value.items()}
    if isinstance(value, tuple) and any(isinstance(v, Tensor) for v in value):
        return tuple(_hollow(v, rows) for v in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _hollow(getattr(value, f.name), rows) for f in fields(value)})
    return value
