"""Triton kernels of the tiled losses: the logits stay on the chip and are never written to memory.

A program makes BM x BN logits, scale · x_i · y_j, and what it stores is one part of the sums of its rows and of its
columns (`first`), or the loss's derivative by each logit (`second`, `sigmoid`). Nothing is added atomically: the same input
gives the same bits. `gpu` calls these and says what their arguments are.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOW = tl.constexpr(-1e30)  # as in `tiles`
NEAR = tl.constexpr(40.0)  # exp of a difference up to here is far from the smallest number


@triton.jit
def _logits(
    x, y, scale, at_m, at_n, m, n, d,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The logits (BM, BN) of rows at_m and at_n; garbage where they are beyond m and n."""
    k = tl.arange(0, BK)
    left = x + (at_m % m)[:, None].to(tl.int64) * d + k[None, :]
    right = y + (at_n % n)[None, :].to(tl.int64) * d + k[:, None]
    found = tl.zeros((BM, BN), dtype=tl.float32)
    for start in range(0, d, BK):
        there = k < d - start
        a = tl.load(left, mask=there[None, :], other=0.0)
        b = tl.load(right, mask=there[:, None], other=0.0)
        found = tl.dot(a, b, found, input_precision=PRECISION)
        left += BK
        right += BK
    return found * tl.load(scale)


@triton.jit
def _place(m, n, BM: tl.constexpr, BN: tl.constexpr, GROUP: tl.constexpr):
    """Which rows and columns this program has: neighbours in time share rows, which then are in the cache."""
    program, high, wide = tl.program_id(0), tl.cdiv(m, BM), tl.cdiv(n, BN)
    first = program // (GROUP * wide) * GROUP
    size = min(high - first, GROUP)
    i = first + program % (GROUP * wide) % size
    j = program % (GROUP * wide) // size
    return i, j, i * BM + tl.arange(0, BM), j * BN + tl.arange(0, BN)


@triton.jit
def _plain(ids_a, seen_a, ids_b, seen_b, at_m, at_n, m, n):
    """Whether all of these rows are there and, ids being sorted, none has a positive among the columns; nor itself then."""
    mine, theirs = tl.load(ids_a + at_m % m), tl.load(ids_b + at_n % n)
    apart = (tl.max(mine, 0) < tl.min(theirs, 0)) | (tl.min(mine, 0) > tl.max(theirs, 0))
    seen_m = tl.load(seen_a + at_m, mask=at_m < m, other=0).to(tl.int32)
    seen_n = tl.load(seen_b + at_n, mask=at_n < n, other=0).to(tl.int32)
    return apart & (tl.min(seen_m, 0) > 0) & (tl.min(seen_n, 0) > 0)


@triton.jit
def _pairs(ids_a, seen_a, place_a, ids_b, seen_b, place_b, at_m, at_n, m, n, ITSELF: tl.constexpr):
    """Which pairs are positive and which are not to be compared; none beyond m and n is."""
    here = tl.load(seen_a + at_m, mask=at_m < m, other=0).to(tl.int1)[:, None]
    hidden = ~(here & tl.load(seen_b + at_n, mask=at_n < n, other=0).to(tl.int1)[None, :])
    if ITSELF:
        hidden |= tl.load(place_a + at_m % m)[:, None] == tl.load(place_b + at_n % n)[None, :]
    return (tl.load(ids_a + at_m % m)[:, None] == tl.load(ids_b + at_n % n)[None, :]) & ~hidden, hidden


@triton.jit
def _keep(out, part, at, count, shift, negative, positive, drawn, number):
    """Store one part of the sums of the anchors `at`, to out (parts, 5, count): the shift, exp(logit - shift) of negatives
    and of positives, the positives' logits, and how many they are."""
    out += part.to(tl.int64) * 5 * count + at
    there = at < count
    tl.store(out, shift, mask=there)
    tl.store(out + count, negative, mask=there)
    tl.store(out + 2 * count, positive, mask=there)
    tl.store(out + 3 * count, drawn, mask=there)
    tl.store(out + 4 * count, number, mask=there)


@triton.jit
def _negatives(out, part, at, count, shift, negative):
    """`_keep` where there is no positive."""
    none = tl.zeros_like(shift)
    _keep(out, part, at, count, shift, negative, none, none, none)


@triton.jit
def _way(out, part, at, count, logits, positive, AXIS: tl.constexpr, DECOUPLED: tl.constexpr):
    """Store one part of the sums of rows (AXIS 1) or columns (AXIS 0) where some logits are positives'."""
    asked = tl.where(positive, LOW, logits) if DECOUPLED else logits
    shift = tl.max(asked, AXIS)
    terms = tl.exp(asked - (shift[:, None] if AXIS == 1 else shift[None, :]))
    negative, yes = tl.sum(tl.where(positive, 0.0, terms), AXIS), tl.sum(tl.where(positive, terms, 0.0), AXIS)
    drawn, number = tl.sum(tl.where(positive, logits, 0.0), AXIS), tl.sum(positive.to(tl.float32), AXIS)
    _keep(out, part, at, count, shift, negative, yes, drawn, number)


@triton.jit
def first(
    x, y, scale, ids_a, seen_a, place_a, ids_b, seen_b, place_b, rows, columns, m, n, d,
    ITSELF: tl.constexpr, BOTH: tl.constexpr, DECOUPLED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GROUP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Parts of the sums of rows (parts, 5, m) and, if BOTH, of columns (parts, 5, n): see `_keep`."""
    i, j, at_m, at_n = _place(m, n, BM, BN, GROUP)
    logits = _logits(x, y, scale, at_m, at_n, m, n, d, BM, BN, BK, PRECISION)
    if _plain(ids_a, seen_a, ids_b, seen_b, at_m, at_n, m, n):
        peak = tl.max(logits, 1)
        if BOTH:
            over = tl.max(logits, 0)
            top = tl.max(peak, 0)
            if top - min(tl.min(peak, 0), tl.min(over, 0)) < NEAR:  # then one exponential serves both ways
                terms = tl.exp(logits - top)
                _negatives(rows, j, at_m, m, tl.zeros_like(peak) + top, tl.sum(terms, 1))
                _negatives(columns, i, at_n, n, tl.zeros_like(over) + top, tl.sum(terms, 0))
            else:
                _negatives(rows, j, at_m, m, peak, tl.sum(tl.exp(logits - peak[:, None]), 1))
                _negatives(columns, i, at_n, n, over, tl.sum(tl.exp(logits - over[None, :]), 0))
        else:
            _negatives(rows, j, at_m, m, peak, tl.sum(tl.exp(logits - peak[:, None]), 1))
    else:
        positive, hidden = _pairs(ids_a, seen_a, place_a, ids_b, seen_b, place_b, at_m, at_n, m, n, ITSELF)
        logits = tl.where(hidden, LOW, logits)
        _way(rows, j, at_m, m, logits, positive, 1, DECOUPLED)
        if BOTH:
            _way(columns, i, at_n, n, logits, positive, 0, DECOUPLED)


@triton.jit
def merge(parts, number, shift, totals, stride, count, B: tl.constexpr):
    """Add parts (number, 5, count) to the sums of anchors: shift (count,) and totals, four rows `stride` apart."""
    at = tl.program_id(0) * B + tl.arange(0, B)
    there = at < count
    peak = tl.load(shift + at, mask=there, other=LOW)
    negative = tl.load(totals + at, mask=there, other=0.0)
    positive = tl.load(totals + stride + at, mask=there, other=0.0)
    drawn = tl.load(totals + 2 * stride + at, mask=there, other=0.0)
    found = tl.load(totals + 3 * stride + at, mask=there, other=0.0)
    for part in range(number):
        here = parts + tl.cast(part, tl.int64) * 5 * count + at
        theirs = tl.load(here, mask=there, other=LOW)
        higher = tl.maximum(peak, theirs)
        mine, other = tl.exp(peak - higher), tl.exp(theirs - higher)
        negative = negative * mine + tl.load(here + count, mask=there, other=0.0) * other
        positive = positive * mine + tl.load(here + 2 * count, mask=there, other=0.0) * other
        drawn += tl.load(here + 3 * count, mask=there, other=0.0)
        found += tl.load(here + 4 * count, mask=there, other=0.0)
        peak = higher
    tl.store(shift + at, peak, mask=there)
    tl.store(totals + at, negative, mask=there)
    tl.store(totals + stride + at, positive, mask=there)
    tl.store(totals + 2 * stride + at, drawn, mask=there)
    tl.store(totals + 3 * stride + at, found, mask=there)


@triton.jit
def _three(shift, factor, push, at, count):
    """What the second pass needs of anchors: see `accumulators.Anchors`."""
    there = at < count
    a = tl.load(shift + at, mask=there, other=0.0)
    b = tl.load(factor + at, mask=there, other=0.0)
    return a, b, tl.load(push + at, mask=there, other=0.0)


@triton.jit
def second(
    x, y, scale, ids_a, seen_a, place_a, ids_b, seen_b, place_b,
    shift_a, factor_a, push_a, shift_b, factor_b, push_b, out, m, n, d,
    ITSELF: tl.constexpr, DECOUPLED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GROUP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The derivative by each logit, to out (m, n), in its type."""
    _, _, at_m, at_n = _place(m, n, BM, BN, GROUP)
    logits = _logits(x, y, scale, at_m, at_n, m, n, d, BM, BN, BK, PRECISION)
    shift, factor, push = _three(shift_a, factor_a, push_a, at_m, m)
    over, share, pushed = _three(shift_b, factor_b, push_b, at_n, n)
    pulled = tl.exp(logits - shift[:, None]) * factor[:, None] + tl.exp(logits - over[None, :]) * share[None, :]
    if _plain(ids_a, seen_a, ids_b, seen_b, at_m, at_n, m, n) == 0:
        positive, hidden = _pairs(ids_a, seen_a, place_a, ids_b, seen_b, place_b, at_m, at_n, m, n, ITSELF)
        pulled = tl.where(hidden | positive if DECOUPLED else hidden, 0.0, pulled)
        pulled -= tl.where(positive, push[:, None] + pushed[None, :], 0.0)
    where = out + at_m[:, None].to(tl.int64) * n + at_n[None, :]
    tl.store(where, pulled.to(out.dtype.element_ty), mask=(at_m < m)[:, None] & (at_n < n)[None, :])


@triton.jit
def _answer(asked):
    """log sigmoid(-asked), and the derivative of minus that: sigmoid(asked)."""
    small = tl.exp(-tl.abs(asked))
    # log(1 + small): where it is small the sum would round it away
    series = small * (1.0 - small * (0.5 - small * (1.0 / 3.0 - small * 0.25)))
    kept = -tl.maximum(asked, 0.0) - tl.where(small < 0.01, series, tl.log(1.0 + small))
    return kept, tl.where(asked >= 0, 1.0, small) / (1.0 + small)


@triton.jit
def sigmoid(
    x, y, scale, bias, ids_a, seen_a, ids_b, seen_b, told, out, lift,
    m, n, d,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GROUP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """SigLIP: log sigmoid and the derivative, summed by program, to told (programs, 2); lift · derivative to out (m, n)."""
    _, _, at_m, at_n = _place(m, n, BM, BN, GROUP)
    asked = _logits(x, y, scale, at_m, at_n, m, n, d, BM, BN, BK, PRECISION) + tl.load(bias)
    if _plain(ids_a, seen_a, ids_b, seen_b, at_m, at_n, m, n):
        kept, share = _answer(asked)
    else:
        positive, hidden = _pairs(ids_a, seen_a, ids_a, ids_b, seen_b, ids_b, at_m, at_n, m, n, False)
        kept, share = _answer(tl.where(positive, -asked, asked))
        kept = tl.where(hidden, 0.0, kept)
        share = tl.where(hidden, 0.0, tl.where(positive, -share, share))
    program = told + 2 * tl.program_id(0)
    tl.store(program, tl.sum(tl.sum(kept, 1), 0))
    tl.store(program + 1, tl.sum(tl.sum(share, 1), 0))
    where = out + at_m[:, None].to(tl.int64) * n + at_n[None, :]
    tl.store(where, (share * lift).to(out.dtype.element_ty), mask=(at_m < m)[:, None] & (at_n < n)[None, :])
