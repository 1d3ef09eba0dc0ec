"""Look at a data set before anything is trained on it: `python -m multimodal_lab.doctor data=… data.root=/folder`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from multimodal_lab import files, progress, stage
from multimodal_lab.config import redact, resolvers
from multimodal_lab.config.check import refuse
from multimodal_lab.config.directories import absent
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.text import key_values, plain_output, printable

USAGE = """usage: python -m multimodal_lab.doctor data=CHOICE [data.root=DIR] [modality=CHOICE] [limit=N] [out=FILE.json]

data, modality  as multimodal_lab.run takes them; without modality=… every band and text that the data hold
limit           samples that are looked at, evenly spaced (default 10000; null: all)
out             also write all that is found as JSON

Reads the samples as stored, then as a run would: bands against their card (units, constant, equal or swapped bands), files that
can't be read, layouts, missing streams, gaps, labels, splits, and the audit of a study (leaks, copies, confounds).

exit code 0: nothing found, or hints alone; 4: warnings; 3: errors (a run refuses these data, or a comparison on them would be
void); 2: the command line can't be followed; 1: the data can't be looked at; 130: Ctrl-C."""
EXIT = {"error": 3, "warning": 4}
LIMIT = 10_000


def examined(words: list[str], limit: int | None) -> dict[str, Any]:
    """The record of an examination; of data that can't be opened, why. `ConfigError` for words that can't be followed."""
    from multimodal_lab.doctor.opened import configured, opened, streams

    cfg = configured(words)
    refuse([*absent(cfg)])
    from multimodal_lab.data.audit.examine import Examination, examine, refused
    from multimodal_lab.data.source import DataError

    try:
        factory = opened(cfg)
        return examine(factory, streams(cfg, words, factory), limit).record()
    except DataError as error:
        return Examination(0, 0, [refused(error)]).record()


def _limit(words: dict[str, str]) -> int | None:
    text = words.get("limit", str(LIMIT))
    if text == "null":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"limit={text}: expected a whole number from 1, or null for all (nearest: limit={LIMIT})")
    return int(text)


def _out(words: dict[str, str]) -> Path | None:
    if "out" not in words:
        return None
    path = Path(words["out"])
    if path.suffix != ".json" or path.is_dir():
        raise ConfigError(f"out={path}: expected a file that ends in .json (nearest: out={path.with_suffix('.json')})")
    if not path.parent.is_dir():
        raise ConfigError(f"out={path}: no such folder: {path.parent}")
    return path


def main() -> None:
    """The command line."""
    plain_output()
    resolvers.register()
    own, rest = key_values(sys.argv[1:], {"limit", "out"})
    if {"-h", "--help"} & set(rest):
        print(USAGE)
        return
    try:
        limit, out = _limit(own), _out(own)
        if not any(word.startswith(("data=", "experiment=", "study=")) for word in rest):
            raise ConfigError("data=CHOICE is missing, such as data=multispectral_tiff data.root=/folder")
        progress.show(True)
        found = examined(rest, limit)
        from multimodal_lab.doctor.show import show

        show(found, Console())
        if out is not None:
            files.write_json(out, found)
            print(f"all of it is in {printable(out, one_line=True)}")
    except (ConfigError, OmegaConfBaseException) as error:
        print(printable(redact.text(f"error: {error}")), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        stage.leave(error, redact.text)
    sys.exit(EXIT.get(found["worst"], 0))


if __name__ == "__main__":
    main()
