"""One experiment, or a sweep of them, from one command: `python -m multimodal_lab.run fusion=attention modality=rgb_uv`.

Nothing heavy is imported until the configuration of every job is known to be good.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import yaml

# OmegaConf derives its loader from yaml.SafeLoader: libyaml's has the same grammar and halves the time of a composition.
yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]

import hydra  # noqa: E402
from hydra.core.hydra_config import HydraConfig  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402

from multimodal_lab import rundir  # noqa: E402
from multimodal_lab.check import ConfigError, preflight  # noqa: E402
from multimodal_lab.instantiate import conf_dir  # noqa: E402

OmegaConf.register_new_resolver("run_id", rundir.run_id, use_cache=True, replace=True)


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
def job(cfg: DictConfig) -> float:
    """Claim the directory, then compose → build → fit → evaluate; returns the score that a sweeper reads.

    A failure is told in one sentence and its traceback kept in the run's `error.txt`, so that a sweep goes on without it.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    rundir.claim(folder, cfg.resume == "auto")
    try:
        from multimodal_lab.experiment import run

        return run(cfg, folder)
    except Exception as error:
        rundir.note_failure(folder, traceback.format_exc())
        print(f"failed: {folder}: {error}", file=sys.stderr, flush=True)
        raise
    finally:
        rundir.release(folder)


def main() -> None:
    """The command line: exit 0 when done, 2 for a configuration that can't run, 75 when stopped and saved, 1 otherwise."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    try:
        preflight(sys.argv[1:])
        job()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        stopped = type(error).__name__ == "Interrupted"
        print(f"{'stopped' if stopped else 'error'}: {error}", file=sys.stderr)
        sys.exit(75 if stopped else 1)


if __name__ == "__main__":
    main()
