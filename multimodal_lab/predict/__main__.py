"""Tell the labels of files with a trained run: `python -m multimodal_lab.predict run=DIR data.root=/folder`."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf.errors import OmegaConfBaseException

from multimodal_lab import progress, stage
from multimodal_lab.config import redact, resolvers
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.embed import asked, opened
from multimodal_lab.predict import scene_command
from multimodal_lab.text import expected_one_of, plain_output

USAGE = """usage: python -m multimodal_lab.predict run=DIR [out=FILE] [device=…] [data=CHOICE] [data.KEY=VALUE …]
       python -m multimodal_lab.predict run=DIR classes=FILE|[a,b,c] [templates=…] [prompt_stream=…] [temperature=…] …
       python -m multimodal_lab.predict retrieve run=DIR STREAM=QUERY [of=STREAM] [k=10] [among=DIR] [out=FILE] [device=…]
       python -m multimodal_lab.predict run=DIR scene=FILE [out=FILE.tif] …

Writes a table with a row a sample: its id, and what every head of the run says: LABEL, the probability LABEL/CLASS of each
class, LABEL/std of a number whose head tells how sure it is.

run      the directory of a finished run; it may have been moved
out      a file that ends in .csv or .parquet (default: DIR/predicted.csv; of retrieve: the terminal)
device   auto, cpu, cuda or cuda:N (default: auto)
data     a data set other than the run's own; without, the run's own with these keys changed, such as data.root=/folder

classes  zero-shot: which of these each sample is of, by a prompt for each; CLASS and the probability of each class, in
         DIR/zero_shot.csv. [cat, dog|puppy], several names of one class joined by |, or a text file with a class a line;
         templates: simple (default), imagenet, a file or ["a photo of a {}", …]; prompt_stream: the text stream that reads
         them; temperature: of the probabilities (default: that of the run's contrastive loss)

retrieve finds the k nearest samples to a text or a picture: STREAM=QUERY is text="a red bird" or image=a.png, `of` the stream to
search in, `among` a folder of embeddings (default: those of the run's own data; python -m multimodal_lab.embed writes others).

"""
USAGE += scene_command.USAGE.lstrip()
ENDS = (".csv", ".parquet")
ZERO_SHOT = ("classes", "templates", "prompt_stream", "temperature")


def predict(words: dict[str, str], folder: Path, rest: list[str]) -> str:
    """Write the table of a data set; what was written where."""
    out = Path(words.get("out", folder / "predicted.csv"))
    _require_table(out)
    cfg = opened(folder, rest)
    from multimodal_lab.experiment.reload import read_data
    from multimodal_lab.predict import load

    predictor = load(folder, words.get("device", "auto"))
    table = predictor.of_data(read_data(cfg, folder)).table()
    _write(table, out)
    return f"{len(table)} samples by {predictor.checkpoint}: {', '.join(map(str, table.columns[1:]))} in {out}"


def zero_shot(words: dict[str, str], folder: Path, rest: list[str]) -> str:
    """Write the table of which of some classes the samples of a data set are of; what was written where."""
    out = Path(words.get("out", folder / "zero_shot.csv"))
    _require_table(out)
    from multimodal_lab.predict import load
    from multimodal_lab.predict.zero_shot import asked_for, tally

    asked = asked_for(words)
    cfg = opened(folder, rest)
    from multimodal_lab.experiment.reload import read_data

    predictor = load(folder, words.get("device", "auto"))
    found = predictor.zero_shot(read_data(cfg, folder), **asked)
    _write(found.table(), out)
    return f"{len(found)} samples by {predictor.checkpoint}: {tally(found)} in {out}"


def retrieve(words: dict[str, str], folder: Path, rest: list[str]) -> str:
    """The nearest samples to a query, as a table."""
    if not words.get("k", "10").isdigit() or words.get("k") == "0":
        raise ConfigError(f"k={words['k']}: expected a whole number from 1")
    _require_table(Path(words.get("out", "x.csv")))
    query = [word.partition("=") for word in rest if not word.startswith("-")]
    if len(query) != 1 or not query[0][1]:
        raise ConfigError(f'{" ".join(rest) or "retrieve"}: expected one STREAM=QUERY, such as text="a red bird"')
    from multimodal_lab.predict import load

    among = Path(words["among"]) if "among" in words else None
    predictor = load(folder, words.get("device", "auto"))
    (name, _, value), of, k = query[0], words.get("of"), int(words.get("k", "10"))
    table = predictor.retrieve(k=k, of=of, among=among, **{name: value})
    if "out" not in words:
        return str(table.drop(columns="query").to_string(index=False))
    _write(table, Path(words["out"]))
    return f"{len(table)} samples in {words['out']}"


def _require_table(out: Path) -> None:
    if out.suffix not in ENDS:
        raise ConfigError(f"out={out}: {expected_one_of(out.suffix or 'nothing', ENDS)} as its ending")


def _write(table: object, out: Path) -> None:
    """At once or not at all."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    from multimodal_lab.files import atomic_write

    made = pa.Table.from_pandas(table, preserve_index=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    write = pyarrow.csv.write_csv if out.suffix == ".csv" else pyarrow.parquet.write_table
    atomic_write(out, lambda file: write(made, file))


def main() -> None:
    """The command line."""
    plain_output()
    resolvers.register()
    finds = sys.argv[1:2] == ["retrieve"]
    if finds:
        del sys.argv[1]
    tells = not finds and scene_command.is_asked(sys.argv[1:])
    names = not finds and not tells and any(word.startswith("classes=") for word in sys.argv[1:])
    more = {"of", "k", "among"} if finds else {*scene_command.WORDS} if tells else {*ZERO_SHOT} if names else set()
    words, folder, rest = asked(USAGE, {"out", "device"} | more)
    try:
        progress.show(not finds)
        print(
            (retrieve if finds else scene_command.tell if tells else zero_shot if names else predict)(
                words, folder, rest
            )
        )
    except OmegaConfBaseException as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        stage.leave(error, redact.text)


if __name__ == "__main__":
    main()
