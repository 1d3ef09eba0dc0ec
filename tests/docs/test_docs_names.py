"""Every file that the documentation names exists, and every fact that a stage may state is explained."""

import re
from pathlib import Path

import pytest
from extend_pages import FOLDER, page

from multimodal_lab.config.facts import STAGES
from multimodal_lab.data.kind import Kind

ROOT = Path(__file__).parents[2]
FILES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
# Whole paths from the root of the repository; NAME and … stand for any.
NAMED = re.compile(r"(?<![\w./*-])((?:multimodal_lab|conf|docs|scripts|tests|hydra_plugins)/[\w./-]*)(?![\w*…{<])")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def missing(file, text, own=()):
    """What a text names that is not there; `own` are files that it makes itself."""
    # What lies in the reader's own folder, or is written by a command, is not ours.
    named = [name for name in NAMED.findall(text) if "NAME" not in name and name.rstrip("/.") not in own]
    linked = [file.parent / link for link in LINK.findall(text)]
    found = dict.fromkeys([*(ROOT / name.rstrip(".") for name in named), *linked])
    return [str(path) for path in found if not path.exists()]


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_that_is_named_exists(file):
    text, own = file.read_text(), ()
    if file.parent == FOLDER and file.name != "README.md":
        one = page(file.stem)
        text = re.sub(r"Inside this repository.*", "", text, flags=re.S)
        own = tuple(one.files)
    if file == FOLDER / "README.md":
        own = ("conf/fusion/film.yaml", "multimodal_lab/fusion/film.py", "tests/test_film.py", "multimodal_lab/tests")
    if file.name == "README.md" and file.parent == ROOT:
        own = ("conf/modality/red_edge.yaml",)
    assert not missing(file, text, own)


def test_a_name_that_leads_nowhere_is_found():
    text = "see `multimodal_lab/train/lop.py`, [the loop](multimodal_lab/train/loop.py) and [it](docs/none.md)"
    assert missing(ROOT / "README.md", text) == [str(ROOT / "multimodal_lab/train/lop.py"), str(ROOT / "docs/none.md")]


STATED = {"evaluator" if stage == "evaluate" else stage: [*facts] for stage, facts in STAGES.items()}
EXPLAINED = {**{k: v for k, v in STATED.items() if (FOLDER / f"{k}.md").exists()}, "kind": [*Kind.__annotations__]}


@pytest.mark.parametrize(("name", "facts"), EXPLAINED.items(), ids=EXPLAINED)
def test_a_page_explains_every_fact_of_its_stage(name, facts):
    text = (FOLDER / f"{name}.md").read_text()
    table = text[text.index("| fact | meaning |") : text.index("**The example.**")]
    assert [fact for fact in facts if f"`{fact}`" not in table] == []
