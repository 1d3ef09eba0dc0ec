"""What a user's own files and packages may have wrong is told in one sentence each, before anything heavy is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import own
import pytest

from multimodal_lab.runs.aliases import KEYS

ROOT = Path(__file__).parents[2]
DRIVER = """
import contextlib, io, json, sys
from multimodal_lab import run

said = []
for argv in json.loads(sys.stdin.read()):
    sys.argv, err, code = ["run", *argv], io.StringIO(), 0
    with contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
        try:
            run.main()
        except SystemExit as end:
            code = end.code
            raise
    said.append([code, err.getvalue()])
print(json.dumps({"said": said, "heavy": sorted({"torch", "scipy", "matplotlib", "pandas"} & sys.modules.keys())}))
"""


def refused(folder, *lines):
    """What is said of each command line, none of which may run; in one process that may import nothing heavy."""
    env = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
    command = [sys.executable, "-c", DRIVER]
    done = subprocess.run(
        command, input=json.dumps(lines), capture_output=True, text=True, env=env, cwd=folder, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["heavy"] == []
    assert [code for code, _ in found["said"]] == [2] * len(lines), found["said"]
    return [said for _, said in found["said"]]


CHANGED = {  # group: a file of one's own in it, and what else chooses it
    "data": ("defaults: [specimens, _self_]\n{}", ()),
    "train": ("defaults: [default, _self_]\n{}", ()),
    "optim": ("defaults: [adamw, _self_]\n{}", ()),
    "modality": ("defaults: [rgb_uv, _self_]\n{}", ()),
    "head": ("defaults: [classifier, _self_]\n{}", ("loss=cross_entropy",)),
    "evaluate": ("defaults: [kmeans, _self_]\n{}", ()),
    "experiment": ("# @package _global_\n{}", ()),
}
VALUES = {"judged": "val", "score": "test/total", "subsets": "true", "train.floor": "0.1", "train.accumulate": "2",
          "train.keep": "1",
          "optim.rates": "{backbones: 1e-4}", "data.check": "train", "data.fit": "stretch", "data.mask": "keep",
          "data.split.rare": "train", "data.split.hold": "samples", "modality.*.take": "[R]", "head.reads": "rgb",
          "heads.*.reads": "rgb", "evaluate.*.starts": "2"}  # fmt: skip
STARS = {"modality": "rgb", "heads": "sex", "evaluate": "kmeans"}


def placed(key):
    """The key with names for its stars."""
    return key.replace("*", STARS.get(key.partition(".")[0], ""))


def yaml_of(path, value):
    """`{a: {b: value}}` of `a.b`."""
    *parents, last = path.split(".")
    return "".join(f"{p}: {{" for p in parents) + f"{last}: {value}" + "}" * len(parents) + "\n"


def test_a_renamed_key_in_a_file_of_ones_own_is_refused_with_the_new_one(tmp_path):
    """In a file of its group, and in an experiment, where each key has its whole path."""
    assert VALUES.keys() == KEYS.keys()
    lines, news = [], []
    for i, (old, new) in enumerate(KEYS.items()):
        group, _, rest = placed(old).partition(".")
        places = [("experiment", placed(old)), *([(group, rest)] if group in CHANGED else [])]
        for choice, path in places:
            text, more = CHANGED[choice]
            file = tmp_path / "conf" / choice / f"mine{i}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.format(yaml_of(path, VALUES[old])))
            more = (*more, "+head@heads.sex=classifier") if old.startswith("heads") else more
            chosen = f"[mine{i}]" if choice == "evaluate" else f"mine{i}"
            lines.append([f"--config-dir={tmp_path / 'conf'}", f"{choice}={chosen}", *more])
            news.append((placed(old), placed(new)))
    for line, said, (old, new) in zip(lines, refused(tmp_path, *lines), news, strict=True):
        assert f"{old}=" in said, (line, said)
        assert f"this key is called {new} now" in said, (line, said)


def test_an_entry_point_of_a_missing_attribute_is_one_sentence(tmp_path):
    parts, classes = {**own.PARTS, "gone": own.PARTS["mlp"]}, {**own.CLASSES, "gone": "Mlpp"}
    conf = own.install(tmp_path, "own_lab", parts, classes, own.CONF)
    (said,) = refused(tmp_path, [f"--config-dir={conf}", "backbone=mlp"])
    assert said == (
        "error: entry point gone of multimodal_lab.targets=own_lab.gone:Mlpp: own_lab.gone defines no Mlpp; it has Mlp "
        "(nearest: own_lab.gone:Mlp)\n"
    )


def test_two_parts_of_one_name_are_one_sentence(tmp_path):
    conf = own.write(tmp_path)
    own.install(tmp_path, "own_other", own.PARTS, {"mlp": "Mlp"}, {})
    (said,) = refused(tmp_path, [f"--config-dir={conf}", "backbone=mlp"])
    assert said.startswith("error: entry point mlp of multimodal_lab.targets=own_")
    assert said.endswith(".mlp:Mlp; rename one of the two\n")
    assert "a part of this name is there already, own_" in said


@pytest.mark.parametrize(
    ("part", "old", "new", "word", "said"),
    [
        ("mlp", '("vector",)', "3", "backbone=mlp", "mlp.py:6: kinds = 3: expected a tuple of names"),
        ("agree", "views = 2", "views = '2'", "loss=agree", "agree.py:4: views = '2': expected an integer >= 1"),
    ],
)
def test_a_fact_of_the_wrong_type_is_one_sentence(tmp_path, part, old, new, word, said):
    conf = own.write(tmp_path, **{part: own.PARTS[part].replace(old, new)})
    (told,) = refused(tmp_path, [f"--config-dir={conf}", word])
    assert said in told
    assert len(told.splitlines()) == 1
