"""Logistic regression at several strengths at once: one batched L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Link = Literal["softmax", "sigmoid"]
_SPREAD = 4.0  # of the eigenvalues of the covariance, from which their axes are worth their cost
Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def fit(
    x: Tensor, y: Tensor, strengths: Sequence[float], link: Link, *, tol: float = 1e-4, max_iter: int = 200
) -> Tensor:
    """Minimise mean cross-entropy + ||W||^2 / (2 C N) for every C of `strengths`; the intercept is not penalised.

    x (N, D), standardised; y (N, K): one-hot with `softmax`, 0/1 with `sigmoid` (K independent problems; one column
    is binary regression). Returns (S, D + 1, K), the intercept last. It is scikit-learn's objective divided by C N,
    stopped as there when no entry of the gradient exceeds `tol`. All C share the two products with x, which is what
    costs; where columns of x depend on each other the search is along its principal axes, which makes those few.
    """
    mean, decay = x.mean(0), 1 / (x.new_tensor(list(strengths)) * len(x))
    centred = x - mean
    moments, axes = _axes(centred)
    turned = torch.cat([centred if axes is None else centred @ axes, x.new_ones(len(x), 1)], 1)
    shape = (y.shape[1], turned.shape[1])

    def objective(w: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = _objective(w.view(-1, *shape), turned, y, decay[which], link)
        return value, gradient.flatten(1)

    def back(g: Tensor) -> Tensor:
        return g[..., :-1] if axes is None else g[..., :-1] @ axes.T

    def steepest(gradient: Tensor) -> Tensor:
        g = gradient.view(-1, *shape)
        return torch.cat([back(g) + g[..., -1:] * mean, g[..., -1:]], 2).abs().amax((1, 2))

    inverse = _inverse(moments, decay, 0.25 if link == "sigmoid" else 0.5).repeat(1, shape[0])
    start = x.new_zeros(len(decay), shape[0] * shape[1])
    w = _minimise(objective, start, inverse, steepest, tol, max_iter).view(-1, *shape)
    weights = back(w)
    return torch.cat([weights, w[..., -1:] - (weights @ mean)[..., None]], 2).transpose(1, 2)


def predict(x: Tensor, w: Tensor) -> Tensor:
    """Logits (…, N, K) of x (N, D) under weights w (…, D + 1, K)."""
    return x @ w[..., :-1, :] + w[..., -1:, :]


def _axes(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """The second moments of x (N, D), centred, along its principal axes (D, D); along its columns if those do as well."""
    moments = x.square().mean(0)
    # the mean square of the eigenvalues over the square of their mean, 1 + D / N where columns are independent; that of
    # a product with the covariance is its estimate, and far cheaper than the covariance
    some = torch.randn(x.shape[1], 8, generator=torch.Generator().manual_seed(0)).to(x)
    square = (x.T @ (x @ some) / len(x)).square().sum() / 8
    if float(square * len(moments) / moments.sum().square().clamp(min=1e-30)) < _SPREAD:
        return moments, None
    values, axes = torch.linalg.eigh((x.T @ x).double() / len(x))
    return values.to(x.dtype), axes.to(x.dtype)


def _inverse(moments: Tensor, decay: Tensor, bound: float) -> Tensor:
    """The inverse of an upper bound of the Hessian on the axes and the intercept, (S, D + 1).

    The Hessian of mean cross-entropy is at most `bound` times the second moments of x (Boehning 1992) at any weights.
    """
    moments = moments.clamp(min=1e-6 * float(moments.max()) + torch.finfo(moments.dtype).tiny)
    on_axes = 1 / (bound * moments + decay[:, None])
    return torch.cat([on_axes, torch.full_like(on_axes[:, :1], 1 / bound)], 1)


def _objective(w: Tensor, x: Tensor, y: Tensor, decay: Tensor, link: Link) -> tuple[Tensor, Tensor]:
    """Values (S,) and gradients (S, K, P) at w (S, K, P) for x (N, P), ones last, and y (N, K)."""
    n = len(x)
    z = (w.flatten(0, 1) @ x.T).view(*w.shape[:2], n)
    if link == "softmax":
        truth = y.argmax(1).expand(len(w), 1, n)
        z -= z.amax(1, keepdim=True)
        chosen = z.gather(1, truth)
        p = z.exp_()
        total = p.sum(1, keepdim=True)
        loss = (total.log() - chosen).sum((1, 2))
        p /= total
        p.scatter_add_(1, truth, -torch.ones_like(chosen))
    else:
        loss = (torch.logaddexp(z, z.new_zeros(())) - z * y.T).sum((1, 2))
        p = z.sigmoid_() - y.T
    gradient = (p.flatten(0, 1) @ x).view(w.shape) / n
    slope = w * decay[:, None, None]
    slope[..., -1] = 0
    return loss / n + 0.5 * (slope * w).sum((1, 2)), gradient + slope


def _minimise(
    objective: Objective,
    w: Tensor,
    inverse: Tensor,
    steepest: Callable[[Tensor], Tensor],
    tol: float,
    max_iter: int,
    memory: int = 10,
) -> Tensor:
    """L-BFGS (Nocedal & Wright 2006, algorithm 7.5) on S independent convex problems, rows of w (S, P).

    inverse (S, P) is the diagonal that stands for the inverse Hessian before any step; `steepest` gives the largest
    entry of a gradient (S,) that `tol` bounds. Rows that have converged, or that rounding keeps from going on, leave the
    batch. The step halves until Armijo's condition holds; in a convex problem that and positive curvature are enough.
    """
    done = w.clone()
    which = torch.arange(len(w), device=w.device)
    value, gradient = objective(w, which)
    pairs: list[tuple[Tensor, Tensor]] = []
    stuck = torch.zeros_like(which, dtype=torch.bool)
    for _ in range(max_iter):
        going = (steepest(gradient) > tol) & ~stuck
        if not going.all():
            done[which[~going]] = w[~going]
            which, w, value, gradient = which[going], w[going], value[going], gradient[going]
            pairs = [(s[going], y[going]) for s, y in pairs]
        if not len(which):
            return done
        direction = _direction(gradient, pairs, inverse[which])
        new, new_value, new_gradient = _step(objective, which, w, value, gradient, direction)
        stuck = (new == w).all(1)
        pairs = [*pairs, (new - w, new_gradient - gradient)][-memory:]
        w, value, gradient = new, new_value, new_gradient
    done[which] = w
    return done


def _direction(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]], inverse: Tensor) -> Tensor:
    q = gradient.clone()
    kept: list[tuple[Tensor, Tensor]] = []
    for s, y in reversed(pairs):
        curvature = (s * y).sum(1, keepdim=True)
        rho = torch.where(curvature > 0, 1 / curvature, 0)  # a row whose step was nil brings no curvature
        alpha = rho * (s * q).sum(1, keepdim=True)
        q -= alpha * y
        kept.append((rho, alpha))
    q *= inverse
    if pairs:
        s, y = pairs[-1]
        scale = (s * y).sum(1, keepdim=True) / (inverse * y.square()).sum(1, keepdim=True)
        q *= torch.where(scale > 0, scale, 1)
    for (s, y), (rho, alpha) in zip(pairs, reversed(kept), strict=True):
        q += s * (alpha - rho * (y * q).sum(1, keepdim=True))
    return -q


def _step(
    objective: Objective, which: Tensor, w: Tensor, value: Tensor, gradient: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    slope = (gradient * direction).sum(1)
    # near the minimum the descent is below the rounding of the objective, and only the gradient still tells
    noise = 4 * torch.finfo(value.dtype).eps * value.abs()
    length = torch.ones_like(value)
    for _ in range(20):
        new = w + length[:, None] * direction
        new_value, new_gradient = objective(new, which)
        bad = new_value > value + 1e-4 * length * slope + noise
        if not bad.any():
            return new, new_value, new_gradient
        length = torch.where(bad, length / 2, length)
    length = torch.where(bad, 0, length)  # rounding has eaten the descent: stay
    new = w + length[:, None] * direction
    return new, *objective(new, which)
