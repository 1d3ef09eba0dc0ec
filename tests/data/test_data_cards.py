"""Shipped cards and named modalities meet the default augmentation, and scalings without a range meet those that need none."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from scipy.io import savemat

from multimodal_lab.config import schema
from multimodal_lab.experiment import run

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared/data/open"
QUICK = ["train.max_steps=2", "evaluate=[collapse]", "log=none", "figures=[]", "data.batch_size=16"]
ALONE = ["fusion=separate", "loss=simclr"]
S1_S2 = {
    "s1": ALONE,
    "s2": ALONE,
    "s2_rgb": ALONE,
    "s2_rest": ALONE,
    "s1_s2": [],
    "s2_rgb_rest": [],
    "s2_rgb_rest_s1": [],
}


def streams(modality):
    """What its file names, or takes from others of one stream."""
    node = yaml.safe_load((ROOT / "conf/modality" / f"{modality}.yaml").read_text())
    return {*node, *node.get("defaults", ())} - {"defaults", "_self_"}


def alone(modality):
    """Whether its streams are some of another's, beside which they are read as well."""
    return any(streams(modality) < streams(other) for other in S1_S2)


CUBES = {"hyperspectral": ALONE, "vnir_swir": ["augment=spectra", "backbone=vector"]}


def two_steps(composed, folder, *words, small=False):
    run.run(composed(*words, *QUICK, small=small), folder)
    assert json.loads((folder / "summary.json").read_text())["cost/steps"] == 2


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """96 tiles of radar in dB with stray pixels, and reflectance x 10000, of 8 scenes."""
    folder, rng = tmp_path_factory.mktemp("tiles"), np.random.default_rng(0)
    with h5py.File(folder / "s1s2_tiles.h5", "w") as f:
        radar = rng.normal(-15, 3, (96, 2, 16, 16))
        radar[0, :, 0, 0], radar[1, :, 0, 0] = 9, -38
        f["s1"] = radar.astype(np.float32)
        f["s2"] = rng.gamma(2, 1000, (96, 12, 16, 16)).astype(np.uint16)
    rows = [{"i": i, "scene": f"s{i % 8}", "labels": ["a", "b"][: 1 + i % 2]} for i in range(96)]
    (folder / "s1s2_tiles.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A made-up scene of 200 bands and 16 classes in blocks."""
    folder, rng = tmp_path_factory.mktemp("scene"), np.random.default_rng(0)
    cover = rng.integers(1, 17, (12, 12)).repeat(6, 0).repeat(6, 1)
    cube = (2000 + 50 * cover[:, :, None] + rng.normal(0, 300, (72, 72, 200))).astype(np.uint16)
    savemat(folder / "Indian_pines_corrected.mat", {"indian_pines_corrected": cube})
    savemat(folder / "Indian_pines_gt.mat", {"indian_pines_gt": cover.astype(np.uint8)})
    return folder


@pytest.mark.parametrize("modality", [pytest.param(m, marks=pytest.mark.slow if alone(m) else ()) for m in S1_S2])
def test_radar_and_optical_tiles_train_as_shipped(composed, tmp_path, tiles, modality):
    two_steps(composed, tmp_path, "data=eo_samples", f"data.root={tiles}", f"modality={modality}", *S1_S2[modality])


@pytest.mark.parametrize("modality", CUBES)
def test_a_scene_trains_as_shipped(composed, tmp_path, scene, modality):
    words = [f"data.root={scene}", f"modality={modality}", *CUBES[modality], "train.max_steps=2"]
    two_steps(
        composed,
        tmp_path,
        "data=indian_pines",
        "data.source.block=6",
        "data.source.patch=5",
        "data.source.stride=4",
        *words,
    )


@pytest.mark.parametrize("data", ["eo_samples", pytest.param("indian_pines", marks=pytest.mark.slow)])
def test_the_real_files_train_as_shipped(composed, tmp_path, data):
    root = SHARED / data
    if not root.is_dir():
        pytest.skip(f"{data} needs its data set, and {root} is absent")
    modality = {"eo_samples": ["modality=s1_s2"], "indian_pines": ["modality=hyperspectral", *ALONE]}[data]
    two_steps(composed, tmp_path, f"data={data}", f"data.root={root}", *modality)


@pytest.mark.parametrize("scaling", ["dataset_stats", "per_pixel_standardise"])
def test_scalings_without_a_range_train_without_augmentation(composed, tmp_path, scaling):
    words = ["modality=multispectral", "fusion=separate", "head=classifier", "loss=cross_entropy", "augment=none"]
    two_steps(composed, tmp_path, *words, f"data/scaling={scaling}", small=True)


PCA = ["modality=hyperspectral", "+modality.hyperspectral.pca=3", *ALONE]


def test_principal_components_train_with_geometric_ops(composed, tmp_path):
    two_steps(composed, tmp_path, *PCA, "augment=classify", "augment.views=2", "data/scaling=dataset_stats", small=True)


def test_principal_components_with_ops_that_need_a_range_are_refused_beforehand(composed):
    (found,) = map(str, schema.check(composed(*PCA)))
    assert "color_jitter expects values of about 0 to 1" in found
    assert "choose an augmentation without such ops: classify, flips, mask_patches, none" in found
    assert not schema.check(composed(*PCA, "augment=classify", "augment.views=2"))


@pytest.mark.parametrize("data", ["specimens", "trifeature"])
def test_a_folder_is_refused_by_data_that_read_none(composed, data):
    words = {"specimens": [], "trifeature": ["experiment=trifeature"]}[data]
    (found,) = map(str, schema.check(composed(f"data={data}", *words, "data.root=/my/folder", small=False)))
    assert (
        f"data.root=/my/folder: data={data} reads no files; choose data=audio, band_files, envi, hdf5, images, "
        in found
    )
    assert "multispectral_tiff" in found
    assert "packed" not in found
