"""Stop a training that has stopped making sense, and keep the batch and the weights that show it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from multimodal_lab.checkpoint.safetensors_reader import read as read_tensors
from multimodal_lab.device import distributed
from multimodal_lab.runs.records import read_batch, write_batch
from multimodal_lab.train.dtensor import local, whole
from multimodal_lab.train.meters import Meters
from multimodal_lab.train.step import Step
from multimodal_lab.types import Batch

PATIENCE = 10  # steps in a row
FP16_PATIENCE = 18  # a loss scale of 2^16 may have to be halved down to 1
EVERY = 10  # steps between looks: each waits for the device
TRY = "lower optim.lr, set train.clip_norm, or use train.precision=bf16"


class DivergenceGuard:
    """Looks every ten steps at most; what is not finite for ten in a row, or an fp16 scale below 1, ends the training.

    So does a gradient that is exactly 0 at every step up to number `learns_by`: nothing is learnt.
    """

    def __init__(self, folder: Path, step: Step, meters: Meters, every: int, learns_by: int) -> None:
        self.folder, self.step, self.meters = folder, step, meters
        self.fp16 = step.precision == "fp16"
        self.every = 1 if self.fp16 else min(every, EVERY)
        self.learns_by = learns_by
        self._last: tuple[Sequence[Batch], Mapping[str, Tensor], Mapping[str, Tensor], dict[str, Any]] | None = None

    def look(
        self,
        group: Sequence[Batch],
        terms: Mapping[str, Tensor],
        norm: Tensor,
        number: int,
        epoch: int,
        progress: float,
    ) -> None:
        """After update `number`: `FloatingPointError` if it is time to stop, the evidence kept beside the run's files."""
        self._last = (
            group,
            terms,
            # an fp16 gradient that overflows is ordinary: the scale is halved until the next one fits
            {} if self.fp16 else {"gradient norm": norm},
            {"step": number - 1, "epoch": epoch, "progress": progress, "rank": distributed.rank()},
        )
        if number == self.learns_by and not self.meters.moved():
            raise ValueError(
                f"the gradient was exactly 0 at every step up to {number}, with a loss of {float(terms['total']):g}: nothing is "
                "learnt. Does a batch hold labels, two classes, and two samples to compare?"
            )
        if number % self.every:
            return
        bad, scale = self.meters.bad_steps(), self.step.scaler.get_scale()
        if bad < (FP16_PATIENCE if self.fp16 else PATIENCE) and scale >= 1.0:
            return
        reason = (
            f"the loss or its gradient has not been finite for {bad} steps" if bad else f"the fp16 scale is {scale:g}"
        )
        raise FloatingPointError(f"{reason} at step {number}; {TRY}. {self._kept()}")

    def require_finite_end(self, scores: Mapping[str, float]) -> None:
        """Refuse to end where a term of the last step made here, its gradient norm, or a term of `scores` is not finite.

        `scores` are of the validation split: a term's name there is `val/TERM`; deeper names are scores, which may be
        undefined.
        """
        if self._last is not None:
            _, terms, norm, where = self._last
            for what, values in (("loss", terms), ("gradient", norm)):
                if distributed.any_rank(bool(found := not_finite(values))):
                    raise FloatingPointError(
                        f"the training {what} is not finite at its end, step {where['step'] + 1}: "
                        f"{found or 'see the other ranks'}; {TRY}. {self._kept()}"
                    )
            if self.meters.bad_steps() > where["step"]:
                raise FloatingPointError(
                    f"no step was taken: the gradient was not finite at any of {where['step'] + 1} steps, for the fp16 scale was "
                    f"still being halved (it is {self.step.scaler.get_scale():g} now); give it more steps, or use "
                    "train.precision=bf16"
                )
        if distributed.any_rank(bool(found := not_finite({k: v for k, v in scores.items() if k.count("/") == 1}))):
            raise FloatingPointError(
                f"the validation loss is not finite at the end of the training: {found or 'see rank 0'}; {TRY}"
            )

    def _kept(self) -> str:
        """Keep the last step's batch and weights on every rank; the sentence that says where, and what to do with them."""
        assert self._last is not None
        group, _, _, where = self._last
        kept = self.folder / f"bad_batch_{distributed.rank()}"
        keep(kept, self.step, group, where)
        return (
            f"Batch and weights are in {kept}: python -m multimodal_lab.replay {kept} repeats the step and names the "
            "first module that fails"
        )


def require_finite_held_out(scores: Mapping[str, float]) -> None:
    """Refuse loss terms (`SPLIT/TERM`) of a scored split that are not finite: the scores of such a system mean nothing."""
    if found := not_finite(scores):
        of = "validation" if all(key.startswith("val/") for key in scores) else "held-out"
        raise FloatingPointError(
            f"the {of} loss is not finite after the training: {found}; {TRY}. Checkpoints and metrics.jsonl are kept; "
            "nothing was scored"
        )


def not_finite(terms: Mapping[str, Any]) -> str:
    """`name = value` of the loss terms that are not finite, the sum only where no single one is at fault; "" if none."""
    bad = {k: float(v) for k, v in terms.items() if not math.isfinite(float(v))}
    named = {k: v for k, v in bad.items() if k.rpartition("/")[2] != "total"} or bad
    return ", ".join(f"{k} = {v:g}" for k, v in named.items())


def require_sound(system: nn.Module) -> None:
    """Refuse to save weights that are not finite, or a buffer with NaN; names the first."""
    weights = dict(system.named_parameters())
    state = {k: local(x) for k, x in system.state_dict().items()}
    checks = {k: (x.isfinite() if k in weights else ~x.isnan()).all() for k, x in state.items()}
    bad = next((name for name, fine in checks.items() if not fine), None)
    if distributed.any_rank(bad is not None):
        name = bad or "what another rank holds"
        raise FloatingPointError(f"{name} is not finite: not saved; the checkpoints before are intact")


def keep(folder: Path, step: Step, group: Sequence[Batch], where: Mapping[str, Any]) -> None:
    """Write the raw batches of one step, the weights it met, and all else that it depends on."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"{i}.{k}": v.contiguous() for i, batch in enumerate(group) for k, v in batch.named().items()}
    save_file({k: v.cpu().clone() for k, v in tensors.items()}, folder / "batch.safetensors")
    weights = {k: whole(v).cpu().contiguous().clone() for k, v in step.system.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    facts = {**where, "seed": step.seed, "precision": step.precision, "batches": len(group)}
    facts |= {"scale": step.scaler.get_scale(), "ids": [b.ids.tolist() for b in group]}
    write_batch(folder, facts)


def replay(folder: Path, step: Step) -> tuple[dict[str, float], float, str]:
    """Repeat the kept step without its update: the terms, the gradient norm, and the first module that fails (or "").

    `step` must be built from the run's config; its weights are replaced. The state of optimizer and scale plays no part.
    """
    facts: dict[str, Any] = read_batch(folder)
    step.system.load_state_dict(read_tensors(folder / "model.safetensors"))
    found = read_tensors(folder / "batch.safetensors")
    group = [
        Batch.from_named({k.split(".", 1)[1]: v for k, v in found.items() if k.startswith(f"{i}.")})
        for i in range(facts["batches"])
    ]
    step.system.train()
    with _FirstFailure(step.system) as first:
        terms = step.gradient(group, facts["step"], facts["epoch"], facts["progress"])
    norm = nn.utils.clip_grad_norm_(step.system.parameters(), torch.inf)
    step.optimizer.zero_grad(set_to_none=True)
    return {k: float(v) for k, v in terms.items()}, float(norm), first.name


class _FirstFailure:
    """The name of the innermost module that first gives a value that is not finite."""

    def __init__(self, system: nn.Module) -> None:
        self.name = ""
        self._hooks = [m.register_forward_hook(self._look(name)) for name, m in system.named_modules() if name]

    def __enter__(self) -> _FirstFailure:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _look(self, name: str) -> Any:
        def hook(_: nn.Module, __: Any, out: Any) -> None:
            if not self.name and any(not torch.isfinite(t).all() for t in _tensors(out)):
                self.name = name

        return hook


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, Mapping):
        return [t for v in value.values() for t in _tensors(v)]
    if isinstance(value, list | tuple):
        return [t for v in value for t in _tensors(v)]
    return [value.tokens, value.pooled] if hasattr(value, "tokens") else []
