"""Whole experiments, in process: every choice in conf/ runs, and a run leaves what it promises."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf
from PIL import Image

from multimodal_lab.config.check import check_command
from multimodal_lab.experiment import run
from multimodal_lab.runs.summary import score

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import joined_set  # noqa: E402

QUICK = ["train.max_steps=2", "train.log_every=1"]
TINY = [*QUICK, "data.source.size=16", "data.source.individuals=32"]  # of specimens


# of emoji, whose names for prompts an experiment spells out
GROUPS = ("smileys-emotion", "people-body", "animals-nature", "food-drink", "travel-places", "activities", "objects",
          "symbols")  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A folder of image–caption pairs whose words say what is drawn."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    colours = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 50, 220)}
    with (folder / "index.jsonl").open("w") as f:
        for i in range(60):
            word = list(colours)[i % 3]
            pixels = np.clip(np.array(colours[word]) + rng.normal(0, 10, (16, 16, 3)), 0, 255).astype(np.uint8)
            row = {"id": f"{i:03d}", "text": f"a {word} square", "tags": [word, "square"], "group": GROUPS[i % 8]}
            for style in ("noto", "twemoji", "fluent"):
                Image.fromarray(pixels).save(folder / f"{i:03d}_{style}.png")
                row[style] = f"{i:03d}_{style}.png"
            row["split"] = ("train", "train", "train", "val", "test")[i // 3 % 5]
            f.write(json.dumps(row) + "\n")
    return folder


LANGUAGES = ("en", "fr", "es")


def shapes(folder):
    """Pictures with a question, a caption in each language and an answer, in one table that any of these sets takes."""
    for i in range(30):
        colour, split = ["red", "blue"][i % 2], ["train", "train", "train", "test", "val"][i // 2 % 5]
        Image.new("RGB", (16, 16), (200 - i, i, 9 * (i % 2))).save(folder / f"{i}.png")
        row = {"image": f"{i}.png", "file": f"{i}.png", "split": split, "category": colour, "type": "colour"}
        row |= {"question": f"what is the {colour} shape?", "answer": "circle"}
        row |= {f"text_{name}": f"{colour} {name}" for name in LANGUAGES}
        rows = [row, {**row, "question": "what color is the shape?", "answer": colour}]
        with (folder / "qa.jsonl").open("a") as file:
            file.writelines(json.dumps(each) + "\n" for each in rows)
        with (folder / "index.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
    return ["data.size=16", "data.batch_size=8", "backbone.widths=[8,16]", "log=none", "figures=[]"]


REAL = {
    "vis_nir": "research_only/vis_nir_scenes", "dewlap": "open/dewlap_spectra",
    "indian_pines": "open/indian_pines", "indian_pines_segment": "open/indian_pines", "eo_samples": "open/eo_samples",
}  # fmt: skip
# of real files made many: test_experiment_earth.py; of weights in a directory: test_experiment_pretrained.py
ELSEWHERE = {"eurosat", "ssl4eo", "clip_pretrained", "siglip_pretrained", "clap_pretrained", "lit"}
ELSEWHERE |= {"video_sensor"}  # tests/data/test_videos.py
# test_experiment_any_modalities.py
ELSEWHERE |= {"audio_text", "image_audio", "video_text", "audio_image_text", "any_to_any"}
ELSEWHERE |= {"audio_classify"}  # test_experiment_audio.py
ELSEWHERE |= {"clip_lora", "clip_frozen"}  # on text towers that are made: test_merge.py, test_experiment_pretrained.py
# pretrained weights come in a package of their own; fewer pixels show as much
OWN = {"vis_nir": ["backbone.weights=random", "data.size=32"], "indian_pines": ["data.source.stride=2"]}


def names(group):
    return sorted(
        str(p.relative_to(ROOT / "conf" / group).with_suffix("")) for p in (ROOT / "conf" / group).rglob("*.yaml")
    )


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def choices(name):
    """What an experiment's file chooses, and those that it builds on: {(group, choice)}."""
    found = set()
    for line in yaml.safe_load((ROOT / "conf/experiment" / f"{name}.yaml").read_text()).get("defaults", ()):
        if isinstance(line, str):
            found |= set() if line == "_self_" else choices(line)
        else:
            ((group, chosen),) = line.items()
            group = group.removeprefix("override ").lstrip("/").partition("@")[0]
            found |= {(group, str(one)) for one in (chosen if isinstance(chosen, list) else [chosen])}
    return found


def cover(every):
    """So few of the experiments that what any of them chooses is chosen; every fusion and modality has a run below."""
    left = {name: {c for c in choices(name) if c[0] not in ("fusion", "modality")} for name in every}
    found = set()
    while any(left.values()):
        best = max(left, key=lambda name: len(left[name]))
        found.add(best)
        left = {name: own - left[best] for name, own in left.items()}
    return found


HERE = [name for name in names("experiment") if name not in ELSEWHERE]
FEW = cover(HERE)


@pytest.mark.parametrize("name", sorted({*HERE} - FEW))
def test_an_experiment_that_chooses_what_others_run_passes_the_check(composed, name):
    data = composed(f"experiment={name}", small=False).data
    words = ["data.root=/data"] if OmegaConf.is_missing(data, "root") else []
    assert check_command([f"experiment={name}", *words]) is not None


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in FEW else pytest.mark.slow) for n in HERE])
def test_every_experiment_runs(composed, tmp_path, pairs, name):
    text = (ROOT / "conf/experiment" / f"{name}.yaml").read_text()
    if "/data: emoji" in text or "/data: pairs" in text:
        own = [
            f"data.root={pairs}",
            "data.size=16",
            "data.batch_size=16",
            *([] if "/backbone: e" in text else ["backbone.widths=[8,16]"]),
            *(["data.source.images=[noto]"] if "/data: pairs" in text else []),
            "log=none",
            "figures=[]",
        ]
        cfg = composed(f"experiment={name}", *own, *QUICK, small=False)
    elif name in ("tuxpaint", "easy_vqa", "rsvqa_lr"):
        cfg = composed(f"experiment={name}", f"data.root={tmp_path}", *shapes(tmp_path), *QUICK, small=False)
    elif name in REAL:
        root = ROOT.parent / "shared/data" / REAL[name]
        if not root.is_dir():
            pytest.skip(f"{name} needs its data set, and {root} is absent")
        words = [f"data.root={root}", "evaluate=[collapse]", "log=none", "figures=[]", *QUICK]
        cfg = composed(f"experiment={name}", *words, *OWN.get(name, []), small=False)
    elif "/data: motions" in text:
        cfg = composed(f"experiment={name}", "data.source.subjects=4", "log=none", "figures=[]", *QUICK, small=False)
    elif "/data: sounding_objects" in text:
        own = ["data.source.clips=48", "data.source.size=8", "data.batch_size=8", "backbone.image.widths=[4]"]
        own += ["backbones.audio.widths=[8,8]", "head.width=8"] if "backbones.audio" in text else []
        own += ["head.layers=1"] if "separator" in text else []
        cfg = composed(f"experiment={name}", *own, "log=none", "figures=[]", *QUICK, small=False)
    elif "/data: sentinel_cover" in text:
        own = ["data.source.patches=60", "data.source.size=16", "backbone.widths=[8,16]", "log=none", "figures=[]"]
        cfg = composed(f"experiment={name}", *own, *QUICK, small=False)
    elif "/data: joined" in text:
        joined_set.make(tmp_path / "set", specimens=72, missing=0.25)
        words = [f"data.root={tmp_path / 'set'}", "evaluate=[collapse]", "log=none", "figures=[]", *QUICK]
        cfg = composed(f"experiment={name}", *words, small=False)
    elif "/data: trifeature" in text:
        own = ["data.source.train=64", "data.source.test=32", "evaluate=[knn]", "log=none", "figures=[]"]
        cfg = composed(f"experiment={name}", *own, *QUICK, small=False)
    elif name.startswith("s1_s2/"):
        own = ["data.source.made.patches=60", "data.source.made.size=16", "data.batch_size=8", "log=none", "figures=[]"]
        own += ["backbone.model=test_resnet"]
        if "dinov3_resnet101" in text:
            own += ["backbones.s2_rgb.model=test_vit"]
        cfg = composed(f"experiment={name}", *own, *QUICK, small=False)
    else:
        cfg = composed(f"experiment={name}", *TINY)
    run.run(cfg, tmp_path / "run")
    assert summary(tmp_path / "run")["cost/steps"] == 2


@pytest.mark.parametrize("fusion", names("fusion"))
def test_every_fusion_runs(composed, tmp_path, fusion):
    run.run(composed(f"fusion={fusion}", "evaluate=[knn]", *TINY), tmp_path)
    found = summary(tmp_path)
    streams = {"rgb", "uv"} | ({"fused"} if fusion != "separate" else set())
    assert {k.split("/")[1] for k in found if k.startswith("knn/")} == streams


IMAGE_MODALITIES = ["rgb", "uv", "rgb_uv", "rgb_uv_stacked", "multispectral", "hyperspectral"]


@pytest.mark.parametrize("modality", IMAGE_MODALITIES)
def test_every_modality_of_the_specimens_runs(composed, tmp_path, modality):
    fusion = "attention" if modality == "rgb_uv" else "separate"
    loss = "cross_modal" if modality == "rgb_uv" else "simclr"
    run.run(composed(f"modality={modality}", f"fusion={fusion}", f"loss={loss}", "evaluate=[knn]", *TINY), tmp_path)
    assert summary(tmp_path)["cost/steps"] == 2


@pytest.fixture(scope="module")
def finished(composed, tmp_path_factory):
    """One small run with everything on."""
    folder = tmp_path_factory.mktemp("run")
    cfg = composed(
        "train.epochs=3", "figures=[pca,neighbours,similarity,curves]", "log=wandb", "data.source.missing=0.1"
    )
    run.run(cfg, folder)
    return folder


def test_a_run_leaves_what_it_promises(finished):
    for name in ("config.yaml", "data.json", "metrics.jsonl", "summary.json", "thumbnails.npz"):
        assert (finished / name).is_file(), name
    assert {p.name for p in (finished / "figures").glob("*.png")}
    assert list((finished / "wandb").glob("offline-run-*/run-*.wandb"))
    assert not list(finished.rglob("*.pkl")) + list(finished.rglob("*.pt"))


def test_the_summary_has_flat_scores_for_every_stream_and_its_provenance(finished):
    found = summary(finished)
    for stream in ("rgb", "uv", "fused"):
        for key in (
            f"knn/{stream}/species/accuracy",
            f"probe/{stream}/sex/accuracy",
            f"centroid/{stream}/species/accuracy",
        ):
            assert 0 <= found[key] <= 1, key
    assert 0 <= found["retrieval/rgb->uv/R@1"] <= 1
    for key in ("provenance/seed", "provenance/data_fingerprint", "provenance/torch", "provenance/device", "cost/wall_s",
                "cost/peak_memory_mb", "cost/images_per_s", "chance/sex"):  # fmt: skip
        assert key in found, key
    assert found["test/total"] == pytest.approx(found["test/cross_modal"])
    assert found["test/cross_modal"] == pytest.approx(found["test/cross"] + 0.5 * found["test/intra"])
    assert all(not isinstance(v, dict | list) for v in found.values())


def test_embeddings_are_written_for_every_stream_and_for_fused(finished):
    for name in ("rgb", "uv", "fused"):
        frame = pd.read_parquet(finished / "embeddings" / f"{name}.parquet")
        rows = list(csv.reader((finished / "embeddings" / f"{name}.csv").open()))
        width = sum(c.startswith("x") and c[1:].isdigit() for c in frame.columns)
        assert rows[0] == ["filename", *(f"x{i + 1}" for i in range(width))]
        assert set(frame["split"]) == {"train", "val", "test"}


def test_a_finished_run_resumed_changes_nothing(composed, finished):
    before = summary(finished)
    cfg = composed("train.epochs=3", "log=none", "data.source.missing=0.1", "resume=auto")
    run.run(cfg, finished)
    after = summary(finished)
    same = [k for k in before if k.split("/")[0] in {"knn", "probe", "retrieval", "rsa", "centroid", "kmeans", "test"}]
    assert same
    assert {k: before[k] for k in same} == {k: after[k] for k in same}


@pytest.mark.parametrize("change", ["data.split.seed=1", "data.batch_size=8", "optim.lr=0.5", "seed=3"])
def test_a_resume_that_would_not_be_exact_is_refused_and_leaves_the_run_as_it_was(composed, finished, change):
    before = {name: (finished / name).read_bytes() for name in ("config.yaml", "data.json", "summary.json")}
    cfg = composed("train.epochs=3", "log=none", "data.source.missing=0.1", "resume=auto", change)
    with pytest.raises(ValueError, match=f"can't go on exactly: {change.partition('=')[0]}: was"):
        run.run(cfg, finished)
    assert before == {name: (finished / name).read_bytes() for name in before}


def test_every_weight_in_the_config_changes_the_training(composed, tmp_path):
    """A knob that changes nothing is a lie: each of these must move the first losses."""

    few = ["evaluate=[collapse]", "train.validate_every=0", "train.max_steps=3"]

    def losses(name, *overrides):
        run.run(
            composed(*TINY, "data.source.individuals=64", *few, *overrides),
            tmp_path / name,
        )
        return [
            r["train/total"]
            for r in map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
            if "train/total" in r
        ]

    base = losses("base")
    assert losses("again") == base
    knobs = ["loss.cross_weight=0.8", "loss.intra_weight=0.2", "loss.temperature=0.2", "loss.weight=2", "optim.lr=0.01", "seed=1",
             "head.dim=64", "fusion.width=64", "train.clip_norm=1e-7", "+optim.lr_scale.backbones=1e-5", "train.warmup=0.9",
             "augment.ops.random_rotation.degrees=90", "data.split.seed=1", "optim=sgd", "train.accumulate_steps=2"]  # fmt: skip
    moved = {}
    for i, knob in enumerate(knobs):
        moved[knob] = max(abs(a - b) for a, b in zip(losses(str(i), knob), base, strict=True))
    assert min(moved.values()) > 1e-3, moved  # far beyond rounding


def test_tensorboard_follows_a_run_where_it_is_asked_for(composed, tmp_path):
    pytest.importorskip("tensorboard", reason="the viz extra is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run.run(composed("log=tensorboard", "evaluate=[knn]", *QUICK), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    expected = [r["train/total"] for r in rows if "train/total" in r]
    assert [e.value for e in events.Scalars("train/total")] == pytest.approx(expected, rel=1e-6)
    assert "final/knn/fused/species/accuracy" in events.Tags()["scalars"]


def test_the_score_is_what_was_asked_for(finished):
    found = summary(finished)
    assert score(found, None, "sex", "probe") == found["probe/fused/sex/accuracy"]
    assert score(found, "knn/uv/sex/accuracy", "species", "probe") == found["knn/uv/sex/accuracy"]
    with pytest.raises(ValueError, match="no such score"):
        score(found, "knn/uv/sex/acc", "species", "probe")
