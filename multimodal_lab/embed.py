"""Embed files with a trained run: `python -m multimodal_lab.embed run=DIR data=multispectral_tiff data.root=/folder`.

Without `data=…` the run's own data are embedded. Scaling, statistics, classes and tokenizers are the training run's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from multimodal_lab import resolvers, rundir
from multimodal_lab.check import preflight
from multimodal_lab.instantiate import conf_dir
from multimodal_lab.problem import ConfigError

USAGE = """usage: python -m multimodal_lab.embed run=DIR [out=DIR] [data=CHOICE] [data.KEY=VALUE …]

run    the directory of a finished run
out    where to write <stream>.parquet and <stream>.csv (default: DIR/embedded)
data   a data set other than the run's own, with its keys, such as data.root=/folder"""


def configured(folder: Path, overrides: list[str]) -> DictConfig:
    """The run's config, its `data` replaced by what the command line chooses."""
    cfg = OmegaConf.load(folder / rundir.CONFIG)
    assert isinstance(cfg, DictConfig)
    if overrides:
        preflight(overrides)
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg.data = compose("config", overrides=overrides).data
    return cfg


def main() -> None:
    """The command line."""
    resolvers.register()
    words = dict(a.split("=", 1) for a in sys.argv[1:] if a.startswith(("run=", "out=")))
    rest = [a for a in sys.argv[1:] if not a.startswith(("run=", "out="))]
    if "run" not in words or any(a in {"-h", "--help"} for a in rest):
        sys.exit(USAGE if "run" in words or "--help" in rest or "-h" in rest else f"error: run=DIR is missing\n{USAGE}")
    folder = Path(words["run"])
    if not (folder / rundir.CONFIG).is_file():
        sys.exit(f"error: run={folder}: no run here (expected {rundir.CONFIG} in it)")
    wrong = [a for a in rest if not a.startswith(("data=", "data.", "+data."))]
    if wrong:
        sys.exit(f"error: {wrong[0]}: only data=… and data.KEY=… can be given; the rest is the run's own")
    try:
        cfg = configured(folder, rest)
        from multimodal_lab.experiment import embed_files

        print(embed_files(cfg, folder, Path(words.get("out", folder / "embedded"))))
    except (ConfigError, ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
