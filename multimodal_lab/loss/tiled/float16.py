"""16-bit matrix products with 32-bit accumulation, for inputs that are 16-bit already.

Unit rows are kept as float16 whichever of the two the inputs are: no number in them is above 1, and it has three bits more
than bfloat16, as many as TF32. Derivatives are far below 1 and are lifted to where float16 is as fine before they are rounded.
"""

from __future__ import annotations

import torch
from torch import Tensor

LIFT = 2.0**14
"""A derivative of a mean's share, in [-2, 2], times this is within float16's 65,504; what is lost of it is below 1e-11."""


def wanted(x: Tensor) -> bool:
    """Whether rows x are multiplied in 16 bits: they are 16-bit, and torch can accumulate in 32 bits (CUDA only)."""
    return x.is_cuda and torch.version.hip is None and x.dtype in (torch.float16, torch.bfloat16)


def scaled(x: Tensor, scale: float | Tensor) -> Tensor:
    """x times a number, which torch would round to 16 bits along with a 16-bit x."""
    return (x.float() * scale).half() if x.dtype == torch.float16 else x * scale


def product(x: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """x (N, D) @ y (D, M): of float16 in float32, else unchanged; into `out` where given."""
    if x.dtype != torch.float16:
        return torch.mm(x, y, out=out)
    if x.is_cuda:
        return torch.mm(x, y, out_dtype=torch.float32, out=out)  # type: ignore[call-overload, no-any-return]
    return torch.mm(x.float(), y.float(), out=out)


def add_product(sums: Tensor, weights: Tensor, rows: Tensor) -> None:
    """Add weights (M, N) @ rows (N, D) to sums (M, D); weights are rounded to what rows are."""
    if rows.dtype == sums.dtype:
        sums.addmm_(weights, rows)
    else:
        sums += product(weights.to(rows.dtype), rows)
