"""What Hydra shows instead of running anything: `--cfg`, `--info`, `--hydra-help`, `--shell-completion`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from multimodal_lab.config import compose
from multimodal_lab.config.check import asked, config_folders, flags, refuse
from multimodal_lab.config.hydra_error import problem_of
from multimodal_lab.config.overrides import quoted_pattern
from multimodal_lab.config.problem import ConfigError, Problem


def show(argv: Sequence[str]) -> None:
    """Print what one of these flags asks for, as `hydra.main` does, over the loader that holds the allowlist.

    Hydra's own command would configure logging from the composed config before anyone has looked at it.
    """
    args = flags(argv)
    if args.multirun or args.run:
        raise ConfigError("--run and --multirun run; --cfg, --info and --shell-completion only show: give one of them")
    words = [quoted_pattern(word) for word in args.overrides]
    try:
        _show(compose.hydra(config_folders(args)), args.config_name or "config", words, args)
    except (HydraException, OmegaConfBaseException) as error:
        refuse(_problems(args, words, error))
        raise


def _show(hydra: Hydra, name: str, words: list[str], args: argparse.Namespace) -> None:
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


def _problems(args: argparse.Namespace, words: list[str], error: Exception) -> list[Problem]:
    """What kept a line from being composed, as a run of it would tell; looked for once Hydra has failed, as it takes time."""
    jobs, _ = asked(args)
    try:
        found = jobs.configured(words)[1]
    except (HydraException, OmegaConfBaseException) as own:
        return [problem_of(own, words, jobs.known)]
    return found or [problem_of(error, words, jobs.known)]
