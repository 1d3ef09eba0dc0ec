"""Readers of series: values, irregular times and gaps against slow loops, windows, and each fault in one sentence."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.long_table import LongTable
from multimodal_lab.data.readers.resample import rate_of, resampled
from multimodal_lab.data.readers.series_arrays import SeriesArrays
from multimodal_lab.data.readers.ts import Ts
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split import auto
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.labels import require_complete
from multimodal_lab.types import Stream

REAL = Path(__file__).parents[3] / "shared/data/open/uea_timeseries"
HEAD = "@problemName p\n@timeStamps false\n@univariate false\n@dimensions 2\n@equalLength false\n@classLabel true a b\n@data\n"


TIMED = HEAD.replace("@timeStamps false", "@timeStamps true")


def whole(source, rate=None, field=""):
    bands = source.field_bands[field] if field else next(iter(source.field_bands.values()))
    return replace(Stream("x", "vector", bands, field=field), rate=rate)


def values(source, i, rate=None, field=""):
    return source.read(i, [whole(source, rate, field)]).inputs["x"]


def ts(folder, lines, head=HEAD, name="p_TRAIN.ts"):
    (folder / name).write_text(head + "\n".join(lines) + "\n")


def test_ts_gives_what_is_written(tmp_path):
    ts(tmp_path, ["1,2,3:4,5,?:a", "# a remark", "7,8:9,10:b"])
    ts(tmp_path, ["0,0:1,1:b"], name="p_TEST.ts")
    source = Ts(str(tmp_path), files=["p_TRAIN.ts", "p_TEST.ts"], rate=4.0)
    assert source.samples[["recording", "label", "split"]].to_numpy().tolist() == [
        ["p_TRAIN/0000", "a", "train"], ["p_TRAIN/0001", "b", "train"], ["p_TEST/0000", "b", "test"],
    ]  # fmt: skip
    np.testing.assert_array_equal(values(source, 0), [[1, 2, 3], [4, 5, np.nan]])
    np.testing.assert_array_equal(values(source, 1), [[7, 8], [9, 10]])
    assert source.read(0, [whole(source)]).rates == {"x": 4.0}


def test_ts_with_times_of_their_own(tmp_path):
    ts(tmp_path, ["(0,1), (1,2),(3,4):(0,4),(1,?),(3,6):a", "(0,7),(1,8):(0,9),(1,10):b"], TIMED)
    day = "2024-05-01 12:00"
    ts(tmp_path, [f"({day}:00,1),({day}:02,3):({day}:00,2),({day}:02,4):b"], TIMED, "p_TEST.ts")
    source = Ts(str(tmp_path), files=["p_TRAIN.ts", "p_TEST.ts"])
    assert source.samples.label.tolist() == ["a", "b", "b"]
    np.testing.assert_allclose(values(source, 0, 1.0), [[1, 2, 3, 4], [4, 14 / 3, 16 / 3, 6]], rtol=1e-6)
    np.testing.assert_array_equal(values(Ts(str(tmp_path), max_gap=1.0), 1, 1.0)[:, 2], [np.nan, np.nan])  # 2 s apart
    np.testing.assert_array_equal(values(source, 2, 1.0), [[1, 2, 3], [2, 3, 4]])
    with pytest.raises(DataError, match=r"some recordings have irregular times.*expected one rate in a stream"):
        values(source, 0)
    with pytest.raises(DataError, match=r"data\.source\.rate: 10 Hz, but p_TEST\.ts has times of its own"):
        Ts(str(tmp_path), rate=10.0)
    assert values(Ts(str(tmp_path), files=["p_TRAIN.ts"], time_unit="min"), 1, 1 / 60).tolist() == [[7, 8], [9, 10]]


@pytest.mark.parametrize(
    ("head", "lines", "said"),
    [
        (HEAD, ["(0,1),(1,2):3,4:a"], r"line 8: values with times of their own, \(time, value\), expected @timestamps true"),
        (TIMED, ["1):2):a"], r"line 8: '1\)', expected \(time,value\)"),
        (TIMED, ["(0,1),(1,2):(0,1),(2,2):a"], "line 8: dimension 2 has time '2' where the first has '1'; expected one row"),
        (TIMED, ["(1,1),(0,2):(1,1),(0,2):a"], "line 8: times out of order, 0 s after 1 s"),
        (TIMED, ["(0,1),(1,2):(0,1):a"], "line 8: its dimensions have 2, 1 values"),
        (TIMED, ["(0,1),(soon,2):(0,1),(soon,2):a"], "line 8: time: '0' is neither a number nor a date"),
        (TIMED, ["(0),(1):(0),(1):a"], "line 8: '0', expected one time and one value"),
        (HEAD, ["1,2:3:a"], "line 8: its dimensions have 2, 1 values, expected one length"),
        (HEAD, ["1,2:3,x:a"], r"line 8: 'x', expected a number, or \?"),
        (HEAD, ["1:2:c"], "line 8: its label is 'c'; .*a"),
        (HEAD, ["1:a"], "line 8 has 1 dimensions, expected 2"),
        (HEAD.replace("@univariate", "@univariat"), ["1:2:a"], "line 3 is '@univariat false', expected .*univariate"),
        (HEAD.replace("@data\n", ""), ["1:2:a"], "line 7 is '1:2:a', expected .* after @|no line @data"),
        (HEAD, [], "no recording below @data"),
        (HEAD.replace("@equalLength false", "@equalLength true\n@serieslength 3"), ["1,2:3,4:a"], "line 9 has 2 values"),
    ],
)  # fmt: skip
def test_a_broken_ts_file_is_one_sentence(tmp_path, head, lines, said):
    ts(tmp_path, lines, head)
    with pytest.raises(DataError, match=rf"p_TRAIN\.ts: {said}"):
        Ts(str(tmp_path))


def test_files_of_two_problems_are_told_apart(tmp_path):
    ts(tmp_path, ["1:2:a"])
    ts(tmp_path, ["1:a"], HEAD.replace("@dimensions 2", "@dimensions 1"), "q_TRAIN.ts")
    with pytest.raises(
        DataError, match=r"q_TRAIN\.ts: 1 dimensions and a class label, and p_TRAIN\.ts has 2 dimensions"
    ):
        Ts(str(tmp_path))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs uea_timeseries in ../shared/data")
def test_the_archives_own_files():
    source = Ts(str(REAL), files=["BasicMotions_TRAIN.ts", "BasicMotions_TEST.ts"])
    assert len(source.samples) == 80
    assert values(source, 0)[:, 0].tolist() == pytest.approx(
        [0.079106, 0.394032, 0.551444, 0.351565, 0.02397, 0.633883], abs=1e-6
    )
    lengths = [values(s := Ts(str(REAL), files=["PickupGestureWiimoteZ_TRAIN.ts"]), i).shape[1] for i in range(50)]
    assert (min(lengths), max(lengths), len(s.bands)) == (29, 361, 1)


def rows(rate=10.0, n=40, **more):
    t = np.arange(n) / rate
    return pd.DataFrame({"time": t, "acc_x": np.sin(t), "acc_y": t, **more})


def written(folder, *parts, name="a.csv"):
    pd.concat(parts).to_csv(folder / name, index=False)


def opened(folder, **more):
    return LongTable(str(folder), **{"file": "a.csv", "pattern": "acc_.*", "recording": ["subject", "act"], **more})


def test_a_long_table_gives_a_row_a_recording_and_tells_what_varies(tmp_path):
    written(
        tmp_path,
        rows(subject=1, act="sit", age=30, pulse=range(40)),
        rows(n=20, subject=2, act="sit", age=40, pulse=range(20)),
    )
    source = opened(tmp_path)
    assert source.samples[["id", "subject", "act", "age"]].to_numpy().tolist() == [
        ["1/sit", 1, "sit", 30],
        ["2/sit", 2, "sit", 40],
    ]
    assert source.notes == ["a.csv: left out, as they vary within a recording: pulse"]
    np.testing.assert_allclose(values(source, 1), rows(n=20)[["acc_x", "acc_y"]].to_numpy().T, rtol=1e-6)
    assert source.read(0, [whole(source)]).rates["x"] == pytest.approx(10)


def slow(x, times, at, limit):
    """One target time and one band at a time."""
    out = np.full((len(x), len(at)), np.nan)
    for c, row in enumerate(x):
        known = [(t, v) for t, v in zip(times, row) if np.isfinite(v)]
        for k, when in enumerate(at):
            before = [p for p in known if p[0] <= when]
            after = [p for p in known if p[0] >= when]
            if before and after:
                (a, u), (b, v) = before[-1], after[0]
                if b - a <= limit:
                    out[c, k] = u if a == b else u + (v - u) * (when - a) / (b - a)
    return out


def test_resampling_is_the_slow_loop():
    draw = np.random.default_rng(0)
    for _ in range(20):
        times = np.cumsum(draw.exponential(0.1, 30))
        x = draw.normal(size=(3, 30))
        x[draw.random((3, 30)) < 0.3] = np.nan
        at = np.concatenate([times[::7], draw.uniform(-0.2, times[-1] + 0.2, 40)])
        np.testing.assert_allclose(resampled(x, times, at, 0.25), slow(x, times, at, 0.25), rtol=1e-5, atol=1e-6)


def test_irregular_times_need_a_rate_and_gaps_stay_gaps(tmp_path):
    draw = np.random.default_rng(0)
    t = np.sort(draw.uniform(0, 5, 100))
    t = t[(t < 2) | (t > 3)]
    written(tmp_path, pd.DataFrame({"subject": 1, "act": "a", "time": t, "acc_x": np.sin(t), "acc_y": t}))
    source = opened(tmp_path, max_gap=8.0)
    with pytest.raises(
        DataError,
        match=r"stream x: a\.csv: some recordings have irregular times; expected one rate .*modality\.x\.rate=",
    ):
        values(source, 0)
    found = values(source, 0, rate=20.0)
    at = t[0] + np.arange(found.shape[1]) / 20
    inside = (at > t[t < 2][-1]) & (at < t[t > 3][0])
    assert inside.sum() > 15
    assert np.isnan(found[:, inside]).all()
    assert np.isfinite(found[:, ~inside]).mean() > 0.9
    np.testing.assert_allclose(found[1][np.isfinite(found[1])], at[np.isfinite(found[1])], atol=1e-5)


def test_two_rates_are_refused_or_brought_to_one(tmp_path):
    written(tmp_path, rows(subject=1, act="a"), rows(rate=20.0, subject=2, act="a"))
    source = opened(tmp_path)
    with pytest.raises(
        DataError, match=r"stream x: .*recordings have several rates: 10 Hz, 20 Hz; expected one rate in a stream"
    ):
        values(source, 0)
    assert [values(source, i, rate=10.0).shape for i in (0, 1)] == [(2, 40), (2, 20)]
    np.testing.assert_allclose(values(source, 1, rate=10.0)[1], np.arange(20) / 10, atol=1e-6)


def test_clocks_that_round_are_regular():
    assert rate_of(np.round(np.arange(100) / 60, 3)) == pytest.approx(60, rel=1e-3)
    assert rate_of(np.r_[0, 1, 2, 4, 5.0]) is None


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        (lambda t: t.iloc[::-1], {}, r"recording 1/a: times out of order, 3\.8 s after 3\.9 s \(row 2 of 40\); sort its rows"),
        (lambda t: pd.concat([t, t]).sort_values("time"), {}, "40 times stand twice, the first 0 s .*expected one row a time"),
        (lambda t: t.assign(acc_x="?"), {}, r"row 0, column acc_x: '\?', expected a number or nothing"),
        (lambda t: t.assign(time="noon"), {}, "column time: 'noon' is neither a number nor a date and time"),
        (lambda t: t, {"recording": ["subjekt"]}, r"no column 'subjekt' \(data\.source\.recording\).*nearest: subject"),
        (lambda t: t, {"windows": Windows(5.0)}, r"recording 1/a has 4 seconds, and a window 5: expected .*length of at most 4"),
        (lambda t: t, {"windows": Windows(2.5, unit="steps")}, r"length: 2\.5 steps, expected a whole number \(nearest: 2\)"),
        (lambda t: t, {"windows": Windows(None, 1.0)}, r"windows\.stride: 1 without data\.source\.windows\.length"),
        (lambda t: t, {"rate": 10.0}, r"data\.source\.rate: 10 Hz beside data\.source\.time=time"),
        (lambda t: t, {"time": None, "windows": Windows(1.0)}, r"windows: in seconds, but nothing says the rate"),
    ],
)  # fmt: skip
def test_a_bad_long_table_is_one_sentence(tmp_path, change, more, said):
    written(tmp_path, change(rows(subject=1, act="a")))
    with pytest.raises(DataError, match=said):
        opened(tmp_path, **more)


def test_a_label_that_lacks_is_refused_unless_it_may(tmp_path):
    written(tmp_path, rows(subject=1, act="a", mood="good"), rows(subject=2, act="a", mood=None))
    with pytest.raises(DataError, match=r"mood.*data\.source\.missing_labels=keep"):
        require_complete(opened(tmp_path, windows=Windows(1.0)).samples, ["mood"])
    require_complete(opened(tmp_path, missing_labels="keep").samples, ["mood"])


def test_dates_and_milliseconds_are_times(tmp_path):
    t = rows(subject=1, act="a")
    written(tmp_path, t.assign(time=pd.Timestamp("2024-05-01T12:00Z") + pd.to_timedelta(t.time, unit="s")))
    assert opened(tmp_path).read(0, [whole(opened(tmp_path))]).rates["x"] == pytest.approx(10)
    written(tmp_path, t.assign(time=t.time * 1000))
    assert opened(tmp_path, time_unit="ms").sensors["series"].rates() == [pytest.approx(10)]


def test_windows_are_slices_and_stay_in_one_split(tmp_path):
    written(tmp_path, *[rows(n=40 + 5 * s, subject=s, act="ab"[s % 2]) for s in range(12)])
    source = opened(tmp_path, windows=Windows(1.0, 0.5))
    assert source.samples.groupby("recording", sort=False).size().tolist() == [
        (40 + 5 * s - 10) // 5 + 1 for s in range(12)
    ]
    one = source.samples.query("recording == '3/b'")
    full = rows(n=55)[["acc_x", "acc_y"]].to_numpy().T
    for i, start in zip(one.index, one.start):
        np.testing.assert_allclose(values(source, i), full[:, round(start * 10) : round(start * 10) + 10], rtol=1e-6)
    assert not any("behind the last" in n for n in source.notes)
    steps = opened(tmp_path, windows=Windows(10, 5, "steps"))
    assert steps.samples.id.tolist() == source.samples.id.tolist()
    chosen = auto.choose(source.samples, "auto", Split(by="auto", stratify="auto"))
    assert chosen.split.by == "recording"
    rows_of = chosen.split.assign(source.samples)
    homes = {name: set(source.samples.recording.iloc[r]) for name, r in rows_of.items()}
    assert not homes["train"] & (homes["test"] | homes["val"])


def test_a_split_that_tears_recordings_is_warned_of_and_one_by_subject_is_not(tmp_path):
    written(tmp_path, *[rows(subject=s // 2, act="ab"[s % 2]) for s in range(12)])
    samples = opened(tmp_path, windows=Windows(1.0)).samples
    torn = auto.choose(samples, ["act"], Split(by=None))
    assert any("windows of one recording may stand in two splits" in n for n in torn.notes)
    assert not auto.choose(samples, ["act"], Split(by="subject")).notes


def test_what_fills_no_window_is_told(tmp_path):
    written(tmp_path, rows(n=48, subject=1, act="a"))
    assert opened(tmp_path, windows=Windows(1.0)).notes == [
        "windows: ends that fill no whole window are left out: 0.8 seconds on average, 0.8 at most (1 of 1 recordings)"
    ]


def test_sensors_of_two_rates_in_tables_of_their_own(tmp_path):
    written(tmp_path, rows(subject=1, act="a"), rows(subject=2, act="a"))
    written(tmp_path, rows(rate=5.0, n=20, subject=1, act="a"), name="b.csv")
    source = opened(tmp_path, file={"wrist": "a.csv", "chest": "b.csv"})
    found = source.read(0, [whole(source, field="wrist"), replace(whole(source, field="chest"), name="y")])
    assert {k: v.shape for k, v in found.inputs.items()} == {"x": (2, 40), "y": (2, 20)}
    assert values(source, 1, field="chest") is None
    assert source.images == ["path_chest"]  # the fingerprint takes in both files
    assert (source.samples.path == "a.csv").all()
    assert (source.samples.path_chest == "b.csv").all()


def test_arrays_in_any_order_of_axes(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 2, 9)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    pd.DataFrame({"name": [*"abcd"], "y": [0, 1, 0, 1]}).to_csv(tmp_path / "t.csv", index=False)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"], file["label"] = x.transpose(0, 2, 1), [0, 1, 0, 1]
        file["flat"] = x[:2].transpose(0, 2, 1).reshape(18, 2, 1)
    (tmp_path / "each").mkdir()
    for i, name in enumerate("abcd"):
        np.save(tmp_path / f"each/{name}_s{i}.npy", x[i, :, : 5 + i])
    pd.DataFrame({"a": [0, 9], "n": [9, 9]}).to_csv(tmp_path / "r.csv", index=False)
    opens = [
        SeriesArrays(str(tmp_path), arrays={"s": "x.npy"}, table="t.csv", id="name"),
        SeriesArrays(str(tmp_path), arrays={"s": "x.h5:data"}, axes="NTC", rates={"s": 5.0}),
        SeriesArrays(
            str(tmp_path), arrays={"s": "x.h5:flat"}, axes="TC", table="r.csv", start={"s": "a"}, count={"s": "n"}
        ),
        SeriesArrays(str(tmp_path), arrays={"s": "each/*.npy"}, axes="CT", labels=Labels(pattern="{name}_{subject}")),
    ]
    for k, source in enumerate(opens):
        for i in range(len(source.samples)):
            np.testing.assert_array_equal(values(source, i), x[i, :, : 5 + i] if k == 3 else x[i])
    assert opens[0].samples[["id", "y"]].to_numpy().tolist() == [["a", 0], ["b", 1], ["c", 0], ["d", 1]]
    assert opens[1].samples.label.tolist() == [0, 1, 0, 1]
    assert opens[3].samples.subject.tolist() == ["s0", "s1", "s2", "s3"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"arrays": {"s": "x.npy"}, "axes": "TC"}, "axes=TC of one array x.npy: expected data.source.table, and start and count"),
        ({"arrays": {"s": "x.npz"}}, "no file .*x.npz"),
        ({"arrays": {"s": "x.h5"}}, r"x\.h5, expected FILE\.npy, FILE\.h5:DATASET or FOLDER/\*\.npy"),
        ({"arrays": {"s": "x.npy"}, "rates": {"t": 5.0}}, "rates: no sensor 't'; there are s"),
        ({"arrays": {"s": "x.npy"}, "table": "t.csv"}, r"x\.npy: 4 recordings, and t\.csv has 2"),
        ({"arrays": {"s": "x.npy"}, "bands": {"s": ["a"]}}, r"bands: 1 names, and x\.npy has 2 channels"),
        ({"arrays": {"s": "f.npy"}}, r"f\.npy: shape \(4, 2\), expected 3 axes, data\.source\.axes=NCT"),
        ({"arrays": {"s": "o.npy"}}, r"o\.npy: not a whole, readable \.npy file"),
        ({"arrays": {"s": "f.npy"}, "axes": "TC", "table": "t.csv", "start": {"s": "a"}, "count": {"s": "n"}},
         r"f\.npy: recording 1 is said to be 3 steps from 2 on, and the array has 4"),
    ],
)  # fmt: skip
def test_bad_arrays_are_one_sentence(tmp_path, more, said):
    np.save(tmp_path / "x.npy", np.zeros((4, 2, 9)))
    np.save(tmp_path / "f.npy", np.zeros((4, 2)))
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    pd.DataFrame({"a": [0, 2], "n": [2, 3]}).to_csv(tmp_path / "t.csv", index=False)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = np.zeros((4, 2, 9))
    with pytest.raises(DataError, match=said):
        SeriesArrays(str(tmp_path), **more)


def test_a_stream_with_a_rate_of_steps_without_is_told(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 2, 9)))
    source = SeriesArrays(str(tmp_path), arrays={"s": "x.npy"})
    with pytest.raises(
        DataError, match=r"modality\.x\.rate: 5 Hz, but nothing says the rate of what x\.npy holds; data\.source\.rate"
    ):
        values(source, 0, rate=5.0)
