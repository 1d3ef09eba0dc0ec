"""Tell the labels of files with a trained run: `python -m multimodal_lab.predict run=DIR data.root=/folder`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from omegaconf.errors import OmegaConfBaseException

from multimodal_lab import progress, stage
from multimodal_lab.config import redact, resolvers
from multimodal_lab.embed import asked, opened
from multimodal_lab.predict import (
    negatives_command,
    retrieve_command,
    scene_command,
    separate_command,
    zero_shot_command,
)
from multimodal_lab.predict.tables import require_table, write
from multimodal_lab.text import plain_output

USAGE = """usage: python -m multimodal_lab.predict run=DIR [out=FILE] [pool=COLUMN] [device=…] [data=CHOICE] [data.KEY=VALUE …]
       python -m multimodal_lab.predict run=DIR classes=FILE|[a,b,c] [templates=…] …
       python -m multimodal_lab.predict retrieve run=DIR query=… [data.root=/folder] [top_k=10] [out=FILE] …
       python -m multimodal_lab.predict negatives run=DIR [top_k=10] [out=FILE] …
       python -m multimodal_lab.predict run=DIR scene=FILE [out=FILE.tif] …
       python -m multimodal_lab.predict separate run=DIR file=MIX.wav [out=DIR] …

Writes a table with a row a sample: its id, and what every head of the run says: LABEL, the probability LABEL/CLASS of each
class, LABEL/std of a number whose head tells how sure it is.

run      the directory of a finished run; it may have been moved
out      a file that ends in .csv or .parquet (default: DIR/predicted.csv)
pool     a column, such as recording: one answer for all rows that are equal in it, by their mean (default: what the run was
         scored by, evaluate.head.pool); null answers row by row
device   auto, cpu, cuda or cuda:N (default: auto)
data     a data set other than the run's own; without, the run's own with these keys changed, such as data.root=/folder

"""
USAGE += "\n".join(
    one.USAGE.lstrip()
    for one in (zero_shot_command, retrieve_command, negatives_command, scene_command, separate_command)
)
BY_NAME = {"retrieve": retrieve_command, "negatives": negatives_command, "separate": separate_command}
KEYS = ("run", "out", "device", "pool")
BY_WORD = (scene_command, zero_shot_command)


def predict(words: dict[str, str], folder: Path, rest: list[str]) -> str:
    """Write the table of a data set; what was written where."""
    out = Path(words.get("out", folder / "predicted.csv"))
    require_table(out)
    cfg = opened(folder, rest, known=(*KEYS, *zero_shot_command.WORDS, *scene_command.WORDS))
    from multimodal_lab.experiment.reload import read_data
    from multimodal_lab.predict import load

    predictor = load(folder, words.get("device", "auto"))
    data, pool = read_data(cfg, folder), words.get("pool", "auto")
    table = predictor.of_data(data, None if pool == "null" else pool).table()
    write(table, out)
    of = f" from {len(data.samples)}" if len(data.samples) > len(table) else ""
    return f"{len(table)} samples{of} by {predictor.checkpoint}: {', '.join(map(str, table.columns[1:]))} in {out}"


def stop(number: int, _: object) -> None:
    """SIGTERM ends the command as an error does, so that what it has spooled beside its output goes with it."""
    sys.exit(f"stopped by {signal.Signals(number).name}")


def main() -> None:
    """The command line."""
    plain_output()
    signal.signal(signal.SIGTERM, stop)
    resolvers.register()
    command = BY_NAME.get(sys.argv[1] if len(sys.argv) > 1 else "")
    if command:
        del sys.argv[1]
    else:
        command = next((one for one in BY_WORD if one.is_asked(sys.argv[1:])), None)
    words, folder, rest = asked(USAGE, {"out", "device", *(command.WORDS if command else ("pool",))})
    try:
        progress.show(command is not retrieve_command or any(word.startswith("data") for word in rest))
        print((command.tell if command else predict)(words, folder, rest))
    except OmegaConfBaseException as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        stage.leave(error, redact.text)


if __name__ == "__main__":
    main()
