"""Hydra's composition without the work whose result nobody reads: a quarter of its time.

OmegaConf derives its loader from `yaml.SafeLoader` whenever it reads a file.
"""

from __future__ import annotations

from typing import Any

import yaml

# libyaml's loader has the same grammar and is much faster
yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]

from hydra._internal import defaults_list  # noqa: E402

_choices_so_far = defaults_list._create_interpolation_map


def choices_so_far(overrides: Any, defaults: list[Any], self_added: bool) -> Any:
    """Hydra's function of what an entry as `/loss: ${loss}` may name; nothing where no entry asks."""
    return _choices_so_far(overrides, defaults, self_added) if any(d.is_interpolation() for d in defaults) else None


defaults_list._create_interpolation_map = choices_so_far  # type: ignore[assignment]
