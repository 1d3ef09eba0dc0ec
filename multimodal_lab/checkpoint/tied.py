"""Tied weights, which two modules share: one name in a state dict, as safetensors holds no tensor twice."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def aliases(module: nn.Module) -> dict[str, str]:
    """{further name: first name} of every parameter and buffer that is registered at several places."""
    first: dict[int, str] = {}
    found: dict[str, str] = {}
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    for name, x in tensors:
        home = first.setdefault(id(x), name)
        if home != name:
            found[name] = home
    return found


def save_once(module: nn.Module) -> None:
    """From now on `module.state_dict()` has shared weights under their first name alone, and loading fills in the others."""
    module.register_state_dict_post_hook(_drop)  # type: ignore[no-untyped-call]
    module.register_load_state_dict_pre_hook(_fill)  # type: ignore[no-untyped-call]


def _drop(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    for name in aliases(module):
        state.pop(prefix + name, None)  # a buffer that is not persistent is not there


def _fill(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    for name, home in aliases(module).items():
        if prefix + home in state:
            state.setdefault(prefix + name, state[prefix + home])
