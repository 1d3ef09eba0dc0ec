"""The words of `python -m multimodal_lab.predict run=DIR classes=[a,b,c]`, and what it writes."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimodal_lab.embed import opened
from multimodal_lab.evaluate.templates import lines, read
from multimodal_lab.predict.tables import require_table, write

if TYPE_CHECKING:
    from multimodal_lab.evaluate.prompts import Names
    from multimodal_lab.predict.answers import Predictions

USAGE = """       python -m multimodal_lab.predict run=DIR classes=FILE|[a,b,c] [templates=…] [prompt_stream=…] [temperature=…] …

Zero-shot: which of these classes each sample is of, known by name alone; CLASS and the probability of each, in DIR/zero_shot.csv.

classes        [cat, dog|puppy], several names of one class joined by |, or a text file with a class a line
templates      simple (default), imagenet, a file or ["a photo of a {}", …]
prompt_stream  the text stream that reads the prompts (default: the only one)
temperature    of the probabilities (default: that of the run's contrastive loss)
"""
WORDS = ("classes", "templates", "prompt_stream", "temperature")
OR = "|"  # between the names of one class


def is_asked(words: list[str]) -> bool:
    """Whether a command line names classes."""
    return any(word.startswith("classes=") for word in words)


def tell(words: Mapping[str, str], folder: Path, rest: list[str]) -> str:
    """Write the table of which of some classes the samples of a data set are of; what was written where."""
    out = Path(words.get("out", folder / "zero_shot.csv"))
    require_table(out)
    from multimodal_lab.predict import load

    asked = _asked_for(words)
    cfg = opened(folder, rest, known=(*WORDS, "out", "device"))
    from multimodal_lab.experiment.reload import read_data

    predictor = load(folder, words.get("device", "auto"))
    found = predictor.zero_shot(read_data(cfg, folder), **asked)
    write(found.table(), out)
    return f"{len(found)} samples by {predictor.checkpoint}: {_tally(found)} in {out}"


def parsed(text: str) -> Names:
    """The classes of a command line, `[ant, bee|bumblebee]`, or of a text file with one a line: {class: its names}.

    `ValueError` for a file that can't be read and a class that stands there twice.
    """
    every = listed(text) if text.startswith("[") else lines(Path(text).expanduser(), "classes")
    found: dict[str, list[str]] = {}
    for one in every:
        names = [name.strip() for name in one.split(OR)]
        if names[0] in found:
            raise ValueError(f"classes: {names[0]!r} stands there twice; give each once")
        found[names[0]] = names
    return found


def listed(text: str) -> list[str]:
    """The words of `[a, b, "c, d"]`; one without brackets is itself."""
    if not (text.startswith("[") and text.endswith("]")):
        return [text]
    return [word.strip() for word in next(csv.reader([text[1:-1]], skipinitialspace=True), [])]


def _asked_for(words: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of `Predictor.zero_shot` that the words of a command line ask for; `ValueError` for a wrong one."""
    found: dict[str, Any] = {"classes": parsed(words["classes"])}
    if "templates" in words:
        own = listed(words["templates"])
        found["templates"] = own if words["templates"].startswith("[") else own[0]
        read(found["templates"])  # before any sample is read
    if "prompt_stream" in words:
        found["prompt_stream"] = words["prompt_stream"]
    if "temperature" in words:
        try:
            found["temperature"] = float(words["temperature"])
        except ValueError:
            raise ValueError(f"temperature={words['temperature']}: expected a number > 0") from None
    return found


def _tally(found: Predictions) -> str:
    """How many samples are of each class, the commonest first."""
    told = []
    for key, one in found.answers.items():
        counts = Counter(v for v in one.value if v is not None).most_common()
        told.append(f"{key}: {', '.join(f'{name} {n}' for name, n in counts)}")
    return "; ".join(told)
