"""Losses as their papers write them: loops over single numbers; no masks, no shifts, nothing shared with the code."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else torch.zeros((), dtype=torch.float64)


def cos(u, v):
    dot = sum(u[k] * v[k] for k in range(len(u)))
    return dot / (torch.sqrt(sum(u[k] ** 2 for k in range(len(u)))) * torch.sqrt(sum(v[k] ** 2 for k in range(len(v)))))


def one_way(a, b, ids_a, ids_b, tau, seen_a, seen_b, same_set):
    """Khosla 2020 eq. 2: for each anchor the mean over its positives of -log(exp(s_p / tau) / sum exp(s / tau))."""
    lost = []
    for i in range(len(a)):
        others = [j for j in range(len(b)) if seen_b[j] and not (same_set and i == j)]
        positives = [j for j in others if ids_a[i] == ids_b[j]]
        if not seen_a[i] or not positives:
            continue
        e = {j: torch.exp(cos(a[i], b[j]) / tau) for j in others}
        total = sum(e.values())
        lost.append(mean(-torch.log(e[j] / total) for j in positives))
    return mean(lost)


def info_nce(a, b, ids_a, ids_b, tau, seen_a=None, seen_b=None, exclude_self=False):
    seen_a = [True] * len(a) if seen_a is None else seen_a
    seen_b = [True] * len(b) if seen_b is None else seen_b
    ids_a, ids_b = ids_a.tolist(), ids_b.tolist()
    there = one_way(a, b, ids_a, ids_b, tau, seen_a, seen_b, exclude_self)
    back = one_way(b, a, ids_b, ids_a, tau, seen_b, seen_a, exclude_self)
    return (there + back) / 2


def pairs(z, hub=None):
    return [p for p in combinations([n for n in z if n != "fused"], 2) if hub in (None, *p)]


def over_pairs(one, z, hub=None, pair_weights=None):
    """The mean of one(a, b), each pair by its weight; a pair's name may have either order."""
    lost, weight = 0.0, 0.0
    for a, b in pairs(z, hub):
        w = (pair_weights or {}).get(f"{a}-{b}", (pair_weights or {}).get(f"{b}-{a}", 1.0))
        lost, weight = lost + w * one(a, b), weight + w
    return lost / weight


def hard_one_way(a, b, ids, tau, seen_a, seen_b, beta, tau_plus):
    """Robinson 2021 eq. 4 as in the authors' code, its positive the mean of several (Chuang 2020 eq. 8)."""
    lost = []
    for i in range(len(a)):
        e = {j: torch.exp(cos(a[i], b[j]) / tau) for j in range(len(b)) if seen_b[j]}
        yes, no = [j for j in e if ids[j] == ids[i]], [j for j in e if ids[j] != ids[i]]
        if not seen_a[i] or not yes:
            continue
        ng = 0.0
        if no:
            n = len(no)
            imp = {j: torch.exp(beta * torch.log(e[j])) for j in no}
            reweighted = sum(imp[j] * e[j] for j in no) / mean(imp.values())
            ng = (-tau_plus * n * mean(e[j] for j in yes) + reweighted) / (1 - tau_plus)
            floor = n * math.e ** (-1 / tau)
            ng = ng if ng > floor else floor
        total = sum(e[j] for j in yes) + ng
        lost.append(mean(-torch.log(e[j] / total) for j in yes))
    return mean(lost)


def hard_clip(z, ids, present, temperature, hardness, tau_plus=0.0, **which):
    def one(a, b):
        ways = ((a, b), (b, a))
        return mean(
            hard_one_way(z[x], z[y], ids.tolist(), temperature, present[x], present[y], hardness, tau_plus)
            for x, y in ways
        )

    return over_pairs(one, z, **which)


def simclr(z, ids, present, temperature):
    """Chen 2020 eq. 1 where every id occurs twice."""
    return mean(info_nce(x, x, ids, ids, temperature, present[n], present[n], True) for n, x in z.items())


def supcon(z, ids, present, temperature, between="views", **which):
    """Khosla 2020 eq. 2; across streams Yang 2022 eq. 3."""
    known = {n: present[n] & (ids != -1) for n in z}
    terms = {"views": lambda: simclr(z, ids, known, temperature),
             "modalities": lambda: clip(z, ids, known, temperature, **which)}  # fmt: skip
    return mean(terms[k]() for k in (terms if between == "both" else [between]))


def clip(z, ids, present, temperature, **which):
    return over_pairs(lambda a, b: info_nce(z[a], z[b], ids, ids, temperature, present[a], present[b]), z, **which)


def cross_modal(z, ids, present, cross_weight, intra_weight, temperature, **which):
    across = clip(z, ids, present, temperature, **which)
    return cross_weight * across + intra_weight * simclr(z, ids, present, temperature)


def siglip(z, ids, present, scale, bias, **which):
    """Zhai 2023 eq. 1."""

    def one(a, b):
        rows = [i for i in range(len(ids)) if present[a][i]]
        columns = [j for j in range(len(ids)) if present[b][j]]
        total = 0.0
        for i in rows:
            for j in columns:
                y = 1 if ids[i] == ids[j] else -1
                total = total - torch.log(1 / (1 + torch.exp(-y * (scale * cos(z[a][i], z[b][j]) + bias))))
        return total / ((len(rows) + len(columns)) / 2)

    return over_pairs(one, z, **which)


def dcl(z, ids, present, temperature):
    """Yeh 2022 eq. 6: the positive is not in the denominator."""

    def one(x, seen):
        lost = []
        for i in range(len(x)):
            others = [j for j in range(len(x)) if j != i and seen[j]]
            yes, no = [j for j in others if ids[j] == ids[i]], [j for j in others if ids[j] != ids[i]]
            if seen[i] and yes and no:
                total = sum(torch.exp(cos(x[i], x[j]) / temperature) for j in no)
                lost.append(mean(-cos(x[i], x[j]) / temperature for j in yes) + torch.log(total))
        return mean(lost)

    return mean(one(x, present[n]) for n, x in z.items())


def triplet(z, ids, present, margin, mining="hardest", **which):
    def way(a, b):
        lost = []
        for i in range(len(ids)):
            columns = [j for j in range(len(ids)) if present[b][j]]
            yes = [cos(z[a][i], z[b][j]) for j in columns if ids[j] == ids[i]]
            no = [cos(z[a][i], z[b][j]) for j in columns if ids[j] != ids[i]]
            if not present[a][i] or not yes or not no:
                continue
            if mining == "hardest":
                lost.append(torch.clamp(margin + max(no) - min(yes), min=0))
                continue
            for positive in yes:
                below = [s for s in no if s < positive]
                chosen = max(below) if below else min(no)
                lost.append(torch.clamp(margin + chosen - positive, min=0))
        return mean(lost)

    return over_pairs(lambda a, b: (way(a, b) + way(b, a)) / 2, z, **which)


def matched(z, ids, present, between):
    """Lists of (row of one side, row of the other)."""
    half = len(ids) // 2
    if between in ("views", "both"):
        for n, x in z.items():
            yield [(x[i], x[i + half]) for i in range(half) if present[n][i] and present[n][i + half]]
    if between in ("modalities", "both"):
        for a, b in pairs(z):
            yield [(z[a][i], z[b][i]) for i in range(len(ids)) if present[a][i] and present[b][i]]


def vicreg(z, ids, present, invariance, variance, covariance, between="views"):
    """Bardes 2022 eq. 1-6, scaled as its appendix's code."""

    def one(rows):
        n, d = len(rows), len(rows[0][0])
        s = sum((x[k] - y[k]) ** 2 for x, y in rows for k in range(d)) / (n * d)
        v = c = 0.0
        for side in (0, 1):
            average = [mean(r[side][k] for r in rows) for k in range(d)]
            cov = [
                [sum((r[side][k] - average[k]) * (r[side][q] - average[q]) for r in rows) / (n - 1) for q in range(d)]
                for k in range(d)
            ]
            v = v + mean(torch.clamp(1 - torch.sqrt(cov[k][k] + 1e-4), min=0) for k in range(d)) / 2
            c = c + sum(cov[k][q] ** 2 for k in range(d) for q in range(d) if k != q) / d
        return invariance * s + variance * v + covariance * c

    return mean(one(rows) for rows in matched(z, ids, present, between))


def barlow_twins(z, ids, present, redundancy, between="views"):
    """Zbontar 2021 eq. 1-2, variances + 1e-5."""

    def one(rows):
        n, d = len(rows), len(rows[0][0])
        unit = []
        for side in (0, 1):
            average = [mean(r[side][k] for r in rows) for k in range(d)]
            spread = [torch.sqrt(mean((r[side][k] - average[k]) ** 2 for r in rows) + 1e-5) for k in range(d)]
            unit.append([[(r[side][k] - average[k]) / spread[k] for k in range(d)] for r in rows])
        total = 0.0
        for k in range(d):
            for q in range(d):
                c = sum(unit[0][i][k] * unit[1][i][q] for i in range(n)) / n
                total = total + ((1 - c) ** 2 if k == q else redundancy * c**2)
        return total

    return mean(one(rows) for rows in matched(z, ids, present, between))


def log_softmax(row):
    total = torch.log(sum(torch.exp(x) for x in row))
    return [x - total for x in row]


def cross_entropy(logits, target, label_smoothing=0.0, class_weight=None):
    """Szegedy 2016 section 7: the target is (1 - e) of the class and e / K of each."""
    k = logits.shape[1]
    weight = class_weight or [1.0] * k
    lost, drawn = 0.0, 0.0
    for row, y in zip(logits, target.tolist()):
        if y == -1:
            continue
        log_p = log_softmax(row)
        wanted = [(1 - label_smoothing) * (c == y) + label_smoothing / k for c in range(k)]
        lost = lost - sum(weight[c] * wanted[c] * log_p[c] for c in range(k))
        drawn += weight[y]
    return lost / drawn


def nll(log_probs, target):
    return mean(-row[y] for row, y in zip(log_probs, target.tolist()) if y != -1)


def known(logits, target):
    for row, labels in zip(logits, target.tolist()):
        for k, x in enumerate(row):
            if labels[k] != -1 and not math.isnan(labels[k]):
                yield k, 1 / (1 + torch.exp(-x)), labels[k]


def bce(logits, target, pos_weight=None):
    w = pos_weight or [1.0] * logits.shape[1]
    return mean(-(w[k] * y * torch.log(p) + (1 - y) * torch.log(1 - p)) for k, p, y in known(logits, target))


def asymmetric(logits, target, gamma_neg=4.0, gamma_pos=1.0, clip=0.05):
    """Ridnik 2021 eq. 4-7."""

    def one(p, y):
        p_m = torch.clamp(p - clip, min=0)
        yes, no = (1 - p) ** gamma_pos * torch.log(p), p_m**gamma_neg * torch.log(1 - p_m)
        return -y * yes - (1 - y) * no

    return mean(one(p, y) for _, p, y in known(logits, target))


def focal(logits, target, alpha=0.25, gamma=2.0):
    """Lin 2017 eq. 5."""

    def one(k, p, y):
        p_t = p if y == 1 else 1 - p
        a = alpha[k] if isinstance(alpha, list) else alpha
        a_t = 1 if a is None else a if y == 1 else 1 - a
        return -a_t * (1 - p_t) ** gamma * torch.log(p_t)

    return mean(one(k, p, y) for k, p, y in known(logits, target))


def caption(logits, tokens, pad=0):
    lost = []
    for n in range(len(tokens)):
        for t in range(tokens.shape[1] - 1):
            nxt = int(tokens[n, t + 1])
            if nxt != pad:
                lost.append(-log_softmax(logits[n, t])[nxt])
    return mean(lost)


def value_and_gradients(fn, *leaves: Tensor):
    """fn's value at fresh copies of `leaves`, and the gradient of each (zero where it has none)."""
    fresh = [x.detach().clone().requires_grad_() for x in leaves]
    value = fn(*fresh)
    grads = torch.autograd.grad(value, fresh, allow_unused=True)
    return [value.detach(), *(torch.zeros_like(x) if g is None else g for x, g in zip(fresh, grads))]


def assert_same(ours, theirs, rtol, atol=0.0):
    """Value and gradients, each within rtol of its largest number: small entries are differences of large ones."""
    assert len(ours) == len(theirs)
    for x, y in zip(ours, theirs):
        assert torch.isfinite(x).all()
        assert x.shape == y.shape
        scale = float(y.abs().max())
        assert float((x - y).abs().max()) <= rtol * scale + atol, (float((x - y).abs().max()), scale)


def comm(z, ids, present, fused_weight, alone_weight, temperature):
    """Dufumier 2025, as their code averages: NT-Xent of two sets of rows, each set a view of the samples."""
    half, streams = len(ids) // 2, [n for n in z if n != "fused"]

    def between(a, b):
        """a and b: (name, 0 or 1 for the view)."""
        at = [(n, i + view * half) for n, view in (a, b) for i in range(half)]
        rows = torch.stack([z[n][i] for n, i in at])
        seen = torch.tensor([bool(present[n][i]) for n, i in at])
        return info_nce(rows, rows, ids, ids, temperature, seen, seen, True)

    def term(n):
        return (between((n, 0), ("fused", 1)) + between((n, 1), ("fused", 0))) / 2

    total = fused_weight * term("fused") + alone_weight * sum(term(n) for n in streams)
    return total / (len(streams) + 1)


def factorcl(z, ids, present, shared_weight, unique_weight, temperature):
    """Liang 2023; z (N, 10, D): see `multimodal_lab/loss/factorcl.py` for what stands where."""
    half = len(ids) // 2

    def seen(n, at, view):
        """{sample: what the critic is given}, of the samples that are there."""
        rows = {i: (i + view * half, i + (1 - view) * half) for i in range(half)}
        if len(at) == 1:
            return {i: z[n][row, at[0]] for i, (row, _) in rows.items() if present[n][row]}
        both = {i: pair for i, pair in rows.items() if present[n][pair[0]] and present[n][pair[1]]}
        return {i: z[n][row, at[0]] + z[n][other, at[1]] for i, (row, other) in both.items()}

    def lower(x, y):
        """- mean of log(exp f(x, y) / sum over y' of exp f(x, y')), both ways."""
        ways = []
        for a, b in ((x, y), (y, x)):
            e = {(i, j): torch.exp(cos(a[i], b[j]) / temperature) for i in a for j in b}
            ways.append(mean(-torch.log(e[i, i] / sum(e[i, j] for j in b)) for i in a if i in b))
        return (ways[0] + ways[1]) / 2

    def upper(x, y):
        both = [i for i in x if i in y]
        apart = mean(cos(x[i], y[j]) / temperature for i in both for j in both)
        return mean(cos(x[i], y[i]) / temperature for i in both) - apart

    def both_views(bound, a, b, at):
        return mean(bound(seen(a, at, view), seen(b, at, view)) for view in (0, 1))

    total = []
    for a, b in pairs(z):
        shared = both_views(lower, a, b, (0,)) + both_views(upper, a, b, (1, 2))
        own = sum(lower(seen(n, (5,), 0), seen(n, (5,), 1)) for n in (a, b))
        unique = own + both_views(lower, a, b, (6, 7)) + both_views(upper, a, b, (8,))
        critic = both_views(lower, a, b, (3, 4)) + both_views(lower, a, b, (9,))
        total.append(shared_weight * shared + unique_weight * unique + critic)
    return mean(total)
