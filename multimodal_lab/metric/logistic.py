"""Logistic regression at several strengths at once: one batched L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Link = Literal["softmax", "sigmoid"]
Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def fit(
    x: Tensor, y: Tensor, strengths: Sequence[float], link: Link, *, tol: float = 1e-4, max_iter: int = 200
) -> Tensor:
    """Minimise mean cross-entropy + ||W||^2 / (2 C N) for every C of `strengths`; the intercept is not penalised.

    x (N, D), standardised; y (N, K): one-hot with `softmax`, 0/1 with `sigmoid` (K independent problems; one column
    is binary regression). Returns (S, D + 1, K), the intercept last. It is scikit-learn's objective divided by C N,
    stopped as there when no entry of the gradient exceeds `tol`. All C share the two products with x, which is what
    costs.
    """
    ones = torch.cat([x, x.new_ones(len(x), 1)], 1)
    decay = 1 / (x.new_tensor(list(strengths)) * len(x))
    shape = (ones.shape[1], y.shape[1])

    def objective(w: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        return _objective(w.view(-1, *shape), ones, y, decay[which], link)

    start = x.new_zeros(len(decay), shape[0] * shape[1])
    return _minimise(objective, start, tol, max_iter).view(-1, *shape)


def predict(x: Tensor, w: Tensor) -> Tensor:
    """Logits (…, N, K) of x (N, D) under weights w (…, D + 1, K)."""
    return x @ w[..., :-1, :] + w[..., -1:, :]


def _objective(w: Tensor, x: Tensor, y: Tensor, decay: Tensor, link: Link) -> tuple[Tensor, Tensor]:
    size, n = w.shape, len(x)
    flat = w.transpose(0, 1).reshape(size[1], -1)
    z = (x @ flat).view(n, size[0], size[2])
    if link == "softmax":
        top = z.amax(2, keepdim=True)
        e = (z - top).exp()
        total = e.sum(2, keepdim=True)
        loss = (total.log() + top).sum((0, 2)) - (z * y[:, None]).sum((0, 2))
        p = e / total
    else:
        loss = torch.logaddexp(z, torch.zeros_like(z)).sum((0, 2)) - (z * y[:, None]).sum((0, 2))
        p = z.sigmoid()
    gradient = (x.T @ (p - y[:, None]).view(n, -1)).view(size[1], size[0], size[2]).transpose(0, 1) / n
    slope = w * decay[:, None, None]
    slope[:, -1] = 0
    penalty = 0.5 * (slope * w).sum((1, 2))
    return loss / n + penalty, (gradient + slope).reshape(size[0], -1)


def _minimise(objective: Objective, w: Tensor, tol: float, max_iter: int, memory: int = 10) -> Tensor:
    """L-BFGS (Nocedal & Wright 2006, algorithm 7.5) on S independent convex problems, rows of w (S, P).

    Rows that have converged leave the batch. The step halves until Armijo's condition holds; in a convex problem that
    and positive curvature are enough.
    """
    done = w.clone()
    which = torch.arange(len(w), device=w.device)
    value, gradient = objective(w, which)
    pairs: list[tuple[Tensor, Tensor]] = []
    for _ in range(max_iter):
        going = gradient.abs().amax(1) > tol
        if not going.all():
            done[which[~going]] = w[~going]
            which, w, value, gradient = which[going], w[going], value[going], gradient[going]
            pairs = [(s[going], y[going]) for s, y in pairs]
        if not len(which):
            return done
        direction = _direction(gradient, pairs)
        new, new_value, new_gradient = _step(objective, which, w, value, gradient, direction, first=not pairs)
        pairs = [*pairs, (new - w, new_gradient - gradient)][-memory:]
        w, value, gradient = new, new_value, new_gradient
    done[which] = w
    return done


def _direction(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    q = gradient.clone()
    kept: list[tuple[Tensor, Tensor]] = []
    for s, y in reversed(pairs):
        curvature = (s * y).sum(1, keepdim=True)
        rho = torch.where(curvature > 0, 1 / curvature, 0)  # a row whose step was nil brings no curvature
        alpha = rho * (s * q).sum(1, keepdim=True)
        q -= alpha * y
        kept.append((rho, alpha))
    if pairs:
        s, y = pairs[-1]
        scale = (s * y).sum(1, keepdim=True) / y.square().sum(1, keepdim=True).clamp(min=torch.finfo(y.dtype).tiny)
        q *= torch.where(scale > 0, scale, 1)
    for (s, y), (rho, alpha) in zip(pairs, reversed(kept), strict=True):
        q += s * (alpha - rho * (y * q).sum(1, keepdim=True))
    return -q


def _step(
    objective: Objective, which: Tensor, w: Tensor, value: Tensor, gradient: Tensor, direction: Tensor, *, first: bool
) -> tuple[Tensor, Tensor, Tensor]:
    slope = (gradient * direction).sum(1)
    length = 1 / gradient.norm(dim=1).clamp(min=1) if first else torch.ones_like(value)
    for _ in range(20):
        new = w + length[:, None] * direction
        new_value, new_gradient = objective(new, which)
        bad = new_value > value + 1e-4 * length * slope
        if not bad.any():
            return new, new_value, new_gradient
        length = torch.where(bad, length / 2, length)
    length = torch.where(bad, 0, length)  # rounding has eaten the descent: stay
    new = w + length[:, None] * direction
    return new, *objective(new, which)
