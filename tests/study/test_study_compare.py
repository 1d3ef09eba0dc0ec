"""`study=compare`: what it derives, writes, prints and refuses."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf
from own_table import table, write
from PIL import Image

from multimodal_lab.cache.start import StartCache
from multimodal_lab.config.check import check_command
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.problem import ConfigError, StudyError
from multimodal_lab.config.study import read
from multimodal_lab.config.suggest import node
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.study.compare import derive, look, plans, report, size
from multimodal_lab.study.compare.arms import Design, Parts, arms
from multimodal_lab.study.compare.budget import seconds, told
from multimodal_lab.study.compare.derive import derived
from multimodal_lab.study.compare.facts import Facts, Input, Label
from multimodal_lab.study.compare.labels import describe
from multimodal_lab.study.compare.request import request
from multimodal_lab.study.compare.trial import Timing
from multimodal_lab.study.design.cells import Cells


def facts(count=2, groups=60, **more):
    """Of `count` modalities of three bands each."""
    bands = [tuple(f"{n}{i}" for i in range(3)) for n in "abc"[:count]]
    inputs = tuple(Input(n, "vector", {"kind": "vector", "bands": list(b)}, bands=b, numbers=3)
                   for n, b in zip("abc", bands, strict=False))  # fmt: skip
    own = {"stacked": {"kind": "vector", "bands": [x for b in bands for x in b]}, "apart": ""}
    labels = more.pop("labels", (Label("sex", "class", 2), Label("kind", "class", 2)))
    return Facts(inputs, labels, 120, 84, 36, groups, "individual", False, {}, **{**own, **more})


FULL = Design(True, ("late", "concat", "attention"), False, ("sex", "kind"), (0, 1, 2), (0, 1, 2, 3, 4))


def test_every_fused_arm_has_each_modality_as_often_as_it_has_inputs_and_a_shuffle():
    made = arms(facts(), FULL, Parts({}))
    assert [*made.arms] == ["a", "b", "early", "late", "concat", "attention"]
    assert made.baselines == ["a", "b"]
    for arm in ("early", "late", "concat", "attention"):
        own = {n: c for n, c in made.controls.items() if c["of"] == arm and "within" not in n}
        assert [*own] == [f"{arm}_shuffled", f"{arm}_a_again", f"{arm}_b_again"]
        assert [c.get("keeps") for c in own.values()] == [None, "a", "b"]
    assert made.controls["concat_within_sex"]["set"] == ["data.shuffle={stream: b, within: sex}"]
    assert made.controls["early_shuffled"]["set"] == ["data.shuffle={stream: stacked, bands: [b0, b1, b2]}"]


def test_of_three_modalities_every_two_are_fused_and_all_but_the_first_are_shuffled():
    made = arms(facts(3), Design(True, ("late", "concat"), True, (), (0, 1, 2), (0,)), Parts({}))
    assert {"concat_a_b", "concat_a_c", "concat_b_c", "concat", "late", "early"} <= {*made.arms}
    assert made.arms["concat_a_c"] == ["~modality.b", "fusion=concat"]
    assert made.controls["concat_shuffled"]["set"] == ["data.shuffle={stream: [b, c]}"]
    again = made.controls["concat_b_again"]["set"]
    assert [line.partition("=")[0] for line in again] == [
        "~modality.a", "~modality.c", "+modality.again", "+modality.again_2",
    ]  # fmt: skip


def test_groups_by_several_columns_are_counted_as_such():
    asked = request(["study=compare"]).asked
    own = replace(facts(), by=["individual", "site"], groups=57)
    plan = plans.Plan(FULL, arms(own, FULL, Parts({})))
    timing = Timing(1.0, dict.fromkeys(plan.arms.arms, 1.0))
    said = next(report.lines(own, plan, timing, {}, {}, Path("a/b/c.yaml"), asked, 1))
    assert said == "plan: 120 samples of 57 groups by individual + site, 84 to learn from and 36 held out (split anew)"


BOTH = (
    Input("image", "image", {"kind": "image", "bands": ["R", "G", "B"]}, bands=("R", "G", "B"), numbers=3),
    Input("text", "text", {"kind": "text", "field": "caption"}, numbers=9),
)


def test_a_backbone_that_is_named_is_every_streams_that_it_reads_with_its_settings_in_controls_too():
    own = replace(facts(), inputs=BOTH, stacked=None)
    words = ["study=compare", "backbone=efficientnet_lite0", "backbone.freeze=true", "backbone.weights=/a.safetensors",
             "+backbone@backbones.text=transformers_text", "backbones.text.weights=/b"]  # fmt: skip
    chosen, settings, parts, pretrained = derive._backbones(own, request(words))
    assert chosen == {"backbone@backbones.image": "efficientnet_lite0", "backbone@backbones.text": "transformers_text"}
    image, text = {"freeze": True, "weights": "/a.safetensors"}, {"weights": "/b"}
    assert settings == {"backbones": {"image": image, "text": text}}
    assert pretrained
    again = arms(own, FULL, parts).controls["concat_image_again"]["set"]
    assert [x for x in again if "backbone" in x] == [
        "~backbones.text", "+backbone@backbones.again=efficientnet_lite0", "backbones.again.freeze=true",
        'backbones.again.weights="/a.safetensors"',
    ]  # fmt: skip
    _, settings, _, pretrained = derive._backbones(own, request(["study=compare", "backbone=resnet18"]))
    assert "image" not in settings["backbones"]  # its own widths stay
    assert not pretrained


def test_a_backbone_of_ones_own_may_build_on_ours(tmp_path):
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "mine.yaml").write_text("defaults: [/backbone/resnet18, _self_]\nfreeze: true\n")
    words = ["study=compare", f"--config-dir={tmp_path}", "backbone=mine"]
    chosen, _, _, pretrained = derive._backbones(replace(facts(), inputs=BOTH, stacked=None), request(words))
    assert chosen["backbone@backbones.image"] == "mine"
    assert not pretrained
    assert node("backbone", "mine", (conf_dir(), tmp_path))["model"] == "resnet18"


def test_sounds_sensors_and_videos_each_get_a_backbone_that_was_made_for_them():
    timed = {"bands": ("mono",), "shape": (16000,), "timed": True}
    inputs = (
        Input("speech", "vector", {}, rate=16000.0, **timed),
        Input("wrist", "vector", {}, rate=50.0, **timed),
        Input("unsaid", "vector", {}, **timed),
        Input("depth", "image", {}, bands=("D",), shape=(8, 32, 32), timed=True),
    )
    own = replace(facts(), inputs=inputs, stacked=None)
    chosen, settings, parts, pretrained = derive._backbones(own, request(["study=compare"]))
    assert [chosen[f"backbone@backbones.{i.name}"] for i in inputs] == [
        "audio_conv", "temporal_conv", "temporal_conv", "frames",
    ]  # fmt: skip
    assert not pretrained
    whole = node("backbone", "frames", (conf_dir(),))["image"]["widths"]
    assert settings["backbones"]["depth"] == {"image": {"widths": [max(16, w // 2) for w in whole]}}  # few samples
    again = arms(own, FULL, parts).controls["concat_depth_again"]["set"]
    assert "+backbone@backbones.again=frames" in again
    assert any(line.startswith("backbones.again.image={widths: [") for line in again)
    assert [report._input(i) for i in inputs[2:]] == [
        "unsaid (vector, 1 band, 16000 steps)",
        "depth (image, 1 band, 8 steps, 32×32)",
    ]


def test_a_backbone_that_reads_no_stream_is_refused():
    with pytest.raises(StudyError, match=r"backbone=spectral: reads none of the streams \(image of kind image, text"):
        derive._backbones(replace(facts(), inputs=BOTH, stacked=None), request(["study=compare", "backbone=spectral"]))


@pytest.mark.parametrize(("kind", "late"), [("several", True), ("number", False)])
def test_late_fusion_is_compared_of_all_that_a_classifier_tells(kind, late):
    labels = (Label("sex", "class", 2), Label("covers", kind, 5 if late else 0))
    assert ("late" in derive._full(facts(labels=labels), request(["study=compare"])).fusions) is late


def test_the_largest_plan_that_fits_says_what_it_left_out():
    timing = Timing(1.0, dict.fromkeys(["a", "b", "early", "late", "concat", "attention"], 1.0))
    asked = request(["study=compare"])

    def found(own=asked, full=FULL):
        return plans.plans(full, lambda design: arms(facts(), design, Parts({})), own)

    whole = plans.largest(found(), timing, None, "", 1)
    assert (whole.cells, whole.left_out) == ((6 + 12 + 2) * 15, ())
    fits = plans.largest(found(), timing, 200.0, "", 1)
    assert fits.seconds(timing) == fits.cells <= 200
    assert fits.left_out[0] == "pairs shuffled within a class"
    sizes = [p.seconds(timing) for p in found()]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 18  # two single modalities, one fused arm, three controls, three seeds
    typed = plans.largest(found(request(["study=compare", "study.splits=[0,1,2,3,4]"])), timing, 100.0, "", 1)
    assert typed.design.splits == (0, 1, 2, 3, 4)
    with pytest.raises(
        StudyError, match=r"study.budget=5s: the smallest plan, a, b, concat .* 3 seeds, has 18 cells.* 18 s"
    ):
        plans.largest(found(), timing, 5.0, "5s", 1)
    with pytest.raises(
        StudyError, match=r"over 3 seeds and 2 splits, has 36 cells.* give that, fewer study.splits, fewer"
    ):
        plans.largest(
            found(request(["study=compare", "study.splits=[0,1]"]), replace(FULL, splits=(0, 1))), timing, 5.0, "5s", 1
        )


def test_a_plan_tells_and_times_the_first_cell_that_there_will_be(tmp_path, monkeypatch, capsys):
    made = table()
    made = made[(made["individual"] != "p3") | (np.arange(len(made)) % 3 == 0)]  # parts of unequal size
    made = pd.concat([made, made[made["individual"] == "p8"].assign(id=lambda x: "more" + x["id"])])
    seen = []
    monkeypatch.setattr(
        "multimodal_lab.study.compare.trial.time_cells",
        lambda configs: seen.append(configs) or Timing(1.0, dict.fromkeys(configs, 1.0)),
    )
    counts = {}
    for split in range(6):
        words = [*write(tmp_path, made), "study.seeds=[4,5,6]", f"study.splits=[{split}]", "study.labels=[sex]"]
        derived([*words, "study.fusions=[concat]", f"hydra.sweep.dir={tmp_path / str(split)}"])
        told_so = re.search(r"(\d+) to learn from and (\d+) held out", capsys.readouterr().out)
        (cfg,) = {(c.seed, c.data.split.seed) for c in seen[-1].values()}
        assert cfg == (4, split)
        data = safe_instantiate(seen[-1]["a"].data).prepare(OmegaConf.to_container(seen[-1]["a"].modality), 4)
        counts[split] = (len(data.splits["train"]), len(data.splits["test"]))
        assert tuple(map(int, told_so.groups())) == counts[split]
    assert len({*counts.values()}) > 1


def test_planning_reads_every_sample_once_and_the_cells_find_what_it_learnt(tmp_path, monkeypatch):
    rows = []
    for i in range(12):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(
            tmp_path / f"{i}.png"
        )
        asked = [
            {"question": f"is there a {what}?", "answer": "yn"[i % 2], "type": "presence"} for what in ("road", "lake")
        ]
        rows += [{"image": f"{i}.png", "split": "train", **row} for row in asked]
    (tmp_path / "qa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    seen, read, reads = [], MediaTable.read, Counter()

    def counted(source, index, streams):
        reads[index] += any(stream.kind == "image" for stream in streams)
        return read(source, index, streams)

    monkeypatch.setattr(MediaTable, "read", counted)
    monkeypatch.setattr(
        "multimodal_lab.study.compare.trial.time_cells",
        lambda configs: seen.append(configs) or Timing(1.0, dict.fromkeys(configs, 1.0)),
    )
    words = ["study=compare", "data=rsvqa_lr", f"data.root={tmp_path}", "modality=image_question", "data.cache=false"]
    derived([*words, "study.labels=[presence]", "study.fusions=[concat]", f"hydra.sweep.dir={tmp_path / 'runs'}"])
    assert reads == dict.fromkeys(range(24), 1)
    cfg = seen[0]["concat"]
    data = safe_instantiate(cfg.data)
    data.verify = "none"
    made = data.prepare(OmegaConf.to_container(cfg.modality), 0, memory=StartCache())
    assert sum(reads.values()) == 24
    assert made.streams["image"].mean


def test_a_budget_is_a_time():
    assert [seconds(text) for text in ("30m", "1h30m", "1.5h", "45s", "30", "")] == [1800, 5400, 5400, 45, None, None]


def test_a_time_is_told_as_it_is_said():
    assert [told(t) for t in (40, 700, 12_600, 200_000)] == ["40 s", "12 min", "3.5 h", "2.3 days"]


def test_small_data_have_more_splits_and_fewer_seeds():
    assert size.repeats(facts(groups=60)) == (3, 5)
    assert size.repeats(facts(groups=3000)) == (5, 1)


def keys(argv):
    """{cell's folder} of a command line, as its plan has them."""
    jobs = check_command(argv)
    cfg, found = jobs.configured(jobs.lines)
    assert not found
    study = read(OmegaConf.to_container(cfg.study, resolve=True))
    return [c.folder for c in Cells(study, lambda lines: jobs.configured([*jobs.lines, *lines])[0]).compared({})]


def test_one_command_is_a_whole_study_and_the_file_that_it_wrote_is_the_same_one(tmp_path, cli):
    words = [*write(tmp_path), "study.seeds=[0]", "study.splits=[0]", "train.max_steps=4", "study.labels=[sex]"]
    words += ["study.fusions=[concat]", "evaluate=[head]", "study.by=[kind]"]
    said = cli(*words, small=False).stdout
    plan = said.partition("audit of")[0]
    assert "60 samples of 20 individuals" in plan
    assert "3 arms and 4 controls × 1 seed × 1 split = 7" in plan
    file = tmp_path / "runs" / "conf" / "study" / "table_a_b.yaml"
    written = yaml.safe_load(file.read_text())
    assert written["train"]["max_steps"] == 4
    assert written["study"]["seeds"] == [0]
    ran = {p.parent.name for p in (tmp_path / "runs").glob("*/summary.json")}
    folders = f"--config-dir={tmp_path / 'conf'}:{file.parents[1]}"
    assert sorted(keys([folders, f"study={file.stem}"])) == sorted(ran)
    verdicts = json.loads((tmp_path / "runs" / "study.json").read_text())["labels"]
    assert verdicts["sex"]["arms"].keys() >= {"a", "b", "concat", "concat_a_again", "concat_b_again"}
    assert {t["column"] for t in verdicts["sex"]["where"]} == {"kind"}
    again = derived(words)
    assert again == [folders, f"study={file.stem}", f"hydra.sweep.dir={tmp_path / 'runs'}"]
    file.write_text(file.read_text().replace("margin: 0.02", "margin: 0.05"))
    assert derived(words) == again  # edited, and still what these words run
    with pytest.raises(StudyError, match=r"table_a_b.yaml: was edited, and this command asks for another study"):
        derived([*words, "train.epochs=3"])


def changed(**columns):
    """The table with columns exchanged, each by a function of it."""
    made = table()
    for name, value in columns.items():
        made[name] = value(made)
    return made


def some(made, rows, value, of="sex"):
    return [value if i in rows else v for i, v in enumerate(made[of])]


BAD = {
    "one class": (changed(sex=lambda t: "f"), [], r"sex has one class, 'f', in all 60 samples"),
    "codes": (
        changed(stage=lambda t: np.arange(60) % 3 + np.where(np.arange(60) == 0, np.nan, 0.0)),
        ["study.labels=[stage]"],
        r"stage holds 3 whole numbers \(0, 1, 2\): codes of classes, or amounts\? Say which: \+data.kinds.stage=class",
    ),
    "amounts": (changed(eggs=lambda t: np.arange(60) + 3), ["study.labels=[eggs]"],
                r"eggs holds 60 whole numbers in 60 samples: amounts, or codes\? .*\+data.kinds.eggs=number"),
    "copies": (changed(sex=lambda t: some(t, {1}, "f" if t.sex[1] == "m" else "m")), [],
               r"sex differs among the samples of 1 of 20 individuals, such as individual 'p0': .* study.differ=\[sex\]"),
    "copies in one of two columns": (
        changed(sex=lambda t: some(t, {1}, "f" if t.sex[1] == "m" else "m"), nest=lambda t: [f"n{i // 3}" for i in range(60)]),
        ["study.labels=[sex]", "data.split.by=[nest,individual]"], r"sex differs .* of 1 of 20 nests, such as nest 'n0'",
    ),
    "all in one group": (changed(day=lambda t: "d"), ["study.labels=[sex]", "data.split.by=[individual,day]"],
                         r"60 samples have 1 group by individual \+ day, and .* together: expected at least 4"),
    "no such groups": (table(), ["study.labels=[sex]", "data.split.by=[individual,kid]"],
                       r"data.split.by: no column 'kid'; there are .* \(nearest: kind\)"),
    "two samples": (table(1, 2), [], r"the data hold 2 samples; .* expected at least 10"),
    "constant": (changed(b_0=lambda t: 1.0, b_1=lambda t: 1.0, b_2=lambda t: 1.0),
                 ["study.labels=[sex]", "data/scaling=none"],
                 r"stream b: band b_0 is constant \(1\) over the training split"),
    "no such subgroups": (table(), ["study.labels=[sex]", "study.by=[kinds]"],
                          r"study.by: no column 'kinds' in the data; there are .* \(nearest: kind\)"),
    "a subgroup each": (table(40, 1), ["study.labels=[sex]", "study.by=[individual]"],
                        r"study.by: individual has 40 values in 40 samples; subgroups are of .* classes with 2 to 20"),
    "two spellings": (changed(kind=lambda t: ["X" if k == "x" and i < 9 else k for i, k in enumerate(t.kind)]),
                      ["study.labels=[kind]"], r"kind holds 'x' \(\d+ samples\) and 'X' \(\d\), .* \+data.kinds.kind=class"),
    "a decimal comma": (changed(mass=lambda t: [f"{i},5" for i in range(60)]), ["study.labels=[mass]"],
                        r"mass holds numbers, with a decimal comma in '0,5', and so was read as 60 classes"),
    "no number among numbers": (changed(mass=lambda t: [f"{i}.5" if i else "inf" for i in range(60)]),
                                ["study.labels=[mass]"], r"mass holds numbers, with 'inf' among them"),
    "a point in a name": (changed(**{"body.mass": lambda t: t.sex}), ["study.labels=[body.mass]"],
                          r"'body.mass' holds a point, .* call the column 'body_mass'"),
    "one key": (changed(**{"2 nd": lambda t: t.sex, "2_nd": lambda t: t.kind}), ["study.labels=['2 nd','2_nd']"],
                r"'2 nd' and '2_nd' are one key, _2_nd, of a config"),
    "another kind of score": (table(), ["study.labels=[sex]", "study.score=r2"],
                              r"study.score=r2: sex is a label of classes, which r2 doesn't fit"),
    "may differ": (table(), ["study.labels=[sex]", "study.differ=[seks]"], r"study.differ: 'seks' is no label .*nearest: sex"),
    "no such label": (table(), ["study.labels=[sexx]"], r"no column 'sexx' in the data; there are .* \(nearest: sex\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_no_study_can_be_made_of_is_one_sentence(tmp_path, case):
    made, more, expected = BAD[case]
    words = write(tmp_path, made)
    words += more or ["study.labels=[sex]"]
    with pytest.raises(StudyError, match=expected) as error:
        derived(words)
    assert "\n" not in str(error.value)


def test_lists_of_numbers_are_no_labels():
    """Of coordinates every number would be a label of 0 and 1; words, and whole numbers that name something, are labels."""
    asked, who = request(["study=compare"]), np.arange(60)
    made = table()
    made["at"] = [[0.5 * i, 2.0] for i in who]
    made["tags"] = [["a", "b"][: 1 + i % 2] for i in who]
    made["codes"] = [[1, 2][: 1 + i % 2] for i in who]
    with pytest.raises(StudyError, match=r"at holds lists of numbers, such as \[0.5, 2\] in row 1; .* such as at_1"):
        describe(made, "at", who, None, SimpleNamespace(kinds={}), asked)
    assert describe(made, "at", who, None, SimpleNamespace(kinds={"at": "class"}), asked).classes == 60
    assert [describe(made, n, who, None, SimpleNamespace(kinds={}), asked).classes for n in ("tags", "codes")] == [2, 2]


def test_what_is_odd_about_a_label_stands_in_the_plan():
    made = changed(rare=lambda t: ["?" if i < 3 else k for i, k in enumerate(t.kind)])
    who = made.individual.to_numpy()
    found = describe(made, "rare", who, "individual", SimpleNamespace(kinds={}), request(["study=compare"]))
    assert found.classes == 3
    assert found.notes == (
        "rare: class '?' is in one individual only: learnt or held out, never both, so that no arm can tell it",
        "rare: '?' is a class of its own (3 samples); leave these cells empty if it means that nobody knows",
    )


def test_a_modality_that_a_class_never_has_would_tell_the_class(tmp_path):
    words = write(tmp_path)
    made = table()
    made.drop(columns=[c for c in made if c.startswith("b_")]).to_csv(tmp_path / "a.csv", index=False)
    made[made.sex == "m"].drop(columns=[c for c in made if c.startswith("a_")]).to_csv(tmp_path / "b.csv", index=False)
    fields = "".join(
        f"{n}: {{kind: vector, bands: ['{n}_*'], field: {of}}}\n" for n, of in (("a", "image"), ("b", "spectrum"))
    )
    (tmp_path / "conf" / "modality" / "a_b.yaml").write_text(fields)
    (tmp_path / "conf" / "data").mkdir()
    both = "defaults: [joined, {override /data@source.sources.image: table}, _self_]\n"
    (tmp_path / "conf" / "data" / "both.yaml").write_text(both)
    words = [w for w in words if not w.startswith(("data=", "data.source"))]
    words += ["data=both", "study.labels=[sex]"]
    for source, file in (("image", "a"), ("spectrum", "b")):
        at = f"data.source.sources.{source}.source"
        words += [f"{at}.file={file}.csv", f"{at}.pattern='[ab]_\\d'", f"{at}.id=id"]
    with pytest.raises(StudyError, match=r"modality.b: none of the 30 samples of sex 'f' has it"):
        derived(words)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("study.budget=soon", r"study.budget=soon: expected a time such as 45s, 30m, 8h or 2d"),
        ("fusion=weighted", r"chooses fusion itself.*nearest: study.fusions=\[weighted\]"),
        ("study.fusions=[blend]", r"study.fusions=blend: expected one of early, late, concat, attention"),
        ("seed=3", r"a study has several; give study.seeds"),
        ("experiment=clip", r"an experiment chooses head, loss and fusion"),
        (
            "backbone@backbones.a=vector",
            r"among the choices made so far; add it \(nearest: \+backbone@backbones.a=vector\)",
        ),
        ("study.seds=[0]", r"study.seds=\[0\]: no such key.*nearest: study.seeds"),
    ],
)
def test_words_that_a_derived_study_can_not_follow_are_refused(tmp_path, word, expected):
    words = [*write(tmp_path), "study.labels=[sex]", word]
    with pytest.raises(ConfigError) as error:
        derived(words)
    assert re.search(expected, str(error.value))


def test_a_stream_that_a_source_knows_by_another_name_of_a_field_is_seen_again_by_that_name():
    """Of a joined source `inertial` is `series.inertial`: a control's `again` has no such name of its own."""
    source = SimpleNamespace(aliases={"inertial": "series.inertial"}, field_bands={"series.inertial": ()}, members={})
    assert look._placed(source, "inertial", {"kind": "vector"})["field"] == "inertial"
    assert "field" not in look._placed(source, "rgb", {"kind": "image"})
