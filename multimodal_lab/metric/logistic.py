"""Logistic regression at several penalties at once: batched L-BFGS with exact line search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Link = Literal["softmax", "sigmoid"]
_SPREAD = 4.0  # of the eigenvalues of the covariance, from which their axes are worth their cost
_EXACT = 0.2  # share of the slope along a direction that a line search may leave
_TRIES = 6
_REFRESH = 32  # steps after which scores, moved along with the weights, are made again from them


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
    moments, axes = _axes(centred := x - mean)
    problem = _Problem(centred, y.T.contiguous(), link, axes)

    def steepest(gradient: Tensor) -> Tensor:
        g = problem.turned_back(gradient)
        return torch.cat([g + gradient[..., -1:] * mean, gradient[..., -1:]], 2).abs().amax((1, 2))

    inverse = _inverse(moments, decay, 0.25 if link == "sigmoid" else 0.5)
    w = _minimise(problem, decay, inverse[:, None].expand(-1, y.shape[1], -1), steepest, tol, max_iter)
    weights = problem.turned_back(w)
    return torch.cat([weights, w[..., -1:] - (weights @ mean)[..., None]], 2).transpose(1, 2)


def predict(x: Tensor, w: Tensor) -> Tensor:
    """Logits (…, N, K) of x (N, D) under weights w (…, D + 1, K)."""
    return x @ w[..., :-1, :] + w[..., -1:, :]


def _axes(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """The second moments of x (N, D), centred, along its principal axes (D, D); along its columns if those do as well."""
    moments = x.square().mean(0)
    # the mean square of the eigenvalues over the square of their mean, 1 + D / N where columns are independent; that of
    # a product with the covariance is its estimate, and far cheaper than the covariance
    some = torch.randn(8, x.shape[1], generator=torch.Generator().manual_seed(0)).to(x)
    square = ((some @ x.T) @ x / len(x)).square().sum() / 8
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


@dataclass(frozen=True)
class _Problem:
    """x (N, D) centred, y (K, N); weights w (S, K, D + 1) are along `axes` (D, D) where they are given, the intercept last.

    What a row of w costs is two products with x: its scores z (S, K, N), and the gradient. Along a line the scores move
    linearly, so that any point of it costs no product more.
    """

    x: Tensor
    y: Tensor
    link: Link
    axes: Tensor | None

    def turned_back(self, w: Tensor) -> Tensor:
        """(S, K, D) along the columns of x, the intercept left out."""
        return w[..., :-1] if self.axes is None else w[..., :-1] @ self.axes.T

    def scores(self, w: Tensor) -> Tensor:
        """(S, K, N)."""
        z = (self.turned_back(w).flatten(0, 1) @ self.x.T).view(*w.shape[:2], -1)
        return z.add_(w[..., -1:])

    def probabilities(self, z: Tensor) -> Tensor:
        """(S, K, N) of scores, which they overwrite."""
        if self.link == "sigmoid":
            return z.sigmoid_()
        # exp of the largest score is 1: none overflows
        z -= z.amax(1, keepdim=True)
        p = z.exp_()
        return p.div_(p.sum(1, keepdim=True))

    def gradient(self, p: Tensor, w: Tensor, decay: Tensor) -> Tensor:
        """(S, K, D + 1) where the probabilities are p, which it overwrites."""
        p -= self.y
        g = (p.flatten(0, 1) @ self.x).view(*p.shape[:2], -1)
        if self.axes is not None:
            g = g @ self.axes
        g /= len(self.x)
        g += w[..., :-1] * decay[:, None, None]
        return torch.cat([g, p.mean(2, keepdim=True)], 2)

    def search(
        self, z: Tensor, dz: Tensor, w: Tensor, dw: Tensor, slope: Tensor, decay: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Lengths t (S,) at which z + t dz is all but lowest, and the probabilities there; `slope` (S,) is that at 0.

        Newton's method in one dimension, kept between the ends of what is known to hold the minimum.
        """
        chosen = (self.y * dz).sum((1, 2))
        pull, stiffness = (decay * (a[..., :-1] * dw[..., :-1]).sum((1, 2)) for a in (w, dw))
        t, low, high = torch.ones_like(slope), torch.zeros_like(slope), torch.full_like(slope, torch.inf)
        for left in reversed(range(_TRIES)):
            p = self.probabilities(torch.addcmul(z, t[:, None, None], dz))
            moved = p * dz
            mean = moved.sum(1, keepdim=True) if self.link == "softmax" else moved
            here = (mean.sum((1, 2)) - chosen) / len(self.x) + pull + t * stiffness
            off = here.abs() > _EXACT * slope.abs()
            if not left or not off.any():
                break
            bend = ((moved * dz).sum((1, 2)) - mean.square().sum((1, 2))) / len(self.x) + stiffness
            low, high = torch.where(here < 0, t, low), torch.where(here < 0, high, t)
            # a Newton step that leaves the bracket is replaced by its middle, or by twice the length where it is open
            newton, between = t - here / bend, torch.where(high < torch.inf, (low + high) / 2, 2 * t)
            t = torch.where(off, torch.where((newton > low) & (newton < high), newton, between), t)
        return t, p


def _minimise(
    problem: _Problem,
    decay: Tensor,
    inverse: Tensor,
    steepest: Callable[[Tensor], Tensor],
    tol: float,
    max_iter: int,
    memory: int = 10,
) -> Tensor:
    """L-BFGS (Nocedal & Wright 2006, algorithm 7.5) from 0 on S independent convex problems: weights (S, K, D + 1).

    decay (S,); inverse (S, K, D + 1) is the diagonal that stands for the inverse Hessian before any step; `steepest` gives
    the largest entry of a gradient (S,) that `tol` bounds. Rows that have converged, or that rounding keeps from going on,
    leave the batch. A line search as good as exact makes it conjugate gradients near the minimum, in half the steps of one
    that is content with some descent.
    """
    w = torch.zeros_like(inverse, memory_format=torch.contiguous_format)
    done, which = w.clone(), torch.arange(len(w), device=w.device)
    z = problem.scores(w)
    gradient = problem.gradient(problem.probabilities(z.clone()), w, decay)
    pairs: list[tuple[Tensor, Tensor]] = []
    stuck = torch.zeros_like(which, dtype=torch.bool)
    for i in range(1, max_iter + 1):
        going = (steepest(gradient) > tol) & ~stuck
        if not going.all():
            done[which[~going]] = w[~going]
            which, w, z, gradient = which[going], w[going], z[going], gradient[going]
            pairs = [(s[going], y[going]) for s, y in pairs]
        if not len(which):
            return done
        direction = _direction(gradient.flatten(1), pairs, inverse[which].flatten(1)).view_as(w)
        slope = (gradient * direction).sum((1, 2))
        along = problem.scores(direction)
        t, p = problem.search(z, along, w, direction, slope, decay[which])
        new = w + t[:, None, None] * direction
        z = problem.scores(new) if i % _REFRESH == 0 else z.addcmul_(t[:, None, None], along)
        before, gradient = gradient, problem.gradient(p, new, decay[which])
        # rounding keeps these rows from going on: no step, or no descent
        stuck = (new == w).flatten(1).all(1) | (slope >= 0)
        pairs = [*pairs, ((new - w).flatten(1), (gradient - before).flatten(1))][-memory:]
        w = new
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
