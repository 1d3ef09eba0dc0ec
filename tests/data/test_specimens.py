import time

import numpy as np
import pytest

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.bands import resolve
from multimodal_lab.data.synthetic.specimens import RGB, UV, Specimens

BITS = ["sex", "morph", "synergy"]


def pixels(source, band, grid=8):
    """(N, …) block means of some bands inside the mask."""
    rows = []
    for i in range(len(source.samples)):
        image, mask = source.array(i)
        x = np.where(mask, image[band], 0) / 65535
        side = source.size // grid
        rows.append(x.reshape(3, grid, side, grid, side).mean((2, 4)).ravel())
    return np.array(rows)


@pytest.fixture(scope="module")
def source():
    return Specimens(individuals=256, species=4)


@pytest.fixture(scope="module")
def probe(source):
    """Held-out accuracy of a ridge classifier on coarse pixels, by label and bands; individuals never cross."""
    known = {"rgb": pixels(source, RGB), "uv": pixels(source, UV)}
    known["both"] = np.concatenate(list(known.values()), 1)
    train = source.samples["individual"].str[4:].astype(int).to_numpy() % 64 < 40

    def score(label, bands):
        names, y = np.unique(source.samples[label].to_numpy(dtype=str), return_inverse=True)
        x = (known[bands] - known[bands][train].mean(0)) / known[bands][train].std(0).clip(1e-3)
        gram = x[train].T @ x[train] + 100 * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x[train].T @ (np.eye(len(names))[y[train]] - 1 / len(names)))
        return np.mean((x[~train] @ weights).argmax(1) == y[~train])

    return score


def test_a_sample_is_a_function_of_its_arguments_alone():
    one, two = Specimens(individuals=16, seed=3), Specimens(individuals=16, seed=3)
    for i in (5, 2, 5):
        assert np.array_equal(one.array(i)[0], two.array(i)[0])
    assert not np.array_equal(one.array(5)[0], Specimens(individuals=16, seed=4).array(5)[0])
    assert not np.array_equal(one.array(4)[0], one.array(5)[0])


def test_shape_type_and_mask(source):
    image, mask = source.array(0)
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((6, 64, 64), np.uint16, (64, 64), bool)
    shares = [source.array(i)[1].mean() for i in range(0, 100, 7)]
    assert 0.1 < min(shares) < max(shares) < 0.6
    assert Specimens(individuals=16, size=33).array(0)[0].shape == (6, 33, 33)


def test_every_bit_is_balanced_within_every_species_and_independent(source):
    table = source.samples.drop_duplicates("individual")
    assert (table.groupby("cell").size() == 4).all()
    assert table["cell"].nunique() == 4 * 16
    for bit in BITS:
        counts = table.groupby(["species", bit]).size()
        assert counts.nunique() == 1
        assert len(counts) == 8
    assert table.groupby(["sex", "morph", "synergy"]).size().nunique() == 1
    assert (source.samples.groupby("individual")[["species", *BITS]].nunique() == 1).all(None)


def test_rgb_holds_no_bit_of_what_is_uv_alone_and_the_other_way_round():
    plain = Specimens(individuals=16)
    no_sex, no_morph = Specimens(individuals=16, unique_uv=0.0), Specimens(individuals=16, unique_rgb=0.0)
    for i in range(8):
        image = plain.array(i)[0]
        assert np.array_equal(image[RGB], no_sex.array(i)[0][RGB])
        assert not np.array_equal(image[UV], no_sex.array(i)[0][UV])
        assert np.array_equal(image[UV], no_morph.array(i)[0][UV])
        assert not np.array_equal(image[RGB], no_morph.array(i)[0][RGB])


@pytest.mark.parametrize(
    ("label", "rgb", "uv"),
    [("species", True, True), ("sex", False, True), ("morph", True, False), ("side", True, True)],
)
def test_each_modality_knows_what_it_is_said_to_know(probe, label, rgb, uv):
    for bands, knows in (("rgb", rgb), ("uv", uv)):
        assert (probe(label, bands) > 0.9) if knows else (0.4 < probe(label, bands) < 0.6)


def test_synergy_is_in_neither_modality(source, probe):
    assert 0.4 < probe("synergy", "rgb") < 0.6
    assert 0.4 < probe("synergy", "uv") < 0.6
    bar = source.samples["caption"].str.contains("pale wing bar").to_numpy()
    tail = bar ^ (source.samples["synergy"] == "odd").to_numpy()
    for trait in (bar, tail):
        assert np.mean(trait == (source.samples["synergy"] == "odd")) == 0.5


def test_the_dials_take_information_away():
    still = {"noise": 0.0, "individuals": 32, "species": 2}
    alike = Specimens(shared=0.0, **still)
    assert np.array_equal(alike.kinds[0].palette, alike.kinds[1].palette)
    assert np.array_equal(alike.kinds[0].build, alike.kinds[1].build)
    one, other = Specimens(**still).kinds
    assert np.abs(one.palette - other.palette).max() > 0.01
    noisy, clean = Specimens(individuals=32, noise=0.05), Specimens(individuals=32, noise=0.0)
    apart = (noisy.array(0)[0].astype(float) - clean.array(0)[0]) / 65535
    assert apart.std() == pytest.approx(0.05, rel=0.1)


def test_misregistration_moves_uv_alone():
    still = {"individuals": 16, "noise": 0.0}
    plain, moved = Specimens(**still).array(0)[0], Specimens(misregistration=3.0, **still).array(0)[0]
    assert np.array_equal(plain[RGB], moved[RGB])
    assert np.abs(plain[UV].astype(float) - moved[UV]).mean() > 500


def test_missing_uv_is_none_for_every_stream_that_needs_it():
    source = Specimens(individuals=64, missing=0.5)
    streams = [resolve(n, {"bands": t}, source.bands) for n, t in (("rgb", ["R"]), ("uv", ["UV*"]), ("all", "all"))]
    raws = [source.read(i, streams) for i in range(128)]
    lacking = [raw.inputs["uv"] is None for raw in raws]
    assert 40 < sum(lacking) < 88
    assert lacking == [raw.inputs["all"] is None for raw in raws]
    assert all(raw.inputs["rgb"].shape == (1, 64, 64) for raw in raws)


def test_text_comes_from_its_column(source):
    text = source.read(3, [resolve("caption", {"kind": "text"}, ())]).inputs["caption"]
    assert text == source.samples["caption"].iloc[3]
    with pytest.raises(DataError, match="no column 'capton'"):
        source.read(3, [resolve("capton", {"kind": "text"}, ())])


def test_impossible_dials_are_refused():
    with pytest.raises(DataError, match="sides"):
        Specimens(sides=3)
    with pytest.raises(DataError, match="species"):
        Specimens(individuals=4, species=8)


def test_a_sample_costs_little(source):
    def cost():
        start = time.process_time()
        for i in range(50):
            source.array(i)
        return (time.process_time() - start) / 50

    assert min(cost() for _ in range(3)) < 4e-3  # about 0.6 ms on an idle core; the bound is for busy ones


def test_the_background_is_the_same_for_all():
    source = Specimens(individuals=32, noise=0.0)
    ground = np.array([image[:, ~mask].mean(1) for image, mask in map(source.array, range(64))]) / 65535
    assert np.allclose(ground, 0.55, rtol=0.09)  # but for the exposure
