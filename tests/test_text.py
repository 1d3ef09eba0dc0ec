"""The sentence that names the nearest choice, the words of a command line, the letters of a terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from multimodal_lab.text import (
    and_more,
    beside,
    expected_one_of,
    is_blank,
    join_labels,
    key_values,
    nearest,
    show,
    some,
    spanned,
    split_labels,
)


def test_a_wrong_name_is_followed_by_what_there_is_and_the_nearest():
    assert expected_one_of("fsed", ["rgb", "uv", "fused"]) == "expected one of rgb, uv, fused; nearest: fused"
    assert expected_one_of("x", ["rgb"]) == "expected one of rgb; nearest: rgb"
    assert expected_one_of("x", []) == "there is none"


def test_a_missing_path_is_followed_by_the_one_that_may_be_meant(tmp_path):
    (tmp_path / "lite0.safetensors").touch()
    assert beside(tmp_path / "lite1.safetensors") == f"; nearest: {tmp_path}/lite0.safetensors"
    assert beside(tmp_path / "vit.npz") == beside(tmp_path / "none" / "lite0.safetensors") == ""


def test_a_text_is_blank_where_nothing_of_it_is_seen():
    assert all(map(is_blank, ("", " \n\t", "\u00a0\u2003", "\u200b\u200d\ufeff", "\u00ad\x00\u2028")))
    assert not any(map(is_blank, ("a", " . ", "犬", "😀", "\u200b!", "½")))


def test_of_many_names_the_three_nearest_are_told():
    names = [f"band{i}" for i in range(100)]
    assert expected_one_of("bnd42", names).startswith("expected one of 100 names; nearest: band42, ")
    assert expected_one_of("bnd42", names).count(",") == 2


def test_the_nearest_is_never_empty_where_there_is_a_choice():
    assert nearest("???", ["a", "b"])
    assert not nearest("a", [])
    assert nearest(3, ["1", "3", "33"], 2) == ["3", "33"]


def test_a_list_that_is_cut_says_how_many_more_there_are():
    assert some([]) == ""
    assert some([1, 2]) == some([1, 2], 2) == "1, 2"
    assert some("abcdefg") == "a, b, c, d, e and 2 more"
    assert some([f"{nm}" for nm in range(9)], 1) == "0 and 8 more"
    assert and_more("abc", 3) == and_more("", 3) == ""
    assert and_more("abcd", 3, "failed") == "and 1 more failed"


def test_of_many_names_in_an_order_the_ends_are_told():
    assert spanned([f"b{i}" for i in range(16)], "bands").endswith("b14, b15")
    assert spanned([f"b{i}" for i in range(17)], "bands") == "b0, b1, b2, b3, b4, … b16 (17 bands)"


def test_words_are_split_at_the_first_equals_sign():
    assert key_values(["run=a=b", "status", "run=c", "out="]) == ({"run": "c", "out": ""}, ["status"])
    assert key_values(["data.root=/x", "run=a", "--help"], {"run"}) == ({"run": "a"}, ["data.root=/x", "--help"])


def test_several_labels_are_found_again_whatever_is_in_their_names():
    assert join_labels(["forest", "sea"]) == "forest+sea"
    for names in ([], ["a", "b", "a+b"], ["C++", "+", "\\", "x\\+y", "line\nend"], ["a+b"]):
        assert split_labels(join_labels(names)) == names


def test_a_value_is_shown_as_it_is_typed():
    assert show({"a": [None, True, 1.5]}) == "{a: [null, true, 1.5]}"
    assert len(show("x" * 200)) == 78


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"LC_ALL": "C"}, ["sweep_table", "DIR"]), ({"PYTHONIOENCODING": "ascii"}, ["sweep_table", "DIR"]),
        ({"PYTHONIOENCODING": "latin-1"}, ["sweep_table", "DIR"]), ({"LC_ALL": "C"}, ["run", "--help"]),
        ({"PYTHONIOENCODING": "ascii"}, ["run", "fusion=Käse→"]), ({"LC_ALL": "POSIX"}, ["explore", "run=DIR/ü"]),
        ({"PYTHONIOENCODING": "ascii"}, ["study", "runs=DIR/ü"]), ({"PYTHONIOENCODING": "ascii"}, ["replay", "ü\udcff"]),
        ({"PYTHONIOENCODING": "ascii"}, ["embed", "run=ü"]),
    ],
)  # fmt: skip
def test_no_command_fails_for_the_letters_of_a_terminal(tmp_path, env, words):
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "config.yaml").write_text(f"seed: {i}\nname: Käse {i}\nlabel: ä→{i}\n", encoding="utf-8")
        (tmp_path / str(i) / "summary.json").write_text('{"cost/wall_s": 1.0}')
    command = [
        sys.executable,
        "-m",
        f"multimodal_lab.{words[0]}",
        *(w.replace("DIR", str(tmp_path)) for w in words[1:]),
    ]
    around = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **env}
    done = subprocess.run(command, capture_output=True, env=around)
    said = done.stdout + done.stderr
    assert said
    assert b"Unicode" not in said
    assert said.isascii() or env == {"PYTHONIOENCODING": "latin-1"}
