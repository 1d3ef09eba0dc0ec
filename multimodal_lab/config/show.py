"""What Hydra shows instead of running anything: `--cfg`, `--info`, `--hydra-help`, `--shell-completion`."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.utils import get_args_parser

from multimodal_lab.config import compose
from multimodal_lab.config.check import config_folders, flags
from multimodal_lab.config.overrides import quoted_pattern
from multimodal_lab.config.problem import ConfigError


def show(argv: Sequence[str]) -> None:
    """Print what one of these flags asks for, as `hydra.main` does, over the loader that holds the allowlist.

    Hydra's own command would configure logging from the composed config before anyone has looked at it.
    """
    args = flags(argv)
    if args.multirun or args.run:
        raise ConfigError("--run and --multirun run; --cfg, --info and --shell-completion only show: give one of them")
    hydra = compose.hydra(config_folders(args))
    name, words = args.config_name or "config", [quoted_pattern(word) for word in args.overrides]
    args.overrides = words
    if args.help:
        hydra.app_help(name, get_args_parser(), args)
    elif args.hydra_help:
        hydra.hydra_help(name, get_args_parser(), args)
    elif args.cfg:
        hydra.show_cfg(name, words, args.cfg, args.package, args.resolve)
    elif args.info:
        hydra.show_info(args.info, name, words)
    else:
        hydra.shell_completion(name, words)
