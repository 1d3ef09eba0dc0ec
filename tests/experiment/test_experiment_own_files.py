"""A folder of a researcher's own multi-band images and one short command: labels, groups, honest figures by default."""

import json

import numpy as np
import pytest
import tifffile

from multimodal_lab.data.synthetic.specimens import Specimens
from multimodal_lab.experiment import run

TYPED = ["fusion=attention", "modality=rgb_uv", "data=multispectral_tiff"]
SMALL = ["data.size=24", "data.batch_size=16", "backbone.widths=[8,16]", "log=none", "figures=[]", "train.max_steps=2"]


def birds(row):
    genus, number = row["species"].split("_")
    return f"{genus}_{number}_{row['individual'][4:]}_{row['sex']}_{row['side']}_masked"


LAYOUTS = {
    "birds": birds,
    "folders": lambda row: f"{row['species']}/{row['id']}",
    "nothing": lambda row: f"IMG{row['id'].replace('_', '')}",
    "mixed": lambda row: "scan" if row["id"] == "ind_00007_left" else birds(row),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Layout to a folder of 64 seven-band TIFF files, two of each of 32 individuals of two species."""
    source = Specimens(individuals=32, species=2, size=24)
    made = {name: tmp_path_factory.mktemp(name) for name in LAYOUTS}
    for i, row in enumerate(source.samples.to_dict("records")):
        image, mask = source.array(i)
        cube = np.concatenate([image, mask[None] * np.uint16(65535)])
        for name, named in LAYOUTS.items():
            path = made[name] / f"{named(row)}.tif"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, cube, photometric="minisblack", planarconfig="separate")
    return made


def ran(composed, folder, out, *more):
    run.run(composed(*TYPED, f"data.root={folder}", *SMALL, *more, small=False), out)
    return json.loads((out / "summary.json").read_text()), json.loads((out / "data.json").read_text())


def test_bird_names_give_held_out_figures_of_rgb_uv_and_fused(composed, folders, tmp_path, capsys):
    found, record = ran(composed, folders["birds"], tmp_path)
    assert record["labels"] == ["species", "sex", "view"]
    assert record["split"] == {"by": "individual", "stratify": "species", "column": None}
    for stream in ("rgb", "uv", "fused"):
        for label in record["labels"]:
            assert 0 <= found[f"probe/{stream}/{label}/accuracy"] <= 1
            assert 0 <= found[f"knn/{stream}/{label}/accuracy"] <= 1
    homes = {}
    for split, ids in record["splits"].items():
        for name in ids:
            assert homes.setdefault(name.split("_")[2], split) == split
    assert len(homes) == 32
    said = " ".join(capsys.readouterr().out.split())
    for note in record["notes"]:
        assert " ".join(note.split())[:60] in said
    assert "pattern=birds" in record["notes"][0]


def test_class_folders_give_one_label_that_figures_and_the_score_use(composed, folders, tmp_path):
    found, record = ran(composed, folders["folders"], tmp_path, "figures=[pca]", "evaluate=[probe]")
    assert record["classes"] == {"folder": ["species_00", "species_01"]}
    assert record["split"] == {"by": None, "stratify": "folder", "column": None}
    assert 0 <= found["probe/fused/folder/accuracy"] <= 1
    assert (tmp_path / "figures/pca_folder.png").is_file()


def test_one_name_of_many_that_says_nothing_is_unlabelled_and_told(composed, folders, tmp_path):
    _, record = ran(composed, folders["mixed"], tmp_path, "evaluate=[collapse]")
    assert record["labels"] == ["species", "sex", "view"]
    assert record["split"] == {"by": "individual", "stratify": "species", "column": None}
    assert "63 of 64 match data.source.labels.pattern=birds" in record["notes"][0]
    assert "unlabelled, each an individual by itself: " in record["notes"][0]


def test_names_that_say_nothing_give_no_label_and_a_note_that_says_how(composed, folders, tmp_path):
    found, record = ran(composed, folders["nothing"], tmp_path, "evaluate=[probe,retrieval]")
    assert record["labels"] == []
    assert "data.source.labels.pattern=birds" in record["notes"][0]
    assert not [k for k in found if k.startswith("probe/")]
    assert "retrieval/rgb->uv/R@1" in found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["experiment=classifier"], r"label='species' is not there; expected one of folder"),
        (
            ["loss=supcon", "augment=none"],
            r"ids is batch\.targets\.species, but .* no label 'species'; there are folder",
        ),
    ],
)
def test_a_head_or_loss_of_a_label_that_is_not_there_names_those_that_are(composed, folders, tmp_path, words, said):
    with pytest.raises(Exception, match=said):
        ran(composed, folders["folders"], tmp_path, *words)
    ran(composed, folders["folders"], tmp_path / "set", *words, "label=folder", "evaluate=[knn]")
