"""DTensor helpers: local shards, full tensors, and shards assembled from checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from multimodal_lab.checkpoint.state import Stateful, TrainingState
from multimodal_lab.device import distributed

if TYPE_CHECKING:  # its import would lengthen the start of every run; only a sharded one needs it
    from torch.distributed.tensor import DTensor


def in_pieces(x: Any) -> bool:
    """Whether `x` is a tensor that the ranks hold together, a DTensor."""
    return isinstance(x, Tensor) and hasattr(x, "to_local")


def local(x: Tensor) -> Tensor:
    """This rank's own piece, the same memory; what is not in pieces comes back as it is."""
    found: Tensor = x.to_local() if hasattr(x, "to_local") else x
    return found


def whole(x: Tensor) -> Tensor:
    """All of it, from the pieces of every rank; what is not in pieces comes back as it is. Every rank must ask."""
    found: Tensor = x.full_tensor() if hasattr(x, "full_tensor") else x
    return found


class Whole:
    """A part whose tensors are in pieces, with the state that it would have in one process."""

    def __init__(
        self,
        part: Stateful,
        like: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        back: Callable[[Tensor, DTensor], Tensor] | None = None,
    ) -> None:
        self.part, self.like, self.back = part, like, back or own_piece
        self._found: dict[str, Any] | None = None

    def gather(self) -> None:
        """Before a save, on every rank: bring the pieces together, tensor by tensor, in rank 0's host memory."""
        state = self.part.state_dict()
        self._found = _mapped(state, self.like(state), _on_main)

    def state_dict(self) -> dict[str, Any]:
        """What `gather` found, given out once."""
        found, self._found = self._found, None
        return self.part.state_dict() if found is None else found

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take this rank's pieces of a whole state; only they go to the device."""
        self.part.load_state_dict(_mapped(state, self.like(state), self.back))


def gather(parts: TrainingState) -> None:
    """Gather every part that is in pieces."""
    for part in parts.values():
        if isinstance(part, Whole):
            part.gather()


def _mapped(tree: Any, like: Any, change: Callable[[Tensor, Any], Tensor]) -> Any:
    """`tree` with every tensor changed that has a parameter in pieces at its place in `like`."""
    if isinstance(tree, Mapping):
        inner = like if isinstance(like, Mapping) else {}
        return {key: _mapped(value, inner.get(key), change) for key, value in tree.items()}
    return change(tree, like) if isinstance(tree, Tensor) and tree.ndim and in_pieces(like) else tree


def _on_main(piece: Tensor, like: DTensor) -> Tensor:
    """The whole of a piece of what is laid out as `like`, on rank 0's host; an empty tensor elsewhere."""
    found = whole(_pieced(local(piece), like))
    return found.cpu() if distributed.rank() == 0 else found.new_empty(0)


def own_piece(x: Tensor, like: DTensor) -> Tensor:
    """This rank's piece of `x`, laid out as `like`; its own memory, on the device."""
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    if x.shape != like.shape:
        return x  # whoever loads it says so
    shape, start = compute_local_shape_and_global_offset(like.shape, like.device_mesh, like.placements)
    at = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    return _pieced(x[at].to(local(like.detach()).device, copy=True), like)


def _pieced(own: Tensor, like: DTensor) -> DTensor:
    """What the ranks hold together when each holds `own` of it."""
    from torch.distributed.tensor import DTensor

    mesh, where = like.device_mesh, like.placements
    return DTensor.from_local(own, mesh, where, run_check=False, shape=like.shape, stride=like.stride())
