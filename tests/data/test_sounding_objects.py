"""Made-up clips of sounding objects: the sound begins where the object hits the floor, and each knows what it is said to."""

import numpy as np
import pytest

from multimodal_lab.data.source import DataError
from multimodal_lab.data.synthetic.sounding_objects import CLASSES, GAP, HEARD, SoundingObjects
from multimodal_lab.data.synthetic.sounding_shapes import FLASH, flight
from multimodal_lab.types import Band, Stream

RGB, MONO = tuple(Band(b) for b in "RGB"), (Band("mono"),)
VIDEO, SOUNDS = Stream("video", "image", RGB), {n: Stream(n, "vector", MONO) for n in HEARD}


def clean(**dials):
    return SoundingObjects(**{"clips": 12, "noise": 0.0, "hiss": 0.0, **dials})


def impacts(source, index, column="impacts"):
    return np.array([float(t) for t in source.samples[column][index].split()])


def test_a_clip_is_a_function_of_the_dials_and_its_place_alone():
    one, two, other = (SoundingObjects(clips=12, seed=seed) for seed in (3, 3, 4))
    for i in (7, 2, 7):
        first, second = (s.read(i, [VIDEO, SOUNDS["audio"]]) for s in (one, two))
        assert all(np.array_equal(first.inputs[k], second.inputs[k]) for k in first.inputs)
    assert first.inputs["video"].shape == (3, 32, 32, 32)
    assert first.inputs["audio"].shape == (1, 16000)
    assert first.rates == {"video": 16.0, "audio": 8000.0}
    assert one.identity == two.identity != other.identity
    assert not one.samples.equals(other.samples)
    assert np.abs(first.inputs["audio"]).max() < 1


def test_it_sounds_from_each_impact_on_and_flashes_then():
    source = clean()
    for i in range(6):  # a class each
        raw, times = source.read(i, [VIDEO, SOUNDS["audio"]]), impacts(source, i)
        assert ((np.diff(times) >= GAP[0] - 1e-3) & (np.diff(times) <= GAP[1] + 1e-3)).all()
        loud = np.abs(raw.inputs["audio"][0])
        for t in times[times > 0.01]:
            at = round(t * 8000)
            assert loud[at + 8 : at + 400].max() > 2 * loud[at - 30 : at - 5].max()
        brightness = raw.inputs["video"].max((0, 2, 3))
        height, since = flight(source._impacts(i, 0), (np.arange(32) + 0.5) / 16)
        assert np.corrcoef(brightness, np.exp(-since / FLASH))[0, 1] > 0.9
        assert (height[since < 1 / 32] < 0.1).all()


def test_classes_are_balanced_and_seen_and_heard_apart():
    source = clean(objects=2, clips=60)
    assert set(source.samples["class"].value_counts()) == {10}
    assert not (source.samples["class"] == source.samples["other"]).any()
    assert len(source.samples.groupby(["class", "other"])) == 30
    mean = [clean().read(i, [VIDEO]).inputs["video"].max((1, 2, 3)) for i in range(6)]
    assert min(np.abs(a - b).max() for i, a in enumerate(mean) for b in mean[:i]) > 0.03


def test_the_sounds_of_two_objects_add_up():
    raw = clean(objects=2).read(4, [*SOUNDS.values()])
    found = raw.inputs
    assert np.allclose(found["audio"], found["first"] + found["second"], atol=1e-6)
    assert np.abs(found["second"]).max() > 0.1
    assert not clean().read(4, [SOUNDS["second"]]).inputs["second"].any()


def test_missing_sounds_and_refusals():
    source = SoundingObjects(clips=200, missing=0.3, size=8)
    lacking = sum(source.read(i, [SOUNDS["audio"]]).inputs["audio"] is None for i in range(200))
    assert 40 <= lacking <= 80
    for dials, said in (({"rate": 4000}, "8000 or more"), ({"seconds": 0.5}, "holds an impact")):
        with pytest.raises(DataError, match=said):
            SoundingObjects(**dials)
    with pytest.raises(DataError, match="no field 'sound', expected one of video, audio, first, second"):
        source.read(0, [Stream("sound", "vector", MONO)])
    assert len(CLASSES) == 6
