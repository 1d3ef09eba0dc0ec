"""The one alias table: every old name leads to one of today's, and is refused with it in a config of one's own."""

import ast
import re
from pathlib import Path

import pytest

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.config.targets import is_allowed
from multimodal_lab.runs import aliases

OLD = [
    ("data.check=train", "data.verify=headers"),
    ("data.fit=stretch", "data.resize_mode=stretch"),
    ("data.mask=keep", "data.background=keep"),
    ("data.split.rare=train", "data.split.min_class_policy=train"),
    ("data.split.hold=samples", "data.split.group_policy=samples"),
    ("train.floor=0.1", "train.min_lr_ratio=0.1"),
    ("train.accumulate=2", "train.accumulate_steps=2"),
    ("train.keep=1", "train.keep_last=1"),
    ("judged=val", "eval_split=val"),
    ("score=probe/uv/sex/accuracy", "objective=probe/uv/sex/accuracy"),
    ("subsets=true", "modality_subsets=true"),
    ("optim.rates.backbones=1e-4", "optim.lr_scale"),
    ("modality.rgb.take=[R]", "modality.rgb.bands=[R]"),
    ("evaluate.kmeans.starts=2", "evaluate.kmeans.n_init=2"),
    ("head=decision", "head=late_fusion"),
]


@pytest.mark.parametrize(("line", "today"), [*OLD, *((f"+{old}", new) for old, new in OLD if "head" not in old)])
def test_an_old_key_on_the_command_line_is_refused_with_the_new_one(line, today):
    with pytest.raises(ConfigError) as error:
        check_command([line])
    assert today in str(error.value)


def test_an_old_value_is_refused_with_the_new_one_and_read_in_a_run_of_before():
    with pytest.raises(
        ConfigError, match=r"data\.verify=train: expected one of all, headers, none .*data\.verify=headers"
    ):
        check_command(["data.verify=train"])
    assert aliases.rename_values({"data": {"verify": "train"}}) == {"data": {"verify": "headers"}}
    assert aliases.rename_values({"data": [], "x": {}}) == {"data": [], "x": {}}


def test_every_target_of_the_table_can_be_built_today():
    for old in [*(f"{m}.X" for m in aliases.MODULES), *aliases.TARGETS]:
        assert aliases.renamed_target(aliases.PACKAGE + old) is not None
    today = {aliases.PACKAGE + new for new in aliases.TARGETS.values()}
    assert today == {name for name in today if is_allowed(name)}


def test_a_written_config_has_the_parts_of_a_system_a_second_time():
    made = aliases.upgrade_config({"system": {"heads": {"sex": {"reads": "rgb"}}, "head": {"reads": None}}})
    assert made == {"system": {"heads": {"sex": {"input": "rgb"}}, "head": {"input": None}}}


def test_rates_become_factors_of_the_learning_rate():
    made = aliases.upgrade_config({"optim": {"lr": 2e-3, "rates": {"backbones": 5e-4}}})
    assert made["optim"]["lr_scale"] == {"backbones": 0.25}


def words(file):
    """Its strings, what an f-string fills in as `x`; a text that is no Python as one."""
    if file.suffix != ".py":
        yield file.read_text()
        return
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("key", [key for key in aliases.KEYS if "." in key])
def test_no_message_and_no_page_names_an_old_key(key):
    root = Path(aliases.__file__).parents[2]
    old = re.compile(r"(?<![\w.])" + re.escape(key).replace(r"\*", r"[^\s.]+?") + r"(?!\w)")
    files = [f for room in ("multimodal_lab", "conf", "docs", "scripts") for f in sorted((root / room).rglob("*.*"))]
    files = [f for f in files if f.suffix in (".py", ".md", ".yaml") and f != Path(aliases.__file__)]
    assert len(files) > 500
    assert [str(f) for f in files if key.split(".")[-1] in f.read_text() and any(map(old.search, words(f)))] == []
