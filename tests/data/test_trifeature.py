"""Bimodal Trifeature: its sizes and splits, and that each image knows what it is said to know and no more."""

import numpy as np
import pytest
from scipy import ndimage

from multimodal_lab.data.packed.probe import probe as packing
from multimodal_lab.data.source import DataError
from multimodal_lab.data.synthetic.trifeature import FIELDS, Trifeature
from multimodal_lab.data.synthetic.trifeature_draw import COLOURS, SHAPES, TEXTURES, draw, template
from multimodal_lab.types import Band, Stream

SMALL = {"size": 48, "side": 32, "period": 8.0}
RGB = (Band("R"), Band("G"), Band("B"))
CELL = ["shape", "texture_1", "colour_2"]


def drawn(shape="square", texture="solid", colour="red", seed=0, **dials):
    return draw(shape, texture, colour, **{**SMALL, **dials}, rng=np.random.default_rng(seed))


def kinds(table, place):
    return set(zip(table["shape"], table[f"texture_{place}"], table[f"colour_{place}"], strict=True))


def test_a_pair_is_a_function_of_the_dials_and_its_place_alone():
    one, two, other = (Trifeature(train=20, test=20, seed=seed, **SMALL) for seed in (3, 3, 4))
    for i in (25, 2, 25):
        assert np.array_equal(one.image(i, 0), two.image(i, 0))
    assert one.samples.equals(two.samples)
    assert not one.samples.equals(other.samples)
    assert one.identity == two.identity != other.identity
    dials = Trifeature(train=20, test=20).identity
    changed = [{"views": 4}, {"matches": 2}, {"mapped": 0.5}, {"size": 230}, {"period": 9.0}, {"held_out_views": 2}]
    assert all(Trifeature(**{"train": 20, "test": 20, **change}).identity != dials for change in changed)


def test_as_published_but_for_the_balance():
    source = Trifeature()
    table = source.samples
    assert table.groupby("split").size().to_dict() == {"train": 10000, "test": 4000}
    assert table["id"].is_unique
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    assert len(kinds(train, 1) | kinds(train, 2)) == 800
    assert len(kinds(test, 1) | kinds(test, 2)) == 200
    images = [set(part["image_1"]) | set(part["image_2"]) for part in (train, test)]
    assert 2390 < len(images[0]) <= 2400  # a few of the three views are in no pair that was taken
    assert len(images[1]) == 200
    assert (table["image_1"].str.split("_").str[0] == table["image_2"].str.split("_").str[0]).all()
    for part in (train, test):
        assert part.groupby(CELL).size().nunique() == 1
        assert len(part.groupby(CELL)) == 1000
        assert (part["synergy"] == "match").mean() == 0.1
    goes_with = train[train["synergy"] == "match"].groupby("texture_1")["colour_2"].unique()
    assert sorted(c for (c,) in goes_with) == sorted(COLOURS)


@pytest.mark.parametrize(
    ("val", "shares"), [(0, {"train": 800, "test": 200}), (500, {"train": 700, "val": 100, "test": 200})]
)
def test_no_combination_and_so_no_image_is_in_two_splits(val, shares):
    table = Trifeature(train=8000, val=val, test=2000).samples
    found = {split: kinds(part, 1) | kinds(part, 2) for split, part in table.groupby("split")}
    assert {split: len(of) for split, of in found.items()} == shares
    assert len(set().union(*found.values())) == 1000
    images = [set(part["image_1"]) | set(part["image_2"]) for _, part in table.groupby("split")]
    assert len(set().union(*images)) == sum(map(len, images))


def test_what_is_not_shared_is_independent_in_every_test_pair():
    test = Trifeature(train=20).samples.iloc[20:]
    for own, other in (("texture_1", "texture_2"), ("texture_1", "colour_2"), ("colour_1", "texture_2")):
        counts = test.groupby(["shape", own, other]).size()
        assert (len(counts), counts.nunique()) == (1000, 1)


def test_the_dials_of_the_rule():
    half = Trifeature(train=2000, test=1000, matches=5)
    assert half.samples.groupby(["split", "synergy"]).size().tolist() == [500, 500, 1000, 1000]
    assert (half.goes_with.sum(0) == 5).all()
    assert (half.goes_with.sum(1) == 5).all()
    biased = Trifeature(train=1000, test=800, mapped=1.0, held_out_mapped=0.5).samples
    assert biased.groupby(["split", "synergy"]).size().to_dict() == {
        ("test", "match"): 400, ("test", "mismatch"): 400, ("train", "match"): 1000,
    }  # fmt: skip
    lone = biased[biased["split"] == "train"].groupby("texture_1")["colour_2"].nunique()
    assert (lone == 1).all()


def test_pairs_to_probe_are_of_the_training_images_and_obey_the_rule_by_half():
    dials = {"train": 1000, "val": 400, "test": 200, "mapped": 1.0, "held_out_mapped": 0.5}
    plain, probed = Trifeature(**{**dials, "val": 100}), Trifeature(**dials, val_images="train")
    assert ("val_images" in plain.identity, "val_images" in probed.identity) == (False, True)  # the earlier name stands
    table = probed.samples
    val, test = (table[table["split"] == split] for split in ("val", "test"))
    assert val["synergy"].value_counts().to_dict() == {"match": 200, "mismatch": 200}
    trained = kinds(table[table["split"] == "train"], 1) | kinds(table[table["split"] == "train"], 2)
    of_val, of_test = (kinds(part, 1) | kinds(part, 2) for part in (val, test))
    assert len(trained | of_val) <= 800
    assert not (trained | of_val) & of_test
    images = Trifeature(**{**dials, "val": 0}).samples
    assert table[table["split"] == "train"].equals(
        images[images["split"] == "train"]
    )  # training as without a probe's pairs


def test_an_image_is_grey_but_for_one_colour_and_wholly_inside():
    for shape in SHAPES:
        for seed in range(20):
            image = drawn(shape, seed=seed, size=64, side=45)
            assert (image.shape, image.dtype) == ((3, 64, 64), np.uint8)
            area = (np.abs(image[0].astype(float) - 127) / 128).sum()
            assert area == pytest.approx(template(shape).mean() * 45**2, rel=0.05)
    grey = drawn("star", "rain", "ocean")
    assert np.array_equal(np.median(grey.reshape(3, -1), 1), [127, 127, 127])


def test_shapes_and_textures_differ_from_each_other_at_every_size():
    for a in SHAPES:
        for b in SHAPES:
            assert a == b or (template(a) != template(b)).mean() > 0.04
    for dials in (SMALL, {"size": 224, "side": 128, "period": 10.0}):
        seen = np.stack([drawn("square", t, "white", seed=1, **dials)[0] for t in TEXTURES]).astype(float)
        apart = np.abs(seen[:, None] - seen[None]).mean((2, 3)) + 255 * np.eye(10)
        assert apart.min() > 5
    solid, noise = (drawn("square", t, "white")[0] > 200 for t in ("solid", "noise"))
    assert 0.35 < noise.sum() / solid.sum() < 0.65


def test_the_texture_has_the_period_that_was_asked_for():
    for period in (8.0, 16.0):
        x = draw("square", "stripes", "white", size=256, side=180, period=period, rng=np.random.default_rng(5))[0] / 255
        power = np.abs(np.fft.fft2((x - x.mean()) * np.hanning(256)[:, None] * np.hanning(256))) ** 2
        cycles = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
        power[cycles < 0.03] = 0
        assert 1 / cycles.flat[power.argmax()] == pytest.approx(period, rel=0.08)


def colour_of(image):
    """The colour of the pixels furthest from grey, as its place in COLOURS."""
    x = image.reshape(3, -1).astype(float) / 255
    far = np.abs(x - 0.5).sum(0)
    seen = np.median(x[:, far > 0.9 * far.max()], 1)
    return int(np.abs(np.array(list(COLOURS.values())) - seen).sum(1).argmin())


def statistics(image):
    """Of the filled silhouette: area, moments, the angular profile's spectrum; of what fills it: share, power spectrum."""
    x = np.abs(image.astype(float) - 127).sum(0)
    x /= x.max()
    whole = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(x > 0.3, 6), iterations=4))[6:-6, 6:-6]
    y, z = np.nonzero(whole)
    y, z = y - y.mean(), z - z.mean()
    radius, angle = np.hypot(y, z), np.arctan2(y, z)
    reach = np.array([radius[np.abs((angle - a + np.pi) % (2 * np.pi) - np.pi) < 0.15].max(initial=0)
                      for a in np.linspace(0, 2 * np.pi, 36, endpoint=False)])  # fmt: skip
    moments = np.sort(np.linalg.eigvalsh(np.cov(y, z)))
    shape = [np.sqrt(len(y)), radius.std(), radius.max(), *np.sqrt(moments), *np.abs(np.fft.rfft(reach))[:9]]
    power = np.abs(np.fft.fft2(x - ndimage.gaussian_filter(x, 4)))
    cycles = np.hypot(*np.meshgrid(np.fft.fftfreq(len(x)), np.fft.fftfreq(len(x))))
    rings = np.array(
        [power[(cycles >= low) & (cycles < low + 0.04)] for low in np.arange(0.04, 0.5, 0.04)], dtype=object
    )
    level = np.sqrt(len(y)) * len(x)
    texture = [x.sum() / len(y), *(np.log(r.mean() / level + 1e-4) for r in rings), *(r.max() / level for r in rings)]
    return np.array([*shape, *texture])


@pytest.fixture(scope="module")
def known():
    """A source of which half of all pairs match, statistics of both images of each pair, and colours read from pixels."""
    source = Trifeature(train=900, test=500, matches=5, views=1, **SMALL)
    names = list(source.samples["image_1"]), list(source.samples["image_2"])
    seen = {}
    for place in (0, 1):
        for i, name in enumerate(names[place]):
            if name not in seen:
                image = source.image(i, place)
                seen[name] = statistics(image), colour_of(image)
    return source, *([[seen[n][k] for n in names[place]] for place in (0, 1)] for k in (0, 1))


def told(x, y, train, classes):
    """What a ridge classifier on squares and products of standardised statistics says: (N, classes)."""
    x = (x - x[train].mean(0)) / x[train].std(0).clip(1e-6)
    a, b = np.triu_indices(x.shape[1])
    x = np.hstack([x, x[:, a] * x[:, b]]).clip(-5, 5)
    gram = x[train].T @ x[train] + 200 * np.eye(x.shape[1])
    return x @ np.linalg.solve(gram, x[train].T @ (np.eye(classes)[y[train]] - 1 / classes)) + 1 / classes


def places(table, label):
    return np.unique(table[label].to_numpy(dtype=str), return_inverse=True)[1]


def accuracy(known, label, place):
    source, statistics_of, _ = known
    table = source.samples
    y, train = places(table, label), (table["split"] == "train").to_numpy()
    said = told(np.array(statistics_of[place]), y, train, y.max() + 1)
    return np.mean(said.argmax(1)[~train] == y[~train])


@pytest.mark.parametrize(
    ("label", "first", "second"), [("shape", True, True), ("texture_1", True, False), ("texture_2", False, True)]
)
def test_each_image_knows_what_it_is_said_to_know(known, label, first, second):
    for place, knows in enumerate((first, second)):
        found = accuracy(known, label, place)
        assert found > 0.5 if knows else found < 0.16, (label, place, found)


def test_colours_are_read_exactly_from_their_own_image(known):
    source, _, seen = known
    for place in (0, 1):
        named = [list(COLOURS).index(c) for c in source.samples[f"colour_{place + 1}"]]
        assert seen[place] == named


def test_synergy_is_in_neither_image_and_in_both(known):
    source, statistics_of, seen = known
    table = source.samples
    train = (table["split"] == "train").to_numpy()
    match = (table["synergy"] == "match").to_numpy()
    for place in (0, 1):
        assert 0.42 < accuracy(known, "synergy", place) < 0.58
    rule = table[train].groupby(["texture_1", "colour_2"])["synergy"].first()  # learnt from training pairs alone
    assert (rule[list(zip(table["texture_1"], table["colour_2"], strict=True))].to_numpy() == table["synergy"]).all()
    own = [list(TEXTURES).index(t) for t in table["texture_1"]]
    chances = told(np.array(statistics_of[0]), np.array(own), train, 10)
    joined = (chances * source.goes_with[:, seen[1]].T).sum(1) > chances.sum(1) / 2
    assert np.mean(joined[~train] == match[~train]) > 0.7


def test_a_reader_gives_what_a_stream_asks_for_and_names_what_it_lacks():
    source = Trifeature(train=20, test=20, **SMALL)
    streams = [Stream("a", bands=RGB, field="image_2"), Stream("b", bands=RGB[:1], field="image_1")]
    raw = source.read(7, streams)
    assert np.array_equal(raw.inputs["a"], source.image(7, 1))
    assert np.array_equal(raw.inputs["b"], source.image(7, 0)[:1])
    assert (raw.full_scale, raw.mask) == (255.0, None)
    with pytest.raises(DataError, match=r"modality\.a\.field: image_3, expected image_1 or image_2"):
        source.read(0, [Stream("a", bands=RGB, field="image_3")])
    with pytest.raises(DataError, match="holds image streams, not text"):
        source.read(0, [Stream("a", "text", field="shape")])
    assert packing(source).fields["image"]["names"] == list(FIELDS)


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"test": 4001}, r"data\.source\.test: 4001 pairs of one kind, but its images make 4000; .*held_out_views"),
        ({"held_out_mapped": 1.0, "test": 500}, "500 pairs of one kind, but its images make 400"),
        ({"matches": 10}, r"data\.source\.matches: 10 of 10 colours, expected 1 to 9"),
        ({"side": 160}, r"data\.source\.side: .* at most 158"),
    ],
)
def test_impossible_dials_are_refused(dials, said):
    with pytest.raises(DataError, match=said):
        Trifeature(**dials)
