"""Pixels that were not measured, masked or padded: no part in what is learnt, and exactly 0 to a network."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from multimodal_lab.augment import colour, geometry, texture
from multimodal_lab.augment.augment import Augment
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams import scaling
from multimodal_lab.system import Normalise

CUBE = {"cube": {"kind": "image", "bands": "all"}}
TWO = {"rg": {"kind": "image", "bands": ["R", "G"]}, "uv": {"kind": "image", "bands": ["UV1"]}}
HOLE = np.add.outer(np.arange(6), np.arange(6)) < 4
POLICIES = [
    scaling.DtypeMax(),
    scaling.NoScaling(),
    scaling.FixedRange(low=0, high=60000),
    scaling.Percentile(),
    scaling.Percentile(clip=True),
    scaling.DatasetStats(),
    scaling.PerImageMinMax(over="image"),
    scaling.PerImageMinMax(over="band"),
    scaling.PerPixelStandardise(),
]
ALL = {"geometry": geometry.RandomRotation(degrees=90, p=1.0), "crop": geometry.RandomPerspective(p=1.0)}
OPS = {**ALL, "bright": colour.RandomBrightness(p=1.0), "noise": texture.RandomGaussianNoise(p=1.0)}


def holed(made, value=65535, rows=range(0, 24, 3), bands=slice(None), masked=False, dtype="uint16"):
    """A hole of `value` in every third sample: declared missing where it is an integer."""
    source = made(masked=masked, dtype=dtype)
    read = source.read
    for row in rows:
        source.arrays[row][bands, HOLE] = value

    def marked(index, streams):
        raw = read(index, streams)
        found = {n: x == value for n, x in raw.inputs.items() if x is not None and x.dtype.kind == "u"}
        return replace(raw, missing={n: m for n, m in found.items() if m.any()})

    source.read = marked
    return source


def real(source, prepared):
    """(C, n) of what was measured in the training split, in stored units."""
    kept = []
    for row in prepared.splits["train"]:
        inside = np.ones((6, 6), bool) if source.masks[row] is None else source.masks[row].copy()
        inside &= ~HOLE if row % 3 == 0 else True
        kept.append(source.arrays[row][:, inside].astype(float))
    return np.concatenate(kept, 1)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("value", "dtype"), [(65535, "uint16"), (np.nan, "float32")])
def test_statistics_are_of_what_was_measured(data, made, masked, value, dtype):
    source = holed(made, value, masked=masked, dtype=dtype)
    prepared = data(source, scaling=scaling.NoScaling()).prepare(CUBE, 0)
    pixels = real(source, prepared)
    assert np.allclose(prepared.streams["cube"].mean, pixels.mean(1), rtol=1e-6)
    assert np.allclose(prepared.streams["cube"].std, pixels.std(1), rtol=1e-6)
    (note,) = [n for n in prepared.notes if n.startswith("nodata")]
    some = sum(row % 3 == 0 for row in prepared.splits["train"])
    assert (
        f" of the pixels of {some} of {len(prepared.splits['train'])} training images of cube were not measured" in note
    )
    assert masked or note.startswith(f"nodata: {HOLE.mean():.1%} of")


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: f"{p.choice}{'_'.join(map(str, vars(p).values()))}")
@pytest.mark.parametrize("masked", [False, True])
def test_what_was_not_measured_teaches_nothing_and_is_zero_to_a_network(data, made, policy, masked):
    one, two = (data(holed(made, v, masked=masked), scaling=policy).prepare(CUBE, 0) for v in (65535, 0))
    assert one.streams == two.streams
    for a, b in zip(one.batches("all"), two.batches("all"), strict=True):
        assert torch.equal(a.inputs["cube"], b.inputs["cube"])
        seen = Normalise(one.streams["cube"])(a.inputs["cube"])
        assert not seen[(a.mask == 0).expand_as(seen)].any()
    assert (a.mask == 0).any()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("background", ["mean", "keep"])
def test_what_augmentation_reads_outside_the_frame_is_zero_to_a_network(data, made, masked, background):
    prepared = data(made(masked=masked), background=background).prepare(CUBE, 0)
    batch = prepared.batch(np.arange(24))
    stream = prepared.streams["cube"]
    out = Augment(prepared.streams, ops=OPS, views=2)(batch, 0, 0)
    still = Augment(prepared.streams, ops=ALL, views=2)(
        batch.replace(inputs={"cube": torch.full_like(batch.inputs["cube"], 7.0)}), 0, 0
    )
    assert (out.mask is None) == (batch.mask is None)
    seen, moved = Normalise(stream)(out.inputs["cube"]), still.inputs["cube"]
    blank = moved == torch.tensor(stream.fill)[:, None, None]
    assert 0 < blank.sum() < blank.numel()
    assert not seen[blank].any()


def test_zero_and_keep_are_what_they_say(data, made):
    source = holed(made, masked=True)
    zero, keep = (data(source, background=b).prepare(CUBE, 0) for b in ("zero", "keep"))
    a, b = (p.batch(np.arange(24)) for p in (zero, keep))
    assert zero.streams["cube"].fill == ()
    assert not a.inputs["cube"][(a.mask == 0).expand(-1, 3, -1, -1)].any()
    gone = torch.from_numpy(np.stack([HOLE if row % 3 == 0 else np.zeros_like(HOLE) for row in range(24)]))
    assert torch.equal(b.mask[:, 0] == 0, gone)
    assert torch.allclose(b.inputs["cube"][1] * 65535, torch.from_numpy(source.arrays[1].astype(np.float32)))
    outside = (a.mask == 0) & (b.mask == 1)
    for view in Augment(keep.streams, ops={}, views=1)(b, 0, 0).inputs["cube"], b.inputs["cube"]:
        assert torch.equal(view, b.inputs["cube"])
        assert (view * outside).abs().sum() > 0
    assert np.allclose(zero.streams["cube"].mean, keep.streams["cube"].mean)
    assert zero.streams["cube"].mean == keep.streams["cube"].mean


def test_images_that_are_whole_stand_beside_those_that_are_not(data, made):
    prepared = data(holed(made)).prepare(CUBE, 0)
    batch = prepared.batch(np.array([1, 0, 2]))
    assert torch.equal(
        batch.mask[:, 0].bool(), torch.from_numpy(np.stack([HOLE & False | True, ~HOLE, HOLE & False | True]))
    )
    assert prepared.batch(np.array([1, 2])).mask is None
    kept = data(holed(made), cache=True).prepare(CUBE, 0).batch(np.array([1, 0, 2]))
    assert torch.equal(kept.mask, batch.mask)
    assert torch.equal(kept.inputs["cube"], batch.inputs["cube"])


@pytest.mark.parametrize("rows", [(4, 8), (8, 4), (3, 12)])
@pytest.mark.parametrize("low", [0.0, -20.0])
def test_padding_is_no_data(data, made, rows, low):
    source = made(dtype="float32", masked=False)
    rng = np.random.default_rng(0)
    source.arrays = [(low + rng.random((3, *rows))).astype(np.float32) for _ in range(24)]
    plain = data(source, size=12 if max(rows) == 12 else 8, background="mean").prepare(CUBE, 0)
    pixels = np.concatenate([source.arrays[i].reshape(3, -1) for i in plain.splits["train"]], 1)
    assert np.allclose(plain.streams["cube"].mean, pixels.mean(1), rtol=1e-4)
    assert np.allclose(plain.streams["cube"].std, pixels.std(1), rtol=1e-4)
    batch = plain.batch(np.arange(24))
    seen = Normalise(plain.streams["cube"])(batch.inputs["cube"])
    assert batch.mask.mean() == min(rows) / max(rows)
    assert not seen[(batch.mask == 0).expand_as(seen)].any()


def test_resizing_averages_what_was_measured(data, made):
    source = holed(made, rows=range(24))
    for array in source.arrays:
        array[:, ~HOLE] = 1000 + array[:, ~HOLE] % 7
    batch = data(source, size=4, scaling=scaling.NoScaling()).prepare(CUBE, 0).batch(np.arange(24))
    inside = batch.inputs["cube"][(batch.mask == 1).expand(-1, 3, -1, -1)]
    assert inside.min() >= 1000
    assert inside.max() < 1007


def test_a_pixel_is_missing_where_any_band_is_or_where_all_are(data, made):
    source = holed(made, bands=slice(1, 2))  # of G alone
    any_, all_ = (data(source, nodata=rule).prepare(CUBE, 0) for rule in ("any", "all"))
    a, b = (p.batch(np.arange(6)) for p in (any_, all_))
    assert (a.mask[0, 0].numpy() == ~HOLE).all()
    assert b.mask.all()
    seen = Normalise(all_.streams["cube"])(b.inputs["cube"])[0]
    assert not seen[1][torch.from_numpy(HOLE)].any()
    assert torch.allclose(b.inputs["cube"][0, 0] * 65535, torch.from_numpy(source.arrays[0][0].astype(np.float32)))
    own = [x[1][~HOLE] if i % 3 == 0 else x[1].reshape(-1) for i, x in enumerate(source.arrays)]
    green = np.concatenate([own[i] for i in all_.splits["train"]]) / 65535
    red = np.concatenate([source.arrays[i][0].reshape(-1) for i in all_.splits["train"]]) / 65535
    assert np.allclose(all_.streams["cube"].mean[:2], [red.mean(), green.mean()], rtol=1e-6)
    assert np.allclose(all_.streams["cube"].std[:2], [red.std(), green.std()], rtol=1e-6)
    (note,) = [n for n in all_.notes if n.startswith("nodata")]
    assert note.startswith(f"nodata: {HOLE.mean() / 3:.1%} of the values of ")
    small = data(source, nodata="all", size=3).prepare(CUBE, 0)
    part = Normalise(small.streams["cube"])(small.batch(np.arange(1)).inputs["cube"])[0]
    assert not part[1, 0, 0]
    assert part[0, 0, 0]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: f"{p.choice}{'_'.join(map(str, vars(p).values()))}")
@pytest.mark.parametrize("pca", [{}, {"pca": 2}])
def test_a_band_that_lacks_pixels_takes_no_other_along(data, made, policy, pca):
    source = holed(made, bands=slice(1, 2))
    prepared = data(source, nodata="all", scaling=policy).prepare({"cube": {**CUBE["cube"], **pca}}, 0)
    batch = prepared.batch(np.arange(24))
    assert torch.isfinite(batch.inputs["cube"]).all()
    assert np.isfinite(prepared.streams["cube"].mean).all()


def test_streams_of_one_sample_share_what_is_seen(data, made):
    prepared = data(holed(made, bands=slice(2, 3))).prepare(TWO, 0)  # of UV1 alone
    batch = prepared.batch(np.arange(3))
    assert (batch.mask[0, 0].numpy() == ~HOLE).all()
    for name, stream in prepared.streams.items():
        assert not Normalise(stream)(batch.inputs[name])[0][:, torch.from_numpy(HOLE)].any()
    apart = data(holed(made, bands=slice(2, 3)), nodata="all").prepare(TWO, 0)
    assert apart.batch(np.arange(3)).mask is None
    assert Normalise(apart.streams["rg"])(apart.batch(np.arange(1)).inputs["rg"])[0][:, HOLE].abs().min() > 0


def test_a_stream_without_a_pixel_is_missing_and_a_sample_without_any_is_refused(data, made):
    source = holed(made)
    source.arrays[4][2] = 65535
    prepared = data(source).prepare(TWO, 0)
    batch = prepared.batch(np.array([4, 5]))
    assert batch.present["uv"].tolist() == [False, True]
    assert batch.present["rg"].tolist() == [True, True]
    assert not batch.inputs["uv"][0].any()
    row = int(prepared.splits["train"][0])
    source.arrays[row][2] = 65535
    (note,) = [n for n in data(source).prepare(TWO, 0).notes if "no value at all" in n and "uv" in n]
    assert "training images of uv have no value at all and are missing" in note
    with pytest.raises(
        DataError, match=r"'s\d\d' .*no pixel was measured .*as in band UV1 of cube.*data\.on_error=skip"
    ):
        data(source, verify="all").prepare(CUBE, 0)


def test_a_vector_without_a_value_is_refused(data, made):
    source = holed(made)
    with pytest.raises(DataError, match=r"1 missing \(nodata\), NaN or infinite values in band R of stream v"):
        data(source).prepare({"v": {"kind": "vector", "bands": ["R"]}}, 0)


@pytest.mark.parametrize("background", ["zero", "keep"])
def test_a_run_of_an_earlier_version_is_read_as_it_was_trained(data, made, background):
    source = made(dtype="float32", masked=False)
    source.arrays = [x[:, :3] for x in source.arrays]
    run = data(source, size=6, background=background).prepare(CUBE, 0)
    record = json.loads(json.dumps(run.record()))
    del record["choices"]["nodata"]
    for key in ("fill", "unit", "missing"):
        del record["streams"]["cube"][key]
    again = data(source, size=6, background=background).prepare(CUBE, 0, frozen=record)
    batch = again.batch(np.arange(2))
    assert again.streams["cube"].fill == ()
    assert not batch.inputs["cube"][(batch.mask == 0).expand(-1, 3, -1, -1)].any()
    with pytest.raises(DataError, match=rf"data\.background is mean here, .*add data\.background={background}"):
        data(source, size=6).prepare(CUBE, 0, frozen=record)


def test_what_is_told_survives_a_memory(data, made):
    class Memory(dict):
        def get(self, facts):
            return super().get(json.dumps(facts, sort_keys=True))

        def put(self, facts, found):
            self[json.dumps(facts, sort_keys=True)] = json.loads(json.dumps(found))

    memory = Memory()
    one, two = (data(holed(made)).prepare(CUBE, 0, memory=memory, encodes=True) for _ in range(2))
    assert one.notes == two.notes
    assert any(n.startswith("nodata") for n in two.notes)
    assert one.streams == two.streams
