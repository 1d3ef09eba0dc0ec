"""Triton kernels for the draws on a GPU: one launch where the same in torch takes eleven, to the same bits."""

from __future__ import annotations

import triton
import triton.language as tl

GOLDEN = tl.constexpr(0x9E3779B97F4A7C15)


@triton.jit
def _mix(z):
    """One step of splitmix64, as `draw.mix`."""
    z += GOLDEN
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return z ^ (z >> 31)


@triton.jit(do_not_specialize=["token"])
def fold(keys, out, token, count, B: tl.constexpr):
    """out (count,) = mix(keys ^ token)."""
    at = tl.program_id(0) * B + tl.arange(0, B)
    there = at < count
    z = (tl.load(keys + at, mask=there, other=0) ^ token).to(tl.uint64)
    tl.store(out + at, _mix(z).to(tl.int64), mask=there)


@triton.jit
def uniform(keys, out, width, count, B: tl.constexpr):
    """out (rows, width), `count` numbers in all: those of `draw.Draw.uniform`."""
    at = tl.program_id(0) * B + tl.arange(0, B)
    there = at < count
    z = tl.load(keys + at // width, mask=there, other=0).to(tl.uint64)
    z += (at % width + 1).to(tl.uint64) * GOLDEN
    # 24 bits are exact in a float32, which a uint64 is not turned into at once
    tl.store(out + at, (_mix(z) >> 40).to(tl.int32).to(tl.float32) * 5.9604644775390625e-08, mask=there)
