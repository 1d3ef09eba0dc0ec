"""The one alias table: every old name leads to one of today's, and is refused with it in a config of one's own."""

import json

import pytest

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.config.targets import is_allowed
from multimodal_lab.runs import aliases
from multimodal_lab.runs.records import LayoutError, read_config, read_record

OLD = [
    ("data.check=train", "data.verify=train"),
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


@pytest.mark.parametrize("group", ["data", "train", "modality"])
def test_an_old_key_in_a_yaml_of_ones_own_is_refused_with_the_new_one(tmp_path, group):
    (tmp_path / group).mkdir()
    text = {
        "data": "defaults: [specimens, _self_]\ncheck: train\n",
        "train": "defaults: [default, _self_]\nkeep: 1\n",
        "modality": "rgb: {kind: image, take: [R, G]}\n",
    }[group]
    (tmp_path / group / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"data\.verify|train\.keep_last|modality\.rgb\.bands"):
        check_command([f"--config-dir={tmp_path}", f"{group}=mine", "fusion=separate", "loss=simclr"])


def test_every_target_of_the_table_can_be_built_today():
    for old in [*(f"{m}.X" for m in aliases.MODULES), *aliases.TARGETS]:
        assert aliases.renamed_target(aliases.PACKAGE + old) is not None
    today = {aliases.PACKAGE + new for new in aliases.TARGETS.values()}
    assert today == {name for name in today if is_allowed(name)}


def test_rates_become_factors_of_the_learning_rate():
    made = aliases.upgrade_config({"optim": {"lr": 2e-3, "rates": {"backbones": 5e-4}}})
    assert made["optim"]["lr_scale"] == {"backbones": 0.25}


@pytest.mark.parametrize(
    ("config", "record", "said"),
    [
        ("seed: 0\n", {"streams": {}, "layout": 7}, r"data\.json: layout 7; this version reads layout 2"),
        ("[1, 2]\n", {"streams": {}, "layout": 2}, r"config\.yaml: expected the keys of a config, found list"),
        ("a: !!python/object:os.system {}\n", {"streams": {}, "layout": 2}, r"config\.yaml: can't be read"),
        ("seed: 0\n", [], r"data\.json: expected the record of a run"),
    ],
)
def test_a_directory_of_another_layout_is_one_sentence(tmp_path, config, record, said):
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "data.json").write_text(json.dumps(record))
    with pytest.raises(LayoutError, match=said):
        (read_record if record == [] else read_config)(tmp_path)
