"""Lay one small image over another: the similarity transform that fits best, and how alike they are then."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from multimodal_lab.data.audit.candidates import grey

LEVELS = ((16, 10), (32, 6))  # (pixels, iterations), coarse to fine
SIFTED = 16  # pixels at which pairs are sifted:
LIKELY = 0.4  # correlation from which the finest level is looked at
BLUR = 5  # pixels that fine detail is what differs from the mean of
SEEN = 0.75  # of such a window, of the most that is seen of any
LEAST = 0.35  # of the image that must be seen in both, without
MARGIN = 0.1  # of the half side of each, where turning and shifting leave what is no picture
STEEPEST = 0.35  # of rotation (radians), zoom and shift (of the half side) within which copies lie


def aligned(fixed: Tensor, moving: Tensor, shared: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """(m, 2, 3): where each pixel of `fixed` (n, S, S) lies in `moving`, in coordinates from -1 to 1, as `affine_grid` has them;
    and (n,) bool: of which pairs, those that are not unlike each other when laid over each other coarsely.

    start (n, 2, 3): where to begin; shared (K, S, S): what all images share. Rotation, zoom and shift by Gauss-Newton steps of
    the inverse compositional method (Baker & Matthews 2004), coarse to fine, on images brought to one mean and contrast. kornia's
    registrator fits one transform to a batch, by 100 steps of Adam.
    """
    last = torch.tensor([0.0, 0.0, 1.0]).expand(len(start), 1, 3)
    matrix, kept = torch.cat([start, last], 1), torch.arange(len(start))
    for side, steps in LEVELS:
        if not len(kept):
            break
        a, b = (F.adaptive_avg_pool2d(x[kept, None], side) for x in (fixed, moving))
        matrix = _stepped(_standard(a), _standard(b), matrix, steps)
        if side == SIFTED:
            whole = likeness(a, b, matrix[:, :2], F.adaptive_avg_pool2d(shared, side)[:, None])[0]
            matrix, kept = matrix[whole >= LIKELY], kept[whole >= LIKELY]
    chosen = torch.zeros(len(start), dtype=torch.bool)
    chosen[kept] = True
    return matrix[:, :2], chosen


def _stepped(a: Tensor, b: Tensor, matrix: Tensor, steps: int) -> Tensor:
    side = a.shape[-1]
    jacobian = _jacobian(a[:, 0])
    hessian = torch.einsum("nkp,nlp->nkl", jacobian, jacobian)
    hessian += 1e-3 * hessian.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(4)
    factor = torch.linalg.cholesky_ex(hessian + 1e-6 * torch.eye(4))[0]
    for _ in range(steps):
        seen, inside = sampled(b, matrix[:, :2], side)
        gap = ((_standard(seen, inside) - _standard(a, inside)) * inside).flatten(1)
        step = torch.cholesky_solve(torch.einsum("nkp,np->nk", jacobian, gap)[..., None], factor)[..., 0]
        matrix = matrix @ torch.linalg.inv(_matrix(step.clamp(-0.2, 0.2)))
    return matrix


def sampled(x: Tensor, matrix: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Images (n, C, …) as `matrix` (n, 2, 3) lays them, (n, C, side, side), and where they are there, (n, 1, side, side)."""
    place = (torch.arange(side) + 0.5) * 2 / side - 1
    (xx, xy, x0), (yx, yy, y0) = (row[..., None, None].unbind(1) for row in matrix.unbind(1))
    # `F.affine_grid` in a third of its time, which multiplies small matrices
    grid = torch.stack([xx * place + (xy * place[:, None] + x0), yx * place + (yy * place[:, None] + y0)], -1)
    edge = 1 - max(MARGIN, 2 / side)  # a coarse pixel at the edge mixes it in
    at = place.abs() <= edge
    inside = ((grid.abs() <= edge).all(-1) & at & at[:, None])[:, None].float()
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False), inside


def likeness(fixed: Tensor, moving: Tensor, matrix: Tensor, shared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(n,) correlations of images (n, C, S, S), laid over each other: of what is not `shared` (K, C, S, S), and of fine detail;
    and how much they differ where they differ most, see `_apart`.

    0 where too little is seen in both. Where one has no colour, the other is taken in the grey that is likest (as any grey of a
    colour image is a mixture of its bands).
    """
    seen, inside = sampled(moving, matrix, fixed.shape[-1])
    one = _colourless(fixed, inside) ^ _colourless(seen, inside)
    found = torch.zeros(3, len(fixed))
    if (both := ~one).any():
        found[:, both] = _correlations(fixed[both], seen[both], inside[both], shared)
    if one.any():
        a, b, w = fixed[one], seen[one], inside[one]
        dull = _colourless(a, w)[:, None, None, None]
        a, b = (
            torch.where(dull, a.mean(1, keepdim=True), _mixed(a, b.mean(1, keepdim=True), w)),
            torch.where(dull, _mixed(b, a.mean(1, keepdim=True), w), b.mean(1, keepdim=True)),
        )
        found[:, one] = _correlations(a, b, w, grey(shared)[:, None])
    turn = matrix[:, :, :2] - torch.eye(2)
    near = (turn.abs().amax((1, 2)) < STEEPEST) & (matrix[:, :, 2].abs().amax(1) < STEEPEST)
    near &= inside.flatten(1).mean(1) >= LEAST
    return found[0] * near, found[1] * near, found[2]


def _correlations(a: Tensor, b: Tensor, inside: Tensor, shared: Tensor) -> Tensor:
    """(3, n): of all that is not shared, of what of it differs from the mean around, and `_apart`."""
    # with what is shared: of one camera little else is left, and a turned copy differs there
    apart = _apart(a, b, inside)
    a, b = (_without(x, shared, inside) for x in (a, b))
    fine, also = (x - _blurred(x) for x in (a, b))
    return torch.stack([_correlation(a, b, inside), _correlation(fine, also, inside), apart])


def _apart(a: Tensor, b: Tensor, inside: Tensor) -> Tensor:
    """(n,): the largest mean squared difference around a pixel, of images of deviation 1.

    A copy is like its original everywhere, two frames of one camera only where nothing has moved.
    """
    a, b = (_standard(x, inside) * inside for x in (a, b))
    seen = _blurred(inside)
    gap = _blurred((a - b).square().mean(1, keepdim=True)) / seen.clamp_min(1e-6)
    # windows that are hardly seen say little
    return torch.where(seen >= SEEN * seen.amax((1, 2, 3), keepdim=True), gap, torch.zeros(())).amax((1, 2, 3))


def _blurred(x: Tensor) -> Tensor:
    """The mean around each pixel of what lies in the image, by multiplications: `F.avg_pool2d` takes five times as long."""
    at = torch.arange(x.shape[-1])
    near = ((at - at[:, None]).abs() <= BLUR // 2).float()
    near = near / near.sum(1, keepdim=True)
    return near @ (x @ near.T)


def _jacobian(a: Tensor) -> Tensor:
    """(n, 4, S * S): how each pixel changes with zoom, rotation and shifts; gradients by central differences."""
    side = a.shape[-1]
    padded = F.pad(a[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * side / 4  # a pixel is 2 / side
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * side / 4
    at = (torch.arange(side) + 0.5) * 2 / side - 1
    x, y = at[None, None, :], at[None, :, None]
    return torch.stack([across * x + down * y, -across * y + down * x, across, down], 1).flatten(2)


def _matrix(step: Tensor) -> Tensor:
    """(n, 3, 3) of zoom, rotation and shifts (n, 4)."""
    zoom, turn, right, down = step.T
    rows = [torch.stack([1 + zoom, -turn, right], 1), torch.stack([turn, 1 + zoom, down], 1)]
    last = torch.tensor([0.0, 0.0, 1.0]).expand(len(step), 3)
    return torch.stack([*rows, last], 1)


def _standard(x: Tensor, inside: Tensor | None = None) -> Tensor:
    """Each image (n, C, S, S) with mean 0 and deviation 1, over the pixels `inside`."""
    w = torch.ones_like(x[:, :1]) if inside is None else inside
    count = (w.sum((1, 2, 3), keepdim=True) * x.shape[1]).clamp_min(1)
    centred = x - (x * w).sum((1, 2, 3), keepdim=True) / count
    return centred / ((centred**2 * w).sum((1, 2, 3), keepdim=True) / count).sqrt().clamp_min(1e-6)


def _without(x: Tensor, shared: Tensor, inside: Tensor) -> Tensor:
    """What is left of images but for a constant and the mixture of what is shared that fits best; 0 outside."""
    w = inside.expand_as(x).flatten(1)
    design = torch.cat([torch.ones(1, w.shape[1]), shared.flatten(1)])
    gram = (w @ (design[:, None] * design).flatten(0, 1).T).reshape(-1, len(design), len(design))
    gram += 1e-5 * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(len(design))
    by: Tensor = torch.linalg.solve(gram, (x.flatten(1) * w) @ design.T)
    return ((x.flatten(1) - by @ design) * w).view_as(x)


def _correlation(a: Tensor, b: Tensor, inside: Tensor) -> Tensor:
    a, b = a * inside, b * inside
    size = ((a**2).sum((1, 2, 3)) * (b**2).sum((1, 2, 3))).sqrt()
    return (a * b).sum((1, 2, 3)) / size.clamp_min(1e-6)


def _colourless(x: Tensor, inside: Tensor) -> Tensor:
    """(n,) bool: whether all bands are one, nearly; one band alone has no colour to lack."""
    if x.shape[1] == 1:
        return torch.zeros(len(x), dtype=torch.bool)
    mean = x.mean(1, keepdim=True)
    count = inside.sum((1, 2, 3), keepdim=True).clamp_min(1)
    depth = (mean - (mean * inside).sum((1, 2, 3), keepdim=True) / count) ** 2 * inside
    return ((x - mean) ** 2 * inside).sum((1, 2, 3)) < 1e-3 * x.shape[1] * depth.sum((1, 2, 3))


def _mixed(x: Tensor, like: Tensor, inside: Tensor) -> Tensor:
    """(n, 1, S, S): the mixture of the bands of x, with a constant, that is likest `like`."""
    w = inside.flatten(1)
    design = torch.cat([x, torch.ones_like(x[:, :1])], 1).flatten(2)
    gram = torch.einsum("nkp,nlp,np->nkl", design, design, w)
    gram += 1e-4 * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(gram.shape[1])
    by = torch.linalg.solve(gram, torch.einsum("nkp,np,np->nk", design, like.flatten(1), w))
    return torch.einsum("nk,nkp->np", by, design).view_as(like)
