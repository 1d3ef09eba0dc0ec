import json

import pandas as pd
import pytest
import yaml
from rich.console import Console

from multimodal_lab.config.rules.wiring import scored
from multimodal_lab.config.suggest import nodes
from multimodal_lab.report import choices, multirun, summary
from multimodal_lab.runs.records import write_job

SCORED = scored({"evaluate": nodes("evaluate")})

SCORES = {
    "probe/fused/species/accuracy": 0.9, "probe/fused/species/n": 80.0, "probe/rgb/species/accuracy": 0.7,
    "probe/uv/species/accuracy": float("nan"), "chance/species": 0.25, "probe/rgb/mass/r2": 0.5,
    "probe/rgb/individual/skipped/no_test_class_in_training": 1.0, "retrieval/rgb->uv/R@1": 0.4,
    "retrieval/rgb->uv/R@5": 0.6, "retrieval/rgb->uv/R@10": 0.8, "retrieval/rgb->uv/map": 0.5,
    "retrieval/rgb->uv/median_rank": 2.5, "retrieval/rgb->uv/keys": 72.0, "retrieval/rgb->uv/chance_R@1": 1 / 72,
    "retrieval/fused->uv/skipped/width_1_is_not_2": 1.0, "provenance/seed": 3, "cost/wall_s": 61.2,
}  # fmt: skip


def printed(renderable):
    console = Console(width=140, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def line(text, word):
    return next(one.split() for one in text.splitlines() if word in one)


def test_summary_says_every_score_beside_chance():
    text = printed(summary.table(SCORES, SCORED))
    assert "\x1b" not in text  # plain where there is no terminal
    assert line(text, "label") == ["label", "score", "n", "chance", "rgb", "uv", "fused"]
    assert line(text, "species") == ["species", "accuracy", "80", "0.250", "0.700", "–", "0.900"]
    assert "no test class in training" in text
    assert line(text, "mass")[1] == "R²"
    assert line(text, "rgb → uv") == ["rgb", "→", "uv", "0.400", "0.600", "0.800", "0.014", "0.500", "2.5", "72"]
    assert "fused → uv" not in text
    assert "seed 3 · wall time 61 s" in text


def test_what_scores_recordings_stands_beside_the_chance_of_recordings(tmp_path):
    each = {"probe/rgb/act/accuracy": 0.6, "probe/rgb/act/n": 60.0, "chance/act": 0.4}
    scores = each | {"head/classifier/act/accuracy": 0.7, "head/classifier/act/n": 12.0, "chance@head/act": 0.5}
    head, probe = printed(summary.table(scores, SCORED)).split("by probe")
    assert line(head, "act ") == ["act", "accuracy", "12", "0.500", "0.700"]
    assert line(probe, "act ") == ["act", "accuracy", "60", "0.400", "0.600"]
    made(tmp_path, [{}], [scores])
    head, probe = printed(multirun.table(tmp_path, SCORED)).split("by probe")
    assert line(head, "act ")[-2:] == ["0.500", "0.700"]
    assert line(probe, "act ")[-2:] == ["0.400", "0.600"]


def test_summary_falls_back_and_degrades():
    text = printed(summary.table({"knn/rgb/sex/accuracy": 0.5}, SCORED))
    assert "by knn" in text
    assert "no scores" in printed(summary.table({}))


def made(folder, configs, scores):
    for i, (config, score) in enumerate(zip(configs, scores, strict=True)):
        one = folder / str(i)
        one.mkdir(parents=True)
        (one / "config.yaml").write_text(yaml.safe_dump({**config, "dir": str(one)}))
        if score is not None:
            (one / "summary.json").write_text(json.dumps(score))
    return folder


def config(fusion, streams, seed):
    node = {"_target_": f"multimodal_lab.fusion.{fusion}.{fusion.title()}", "width": len(fusion)}
    return {"fusion": node, "system": {"fusion": node}, "modality": {s: {"bands": [s]} for s in streams}, "seed": seed,
            "loss": {"_target_": "multimodal_lab.keyed.Keyed", "weight": 1.0}}  # fmt: skip


def test_sweep_names_what_differs_and_means_over_seeds(tmp_path):
    configs = [config(f, m, s) for f, m in (("concat", ["rgb"]), ("attention", ["rgb", "uv"])) for s in (0, 1)]
    rest = {"probe/rgb/sex/accuracy": 0.1, "chance/species": 0.25, "probe/rgb/species/n": 9.0}
    scores = [{"probe/rgb/species/accuracy": v, **rest} for v in (0.5, 0.7, 0.9)]
    made(tmp_path, configs, [*scores, None])
    text = printed(multirun.table(tmp_path, SCORED))
    assert line(text, "0.600") == ["concat", "rgb", "2", "species", "0.250", "±", "0.000", "0.600", "±", "0.141"]
    assert line(text, "0.900") == ["attention", "rgb+uv", "2", "(1", "failed)", "species", "0.250", "0.900"]
    assert line(text, "0.100 ± 0.000") == ["concat", "rgb", "2", "sex", "–", "0.100", "±", "0.000"]
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert table["fusion"].tolist() == ["concat", "concat", "attention", "attention"]
    assert table["seed"].tolist() == [0, 1, 0, 1]
    assert table["status"].tolist() == ["done"] * 3 + ["stopped or killed"]
    assert table["probe/rgb/sex/accuracy"].tolist()[:3] == [0.1] * 3
    assert "probe/rgb/species/n" not in table


def test_sweep_prefers_recorded_choices(tmp_path):
    scores = [{"choices/fusion": f, "choices/data": "same", "knn/rgb/x/accuracy": 0.5} for f in ("a", "b")]
    made(tmp_path, [config("concat", ["rgb"], 0)] * 2, scores)
    runs = multirun.collect([tmp_path / "0", tmp_path / "1"])
    assert choices.columns(runs) == ["fusion"]
    assert runs["fusion"].tolist() == ["a", "b"]


def swept(folder, lines, scores, of=0):
    """Jobs as a run writes them: a config, what was typed, and scores where it has ended."""
    configs = [config("concat", ["rgb"], i % 2) for i in range(len(lines))]
    made(folder, configs, scores)
    for i, typed in enumerate(lines):
        write_job(folder / str(i), typed, of)
    return folder


def test_a_sweep_over_values_has_a_row_a_setting_and_a_spread_over_seeds_alone(tmp_path):
    lines = [["fusion=concat", f"data.source.unique_uv={u}", f"seed={s}"] for u in ("0.0", "1.0") for s in (0, 1)]
    scores = [{"probe/rgb/sex/accuracy": v, "choices/fusion": "concat"} for v in (0.4, 0.38, 1.0, 1.0)]
    text = printed(multirun.table(swept(tmp_path, lines, scores), SCORED))
    assert line(text, "0.390") == ["0.0", "2", "sex", "–", "0.390", "±", "0.014"]
    assert line(text, "1.000") == ["1.0", "2", "sex", "–", "1.000", "±", "0.000"]
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert table["data.source.unique_uv"].tolist() == [0, 0, 1, 1]
    assert table["seed"].tolist() == [0, 1, 0, 1]
    assert "fusion" not in table  # all the same


def test_values_that_no_run_recorded_are_read_from_the_configs(tmp_path):
    """Runs of a version before, or put into one folder by hand; choices name the groups, values stand beside them."""
    nodes = [{**config("concat", ["rgb"], s), "optim": {"lr": r}} for r in (0.1, 0.2) for s in (0, 1)]
    scores = [{"choices/fusion": f, "probe/rgb/sex/accuracy": 0.5} for f in ("a", "a", "b", "b")]
    made(tmp_path, nodes, scores)
    text = printed(multirun.table(tmp_path, SCORED))
    assert line(text, "0.1 ")[:4] == ["a", "0.1", "2", "sex"]
    assert line(text, "0.2 ")[:4] == ["b", "0.2", "2", "sex"]


@pytest.mark.parametrize(
    ("lines", "key", "told"),
    [
        ([["optim.lr=0.1"], ["optim.lr=0.2"]], "probe/rgb/sex/accuracy", True),
        ([["optim.lr=0.1"], ["optim.lr=0.2"]], "val/probe/rgb/sex/accuracy", False),
        ([["seed=0"], ["seed=1"]], "probe/rgb/sex/accuracy", False),
        ([["data.source.fold=1"], ["data.source.fold=2"]], "probe/rgb/sex/accuracy", False),
        ([["optim.lr=0.1"], ["optim.lr=0.2"]], None, False),  # none has ended yet
    ],
)
def test_where_settings_are_compared_by_test_scores_the_table_says_so(tmp_path, lines, key, told):
    swept(tmp_path, lines, [key and {key: 0.5}] * 2)
    text = " ".join(printed(multirun.table(tmp_path, SCORED)).split())
    assert text.count("scores of the test split") == told
    assert ("sweep with eval_split=val" in text) == told


def test_jobs_without_results_are_named_with_why(tmp_path):
    lines = [[f"data.batch_size={b}"] for b in (4096, 16, 8)]
    folder = swept(tmp_path, lines, [None, {"probe/rgb/sex/accuracy": 0.5}, None], of=5)
    (folder / "0" / "error.txt").write_text("Traceback\nValueError\ndata.batch_size 4096 is more than 64\n")
    (folder / "2" / "config.yaml").unlink()  # killed at once
    (folder / "2" / "job.json").write_text("{")
    (folder / "2" / "summary.json").mkdir()
    text = printed(multirun.table(folder, SCORED))
    told = " ".join(text.split())
    assert "0 (data.batch_size=4096 seed=0): data.batch_size 4096 is more than 64" in told
    assert "2: summary.json can't be read" in told
    assert "2 of 5 jobs have not begun" in told
    assert line(text, "0.500")[:3] == ["16", "1", "sex"]
    assert pd.read_csv(folder / "sweep.csv")["status"][0] == "data.batch_size 4096 is more than 64"


def test_sweep_of_nothing_and_of_one(tmp_path):
    assert "no runs" in printed(multirun.table(tmp_path, SCORED))
    made(tmp_path, [config("concat", ["rgb"], 0)], [{"probe/rgb/x/accuracy": 0.5}])
    assert line(printed(multirun.table(tmp_path, SCORED)), "0.500") == ["1", "x", "–", "0.500"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        ([{"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}], [{"a.c": 2}, {"a.c": 3}]),
        ([{"fn": {"_target_": "m.x.f"}, "w": 1}, {"fn": {"_target_": "m.y.g"}, "w": 1}], [{"fn": "x"}, {"fn": "y"}]),
        ([{"a": [1, 2]}, {"a": None}], [{"a": "[1, 2]"}, {"a": None}]),
    ],
)
def test_differing(values, expected):
    assert choices.differing(values) == expected
