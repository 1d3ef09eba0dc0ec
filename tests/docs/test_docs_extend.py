"""docs/extend: a stranger copies a page, and it builds, trains, shows its part and keeps the contract."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from extend_pages import PAGES, ROOT, called, copy, install, into_repository, joined, page

SMALL = ["log=none", "figures=[]", "train.max_steps=2", "data.batch_size=16", "device=cpu", "dir=run"]
SPECIMENS = ["data.source.individuals=64", "data.source.size=16", "data.source.species=4", "data.split.stratify=species",
             "backbone.widths=[8,16]"]  # fmt: skip


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A function that copies and installs a page, once; gives its folder and the folder to put on the path."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            copy(page(name), folder)
            made[name] = folder, install(folder)
        return made[name]

    return get


@pytest.fixture(scope="module")
def ran(there):
    """A function that runs the commands of a page, once; gives what was printed and the scores of its run."""
    made = {}

    def get(name):
        if name not in made:
            folder, site = there(name)
            for command in page(name).commands:
                words = shlex.split(command)
                assert words[0] == "python", f"{name}.md: {command}"
                given = {word.partition("=")[0] for word in words}
                small = [
                    *SMALL,
                    *([] if "data" in given else SPECIMENS),
                    *([] if "evaluate" in given else ["evaluate=[probe]"]),
                ]
                run = "multimodal_lab.run" in words
                out = called([sys.executable, *words[1:], *(small if run else [])], folder, site)
            made[name] = out, json.loads((folder / "run" / "summary.json").read_text())
        return made[name]

    return get


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_as_it_is_written(name, ran):
    said, scores = ran(name)
    assert "everything is in" in said
    own = {"evaluator": "two_nn/fused/dimension", "loss": "test/alignment_uniformity", "reader": "probe/visible/species/accuracy",
           "kind": "probe/reads/habitat/accuracy", "backbone": "probe/spectrum/species/accuracy"}  # fmt: skip
    assert isinstance(scores[own.get(name, "probe/fused/species/accuracy")], float)


def test_the_evaluator_is_in_the_table(ran):
    said, scores = ran("evaluator")
    assert "Intrinsic dimension" in said
    row = next(line for line in said.splitlines() if line.split()[:1] == ["dimension"])
    assert row.split()[1:] == [f"{scores[f'two_nn/{k}/dimension']:.3f}" for k in ("rgb", "uv", "fused")]


def test_the_contract_tests_of_every_page_pass(tmp_path):
    joined([page(name) for name in PAGES], tmp_path)
    site = install(tmp_path)
    said = called([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests"], tmp_path, site, ROOT / "tests")
    assert re.search(r"\d+ passed", said)
    assert all(Path(path).name in said for name in PAGES for path in page(name).files if path.startswith("tests/"))


def test_inside_this_repository_a_part_needs_its_module_and_its_yaml_alone(tmp_path):
    words = into_repository([page(name) for name in PAGES], tmp_path)
    program = "import shlex, sys; from multimodal_lab.config import resolvers; resolvers.register()\n"
    program += "from multimodal_lab.config.check import check_command\n"
    program += "for line in sys.argv[1:]: check_command(shlex.split(line))"
    lines = [words[name].replace("--config-dir=conf ", "") for name in PAGES]
    called([sys.executable, "-c", program, *lines], tmp_path, tmp_path)
