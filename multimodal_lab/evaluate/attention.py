"""The attention of any tower, recorded while it runs: no part of it is changed, and none must know that it is watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_SOFTMAX = (torch.softmax, torch.Tensor.softmax, F.softmax)


class Recorder(TorchFunctionMode):
    """Inside `with Recorder() as recorder:` attention probabilities are kept, in the order in which they are computed.

    layers: (N, heads, L, L) of self-attention; pools: (N, heads, Q, L) of attention from other queries, such as the one that
    pools SigLIP's image. Seen are `F.scaled_dot_product_attention`, which is computed openly instead, equal up to rounding,
    softmax over the last axis of (N, heads, Q, L), and `nn.MultiheadAttention`. What follows from `layers` has a gradient with
    respect to them, nothing before has.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[Tensor] = []
        self.pools: list[Tensor] = []
        self.fast = True

    def __enter__(self) -> Recorder:
        self.fast = torch.backends.mha.get_fastpath_enabled()  # a whole layer as one operation, which nobody sees into
        torch.backends.mha.set_fastpath_enabled(False)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        torch.backends.mha.set_fastpath_enabled(self.fast)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch for each of its functions."""
        kwargs = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            wanted = kwargs.pop("need_weights", True)
            kwargs.pop("average_attn_weights", None)
            out, weights = func(*args, **kwargs, need_weights=True, average_attn_weights=False)
            self._keep(weights if weights.ndim == 4 else weights[None])
            return out, weights.mean(-3) if wanted else None
        found = func(*args, **kwargs)
        if func in _SOFTMAX and found.ndim == 4 and _axis(args, kwargs) in (-1, 3):
            return self._keep(found)
        return found

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> Tensor:  # fmt: skip
        """As torch documents the function; without dropout, which is none in eval mode."""
        if enable_gqa:
            key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            after = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(after, -torch.inf)
        if attn_mask is not None:
            seen = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -torch.inf) if seen else scores + attn_mask
        weights = scores.softmax(-1).to(value.dtype)
        return (self._keep(weights) if weights.ndim == 4 else weights) @ value

    def _keep(self, weights: Tensor) -> Tensor:
        if weights.shape[-1] != weights.shape[-2]:
            self.pools.append(weights.detach().float())
            return weights
        weights = weights.detach().requires_grad_()
        self.layers.append(weights)
        return weights


def _axis(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return kwargs.get("dim", args[1] if len(args) > 1 else None)
