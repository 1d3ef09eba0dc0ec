"""Command line: run one experiment or a sweep, `python -m multimodal_lab.run fusion=attention modality=rgb_uv`.

Nothing heavy is imported until the configuration of every job is known to be good.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    gc.disable()  # what is made before a job begins stays: looking through it for garbage takes a tenth of the time

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from multimodal_lab import sweep_table
from multimodal_lab.config import redact, redacted_files, resolvers
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.problem import ConfigError, StudyError
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.log import records
from multimodal_lab.runs import directory, hashes
from multimodal_lab.runs.records import JOBS
from multimodal_lab.stage import TOLD, deliberate, sentence
from multimodal_lab.text import distinct, plain_output, printable

resolvers.register()
# Threads that wait by spinning make a training on shared cores several times slower; read when torch loads OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HELP = """What can be predicted from each modality, what from all of them together, and does the second one add anything?

  python -m multimodal_lab.run fusion=attention modality=rgb_uv          one experiment
  python -m multimodal_lab.run -m modality=rgb,uv,rgb_uv seed=0,1,2      a sweep, with a table at the end
  python -m multimodal_lab.run experiment=clip data.root=/folder         a preset experiment
  python -m multimodal_lab.run study=rgb_vs_uv                           a comparison; repeat it to continue
  python -m multimodal_lab.run data=multispectral_tiff data.root=/folder your own files
  python -m multimodal_lab.run dir=runs/mine resume=auto                 resume a stopped run
  python -m multimodal_lab.embed run=runs/mine data.root=/folder         embed files with a trained run
  python -m multimodal_lab.predict run=runs/mine data.root=/folder       predict their labels, in a table
  python -m multimodal_lab.evaluate run=runs/mine data.root=/folder      judge a trained run on them, without training

Choose from a group with GROUP=CHOICE, set a value with KEY=VALUE (fusion.width=64 train.epochs=20), add a key that is
not there yet with +KEY=VALUE (+optim.lr_scale.backbones=0.1):

{choices}

  -m                      sweep over comma-separated choices; flags come before choices
  hydra/launcher=joblib   jobs of a sweep in parallel; hydra/launcher=slurm on a cluster
  --cfg job               print the composed configuration and stop
  --info defaults         print where each part of it comes from"""


def job(cfg: DictConfig) -> float:
    """Claim the directory, then compose → build → fit → evaluate; returns the score that a sweeper reads.

    A failure is reported in one sentence and its traceback kept in the run's `error.txt`, so that a sweep goes on without it.
    """
    gc.enable()
    plain_output()  # a launcher's process has streams of its own
    redacted_files.of_log_records()
    records.plain()
    own = HydraConfig.get()
    folder = Path(own.runtime.output_dir)
    if own.mode == RunMode.MULTIRUN and cfg.get("study") is None:
        of = os.environ.get(JOBS, "0")
        typed: Any = OmegaConf.to_container(
            own.overrides.task, resolve=False
        )  # values of the environment stay out of sight
        print(
            f"job {own.job.num + 1}{'' if of == '0' else f' of {of}'}: {' '.join(map(redact.line, typed))}",
            flush=True,
        )
    elif own.mode == RunMode.MULTIRUN:
        sets = [redact.line(line) for line in own.overrides.task if not line.startswith(("study=", "resume="))]
        print(f"cell {folder.name}: {' '.join(sets)}", flush=True)
    try:
        from multimodal_lab.study.ledger import ledger

        directory.claim(folder, cfg.resume != "never")
        redacted_files.of_job(own, folder)
        if cfg.resume != "never" and cfg.get("study") is None and os.environ.get("RANK", "0") == "0":
            print(directory.nothing_to_resume(folder), end="", flush=True)
        if cfg.get("study") is not None and not ledger.begin(folder, hashes.config_key(as_plain(cfg))):
            return math.nan  # another launcher finished this cell since it was planned
        from multimodal_lab.experiment.run import run

        return run(cfg, folder)
    except Exception as error:
        if leaving(error):
            sys.exit(75)
        if isinstance(error, directory.Held) and cfg.get("study") is not None:
            print(f"left to another launcher: {error}", flush=True)
            return math.nan
        stopped = type(error).__name__ == "Interrupted"
        see = f"{folder / directory.ERROR}"
        if not stopped and not isinstance(error, directory.DirectoryError):
            text = redact.text(f"{traceback.format_exc()}{sentence(error, directory.ERROR)}\n")
            if not directory.note_failure(folder, text):
                see = "the traceback above"
                print("" if deliberate(error) else text, end="", file=sys.stderr)
        said = sentence(error, see)
        if stopped:
            said += f"; {to_resume(own, cfg, folder)}"
        elif str(folder) not in said:
            said += f" ({folder})"
        said = redact.text(said if stopped else f"error: {said}")
        print(said, file=sys.stderr, flush=True)
        if stopped or own.mode == RunMode.RUN:
            sys.exit(75 if stopped else 1)  # no further job of a sweep after Ctrl-C
        error.add_note(TOLD)
        raise
    finally:
        directory.release(folder)


def to_resume(own: Any, cfg: DictConfig, folder: Path) -> str:
    """How a stopped job goes on: without a directory of its own, the same command would begin in a new one."""
    if cfg.get("study") is not None:
        return f"the same command goes on with the study ({folder})"
    alone, typed = own.mode == RunMode.RUN, [*own.overrides.task, *own.overrides.hydra]
    key, where = ("dir", folder) if alone else ("hydra.sweep.dir", Path(str(own.sweep.dir)))
    lacking = [f"{key}={where}"] * (not any(word.startswith(f"{key}=") for word in typed))
    lacking += ["resume=auto"] * (cfg.resume == "never")
    return f"the same command{' with ' * bool(lacking)}{' '.join(lacking)} resumes ({folder})"


def leave(number: int, _: object) -> None:
    """SIGTERM and SIGUSR1 before or after training, when there is nothing to save: exit 75; the same command continues."""
    print(
        f"stopped by {signal.Signals(number).name}; the same command with resume=auto resumes",
        file=sys.stderr,
        flush=True,
    )
    sys.exit(75)


def leaving(error: BaseException | None) -> bool:
    """Whether `leave` was ending the process when the clean-up of a library that it cut short raised `error`."""
    while error is not None and not isinstance(error, SystemExit):
        error = error.__context__
    return error is not None


def start(argv: list[str]) -> None:
    """Compose and check every job, then run them; flags that only show something are Hydra's."""
    from multimodal_lab.config.check import check_command, refuse

    if "study=compare" in argv:  # what it imports is a twentieth of the start of all others
        from multimodal_lab.study.compare import derive, request

        if request.wanted(argv):
            argv = derive.derived(argv)
            sys.argv[1:] = argv  # launchers beside this one, and what a report tells, run the study that was written
    if (jobs := check_command(argv)) is None:
        from multimodal_lab.config.show import show

        show(argv)
        return
    refuse(distinct(jobs.absent))
    os.environ[JOBS] = str(jobs.count)
    try:
        jobs.run(job)
    except BaseException:
        sweep_table.unfinished()
        raise


def main() -> None:
    """The command line: exit 0 when done, 2 for a configuration that can't run, 75 when stopped and saved, 1 otherwise."""
    plain_output()
    redacted_files.of_log_records()
    records.plain()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGUSR1, leave)
    if {"-h", "--help"} & set(sys.argv[1:]):
        from multimodal_lab.config.overrides import groups

        print(
            HELP.format(choices="\n".join(f"  {k}: {', '.join(v)}" for k, v in sorted(groups((conf_dir(),)).items())))
        )
        return
    try:
        start(sys.argv[1:])
    except ConfigError as error:
        print(printable(redact.text(f"error: {error}")), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except StudyError as error:
        sys.exit(printable(redact.text(f"error: {error}")))
    except Exception as error:
        sys.exit(75 if leaving(error) else redact.text(f"error: {last_words(error)}"))


def last_words(error: Exception) -> str:
    """The message for a failure outside of a job: one already reported by its job, or one that kept a job from starting."""
    if TOLD in getattr(error, "__notes__", ()):
        return f"a job of this sweep failed, see above ({sentence(error, directory.ERROR)})"
    several = any(word in {"-m", "--multirun"} or word.startswith("study=") for word in sys.argv[1:])
    if isinstance(error, OSError) and error.filename:  # Hydra makes the directory before the job begins
        return str(directory.unwritable("hydra.sweep.dir" if several else "dir", error.filename, error))
    return f"{'a job of this sweep' if several else 'the run'} failed ({sentence(error, 'the traceback of HYDRA_FULL_ERROR=1')})"


if __name__ == "__main__":
    main()
