"""New files of the kind that a run was trained on: a folder is enough, and the run's own settings hold."""

import csv

import numpy as np
import pytest
import tifffile

from multimodal_lab.config.problem import ConfigError
from multimodal_lab.data.source import DataError
from multimodal_lab.data.synthetic.specimens import Specimens
from multimodal_lab.embed import configured, without_labels
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.reload import embed_files

TYPED = [
    "data=multispectral_tiff",
    "data.size=20",
    "data.resize_mode=stretch",
    "data.batch_size=16",
    "backbone.widths=[8,16]",
]
TYPED += ["log=none", "figures=[]", "evaluate=[collapse]", "train.max_steps=1"]


def written(folder, prefix, count):
    """`count` seven-band files; returns their names without suffix."""
    source = Specimens(individuals=32, species=2, size=24)
    for i in range(count):
        image, mask = source.array(i)
        cube = np.concatenate([image, mask[None] * np.uint16(65535)])
        tifffile.imwrite(folder / f"{prefix}{i:03d}.tif", cube, photometric="minisblack", planarconfig="separate")
    return {f"{prefix}{i:03d}" for i in range(count)}


@pytest.fixture(scope="module")
def run(composed, tmp_path_factory):
    """A run on 40 files."""
    files, folder = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("run")
    written(files, "OWN", 40)
    experiment.run(composed(*TYPED, f"data.root={files}", small=False), folder)
    return folder


def ids(run, out, *words):
    embed_files(configured(run, [*words]), run, out)
    with (out / "fused.csv").open() as f:
        return {row["filename"] for row in csv.DictReader(f)}


@pytest.mark.parametrize("words", [[], ["data=multispectral_tiff"]])
def test_a_folder_alone_is_embedded_with_the_settings_of_the_run(run, tmp_path, words):
    (tmp_path / "new").mkdir()
    new = written(tmp_path / "new", "NEW", 3)
    assert ids(run, tmp_path / "out", *words, f"data.root={tmp_path / 'new'}") == new


def test_the_command_line_takes_a_folder_alone(cli, run, tmp_path):
    (tmp_path / "new").mkdir()
    written(tmp_path / "new", "NEW", 3)
    done = cli(f"run={run}", f"out={tmp_path / 'out'}", f"data.root={tmp_path / 'new'}", module="embed", small=False)
    assert done.stdout.startswith("3 samples embedded")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("data.rot=/x", r"no such key; data has .*nearest: data\.root"),
        ("data.source.labels.patern=birds", r"nearest: data\.source\.labels\.pattern"),
        ("data.size=many", r"data\.size=many"),
        ("data.size=1,2", r"several values, where one is taken \(nearest: data\.size=1\)"),
        ("data=multispectral", r"nearest: data=multispectral_tiff"),
        ("data/scaling=dtype_max", r"the run's own data keep the run's scaling"),
    ],
)
def test_a_word_that_does_not_fit_the_run_is_refused_with_the_nearest(run, word, said):
    with pytest.raises(ConfigError, match=said):
        configured(run, [word])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.size=24"], r"data\.size is 24 here, but the run was trained with 20; add data\.size=20"),
        (
            ["data.background=keep"],
            r"data\.background is keep here, but the run was trained with mean; add data\.background=mean",
        ),
        (
            ["data=specimens", "data/scaling=dataset_stats", "data.source.individuals=8", "data.source.species=2"],
            r"data/scaling is dataset_stats here, but the run was trained with dtype_max; add data/scaling=dtype_max",
        ),
    ],
)
def test_another_setting_than_the_runs_is_a_sentence_with_the_remedy(run, tmp_path, words, said):
    with pytest.raises(DataError, match=said):
        ids(run, tmp_path, *words)


def test_another_card_of_the_same_reader_brings_its_own_source(composed, tmp_path):
    from omegaconf import OmegaConf

    cfg = composed("data=bird_spectra", "data.root=/a", "data.size=20", "data/scaling=none", small=False)
    (tmp_path / "config.yaml").write_text(
        OmegaConf.to_yaml(OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)))
    )
    (tmp_path / "summary.json").write_text('{"choices/data": "bird_spectra"}')
    same = configured(tmp_path, ["data=bird_spectra", "data.root=/b"]).data
    other = configured(tmp_path, ["data=dewlap_spectra", "data.root=/b"]).data
    assert (same.source.file, same.source.root, same.size) == ("pavo_bird_reflectance.csv", "/b", 20)
    assert (other.source.file, other.source.root, other.size) == ("dewlap_raw_408bands.csv", "/b", 20)
    assert other.scaling._target_.endswith("NoScaling")


@pytest.mark.parametrize("table", ["beside the files", "elsewhere"])
def test_new_files_need_no_label_where_labels_came_from_a_table(composed, tmp_path, capsys, table):
    files, folder, new = (tmp_path / name for name in ("own", "run", "new"))
    files.mkdir()
    new.mkdir()
    names = sorted(written(files, "OWN", 40))
    where = (files if table == "beside the files" else tmp_path) / "labels.csv"
    where.write_text("filename,kind\n" + "".join(f"{n},{'ab'[i % 2]}\n" for i, n in enumerate(names)))
    path = "labels.csv" if table == "beside the files" else str(where)
    experiment.run(composed(*TYPED, f"data.root={files}", f"data.source.labels.table={path}", small=False), folder)
    wanted = written(new, "NEW", 3)
    cfg = configured(folder, [f"data.root={new}"])
    told = without_labels(cfg)
    assert len(told) == (table == "beside the files")
    embed_files(cfg, folder, tmp_path / "out")
    with (tmp_path / "out/fused.csv").open() as f:
        assert {row["filename"] for row in csv.DictReader(f)} == wanted


def test_a_folder_for_a_run_on_drawn_specimens_is_refused(composed, tmp_path):
    from omegaconf import OmegaConf

    cfg = OmegaConf.create(OmegaConf.to_container(composed(), resolve=True))
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    with pytest.raises(ConfigError, match=r"data=specimens reads no files"):
        configured(tmp_path, ["data.root=/x"])
    assert configured(tmp_path, ["data.source.seed=1"]).data.source.seed == 1
