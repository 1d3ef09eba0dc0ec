"""What is read out of a stranger's text takes a time that grows as the text does: nothing in it can hold a run up."""

import contextlib
import re
import time

import pandas as pd
import pytest

from multimodal_lab.config import redact
from multimodal_lab.data.audit import column_names, spelling
from multimodal_lab.data.loading.unreadable import _reason
from multimodal_lab.data.readers import envi_fields, filename_labels, flickr30k, name_match, spectra, tiles, ts_line
from multimodal_lab.data.readers.delimited import read_delimited
from multimodal_lab.serve import app

N = 200_000
BOUND = 10.0  # seconds: each takes far less than one; the ways that were quadratic took minutes, or hours


def header(tmp_path, text):
    (tmp_path / "x.hdr").write_text(text)
    return envi_fields.fields(tmp_path / "x.hdr", "x")


def presets(name):
    return [re.fullmatch(regex, name) for regex in filename_labels.PRESETS.values()]


READ = {
    "a header of blanks": lambda at: header(at, "ENVI\n" + " " * N),
    "a header of blanks and a value": lambda at: header(at, "a" + " \t" * N + "b"),
    "a header of one field": lambda at: header(at, "a" * N),
    "a header of lists that don't end": lambda at: header(at, "}" * (N // 4) + "a={\n" * (N // 4)),
    "a header of lists": lambda at: header(at, "a={\n}\n" * (N // 4)),
    "a band name of digits": lambda at: envi_fields.centres({"band names": "1" * N}, 1, "x"),
    "a band name of numbers": lambda at: envi_fields.centres({"band names": "1." * N}, 1, "x"),
    "a band name of blanks": lambda at: envi_fields.centres({"band names": "1" + " " * N}, 1, "x"),
    "a tile of digits": lambda at: tiles.PLACE.fullmatch("1" * N + "x"),
    "a tile of numbers": lambda at: tiles.PLACE.fullmatch("1a" * N + "_"),
    "a tile among ids": lambda at: list(
        tiles._pictures(pd.DataFrame({"id": ["1a" * N + "_"], "height": 1, "width": 1}))
    ),
    "a name of marks": lambda at: spelling.stem("_" * N + "x"),
    "a name of blanks": lambda at: spelling.stem("a" + " " * N + "x"),
    "a name of copies": lambda at: spelling.stem("a" + "_copy" * N),
    "a name of numbered copies": lambda at: spelling.stem("a" + "(1)" * N + "x"),
    "a numbered name of marks": lambda at: spelling.series("1" + "_" * N + "x"),
    "a spelling of digits": lambda at: spelling.key("1" * N + "." + "/0" * N + "x"),
    "a column of capitals": lambda at: column_names.words("aB" * N),
    "a path of dots": lambda at: name_match.parts("a" + ".tif" * N + "/"),
    "a file name of marks": lambda at: presets("a_" * 2000),
    "a file name of digits": lambda at: presets("a_" + "1" * N),
    "a column of numbers": lambda at: spectra._looks_like(pd.DataFrame({"1.2" * N: ["x"], "1" * N: ["x"]})),
    "a table's first line": lambda at: table(at, "sep=" + " " * N + "\na;b\n1;2\n"),
    "an error that quotes": lambda at: _reason("sample '" * N),
    "an error of one word": lambda at: _reason("a" * N),
    "an address of logins": lambda at: redact.text("://a:" * N),
    "a caption without its bar": lambda at: flickr30k.NO_BAR.fullmatch("x|1" + " " * N + "|"),
    "an answer of folders": lambda at: app.plainly("multimodal_lab_" * (N // 15)),
    "an answer of one word": lambda at: app.plainly("a" * N),
    "a recording of times": lambda at: ts_line.timed_values(["(1" + ")  " * N + ",2)"], "s", "x"),
    "a key of keys": lambda at: redact.text("sk-" * N + "!"),
}


def table(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    return read_delimited(tmp_path / "x.csv")


@pytest.mark.parametrize("name", READ)
def test_its_time_is_linear(tmp_path, name):
    began = time.process_time()
    with contextlib.suppress(ValueError):  # a sentence that refuses it
        READ[name](tmp_path)
    assert time.process_time() - began < BOUND


OLD = r"^[ \t]*([^=;\n{}]+?)[ \t]*=[ \t]*(\{[^}]*\}|[^\n]*)"  # what the scan replaced, on text of a sensible length
PIECES = ("a", " b c ", "=", " = ", "{", "}", "{1,\n 2}", "{x} y", "\n", "\n", ";", "\r\n", "\t", "wavelength = {")


def test_the_scan_of_a_header_finds_what_the_expression_did():
    import random

    draw = random.Random(0)
    for _ in range(3000):
        text = "".join(draw.choices(PIECES, k=draw.randint(1, 14)))
        found = {k: v for k, v in envi_fields.filled(dict(envi_fields._pairs(text))).items() if k}
        wanted = {k: v for k, v in envi_fields.filled(dict(re.findall(OLD, text, re.MULTILINE))).items() if k}
        assert found == wanted, repr(text)


def test_an_answer_tells_nothing_of_the_folder_of_an_upload():
    said = app.plainly("/tmp/multimodal_lab_x1/0/00000001/a b.png: 3 px (data.source.limits.pixels raises it)")
    assert said == "a b.png: 3 px"
    for kept in ("no stream 'multimodal_lab_x'", "a/b.png", "/tmp/multimodal_lab_x/'", "multimodal_lab_/a"):
        assert app.plainly(kept) == kept
