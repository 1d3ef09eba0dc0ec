"""Counter-based random numbers without a generator: functions of (seed, epoch, sample, view, name, counter).

A hash of the counter takes the place of a state (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), so
a sample's augmentation does not depend on the batch it came in, on its order, on workers or on a restart, and no global
generator is read or written. Integers alone are mixed and tables alone are looked up: CPU and CUDA give equal bits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps

import torch
from torch import Tensor

from multimodal_lab.device.compiler import constant as constant_to_compiler
from multimodal_lab.hashing import SIGNED_GOLDEN, mix, shifted, stable_id, uniform

_TABLE_BITS = 16


def tables(most: int) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Keep the last `most` tables that a function makes of hashable constants; a table is never written into.

    A compiler finds those that are there and takes them as inputs of its graph; it would look through `lru_cache` and make
    them anew with every batch. So what is compiled runs once before, as it stands.
    """

    def keep(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        kept: dict[tuple[Hashable, ...], Tensor] = {}

        @wraps(function)
        def found(*arguments: Hashable) -> Tensor:
            if arguments not in kept:
                if len(kept) >= most:
                    kept.pop(next(iter(kept)))
                kept[arguments] = function(*arguments)
            return kept[arguments]

        return found

    return keep


_number = lru_cache(maxsize=4096)(stable_id)


@constant_to_compiler
def _token(text: str) -> int:
    return _number(text)


@tables(8)
def _quantiles(device: torch.device) -> Tensor:
    """The standard normal's quantiles at the middles of 2^16 equal steps, scaled to unit variance."""
    steps = torch.arange(1 << _TABLE_BITS, dtype=torch.float64)
    z: Tensor = torch.special.ndtri((steps + 0.5) / len(steps))
    return (z / z.square().mean().sqrt()).float().to(device)


@tables(64)
def constant(values: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    """A small float64 matrix kept on `device`, so that a step does not wait for its copy."""
    return torch.tensor(values, dtype=torch.float64).to(device)


@tables(64)
def _counters(count: int, device: torch.device) -> Tensor:
    """1 to `count`, spread over 64 bits. A table, as a compiler takes such a product for an index, which can't overflow."""
    return torch.arange(1, count + 1, device=device) * SIGNED_GOLDEN


@tables(16)
def _narrow_counters(count: int, device: torch.device) -> Tensor:
    """0 to `count` - 1, spread over 32 bits."""
    return torch.arange(count, device=device, dtype=torch.int32) * (0x9E3779B1 - (1 << 32))


def _uniform(keys: Tensor, count: int) -> Tensor:
    return uniform(keys[:, None] + _counters(count, keys.device))


@torch.library.custom_op("multimodal_lab::uniform", mutates_args=())
def _whole(keys: Tensor, count: int) -> Tensor:
    """`_uniform` as one piece to a compiler, which would hash anew at every pixel that a number is used at."""
    return _uniform(keys, count)


@_whole.register_fake
def _(keys: Tensor, count: int) -> Tensor:
    return keys.new_empty(keys.shape[0], count, dtype=torch.float32)  # len would fix the number of rows


class Draw:
    """One stream of random numbers per row. keys: (N,) int64."""

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys

    @classmethod
    def start(cls, ids: Tensor, view: Tensor, seed: int, epoch: int) -> Draw:
        """From sample ids (N,) and view numbers (N,), both int64."""
        return cls(mix(mix(ids ^ _token(f"{seed}/{epoch}")) + view * SIGNED_GOLDEN))

    def __len__(self) -> int:
        return len(self.keys)

    def fold(self, name: str) -> Draw:
        """An independent stream for each name: an op, a stream, a parameter."""
        return Draw(mix(self.keys ^ _token(name)))

    def rows(self, index: Tensor | slice) -> Draw:
        """The same draws for some rows alone."""
        return Draw(self.keys[index])

    def uniform(self, count: int) -> Tensor:
        """(N, count) float32 in [0, 1), 24 random bits each."""
        return _whole(self.keys, count) if torch.compiler.is_compiling() else _uniform(self.keys, count)

    def between(self, low: float, high: float, count: int) -> Tensor:
        """(N, count) float32, uniform in [low, high)."""
        return low + (high - low) * self.uniform(count)

    def normal(self, count: int) -> Tensor:
        """(N, count) float32 standard normal, within 4.33: 16 hashed bits each, looked up in a table of quantiles.

        The hash is lowbias32 (Wellons 2018) with the second half of the key mixed in midway. It is the cheap draw for
        a field of one number per pixel.
        """
        low, high = self.keys.contiguous().view(torch.int32).view(-1, 2).unbind(1)
        half = (count + 1) // 2
        h = low[:, None] + _narrow_counters(half, self.keys.device)
        h.bitwise_xor_(shifted(h, 16, 32)).mul_(0x7FEB352D).bitwise_xor_(high[:, None])
        h.bitwise_xor_(shifted(h, 15, 32)).mul_(0x846CA68B - (1 << 32))
        h.bitwise_xor_(shifted(h, 16, 32))
        index = torch.cat([h & 0xFFFF, shifted(h, 16, 32)], 1)[:, :count]
        return _quantiles(self.keys.device).index_select(0, index.reshape(-1)).view(len(self), count)
