"""Names of streams, labels and ids never become paths unchecked, and no control character in one reaches a terminal."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from multimodal_lab import files, stage
from multimodal_lab.config.problem import Problem
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.log.log import Log
from multimodal_lab.report.figures import draw
from multimodal_lab.text import printable, show

BAD = ["/abs", "a/b", "..", "../x", "a\\b", ".hidden", "", "a\nb", "a\x1b[2J", "a\0b"]
ESCAPES = "\x1b]0;owned\x07 \x1b[2J \u202egnp.exe \x9b5n \ud800"


def embedded(name, label="sex", count=8):
    x = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    return Embeddings(
        {name: x}, {name: np.ones(count, dtype=bool)}, {label: np.arange(count) % 2}, {label: ["f", "m"]},
        [f"s{i}" for i in range(count)], np.arange(count), np.full(count, "test"),
    )  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_stream_that_is_no_name_writes_nothing(tmp_path, name):
    folder = tmp_path / "run" / "embedded"
    with pytest.raises(ValueError, match="expected a plain name, no path"):
        embedded(name).save(folder)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("label", ["../../label", "/label", "a/b", "sex\x1b[2J", "." * 3])
def test_the_figure_of_a_label_lies_in_the_run_s_folder(tmp_path, label):
    run = tmp_path / "runs" / "mine"
    embedded("rgb", label).save(run / "embeddings")
    drawn = draw(run, ["pca"], label)
    assert [p.resolve().parent for p in drawn] == [(run / "figures").resolve()]
    assert drawn[0].is_file()


def test_names_of_files_are_distinct_where_texts_are():
    texts = ["a/b", "a_b", "a\\b", "a:b", "../a_b", "é", "a" * 300, "a" * 301]
    made = [files.named(t) for t in texts]
    assert len(set(made)) == len(made)
    assert [files.require_name(m) for m in made] == made
    assert files.named("a_b-c.d@e+f") == "a_b-c.d@e+f"


def harmless(text):
    assert all(c.isprintable() or c in "\n\t" for c in text), repr(text)
    return text


def test_control_characters_are_escaped_where_names_are_told(capsys, tmp_path):
    assert harmless(printable(ESCAPES)).startswith("\\x1b]0;owned\\x07")
    assert printable("é → 鳥\n\t") == "é → 鳥\n\t"
    assert show("a\nb\tc") == "a\\nb\\tc"
    harmless(str(Problem("modality.x", ESCAPES, "expected a name")))
    try:
        raise ValueError(f"{ESCAPES}: no such stream")
    except ValueError as error:
        harmless(stage.sentence(error, "x"))
        with pytest.raises(SystemExit) as left:
            stage.leave(error)
    harmless(str(left.value))
    harmless(capsys.readouterr().err)
    log = Log(tmp_path)
    log.console = Console(file=io.StringIO())
    log.say(ESCAPES)
    harmless(log.console.file.getvalue())


def test_a_command_line_escapes_what_it_repeats(tmp_path):
    words = ["-m", "multimodal_lab.run", f"data.root={tmp_path}/\x1b]0;owned\x07", "data=images"]
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[1]
    )
    assert done.returncode == 2
    assert "\\x1b]0;owned" in harmless(done.stderr)
