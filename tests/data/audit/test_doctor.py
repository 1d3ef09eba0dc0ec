"""The doctor on a good set of Sentinel patches and on damaged copies of it, and what a run's own start says of these."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from damaged import DAMAGE, MODALITY, S2, opened, patches, write

from multimodal_lab.data.audit import grid
from multimodal_lab.data.audit.audit import audit
from multimodal_lab.data.audit.examine import examine
from multimodal_lab.data.audit.finding import RANK
from multimodal_lab.data.audit.offered import offered
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.preset import Preset
from multimodal_lab.data.streams.scaling import FixedRange, NoScaling
from multimodal_lab.doctor import __main__ as command
from multimodal_lab.doctor.show import lines


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "set"
    write(folder)
    return folder


@pytest.fixture
def damaged(good, tmp_path):
    def make(name):
        folder = tmp_path / "set"
        shutil.copytree(good, folder)
        DAMAGE[name][0](folder)
        return folder

    return make


def of(folder, limit=None):
    return examine(opened(folder), MODALITY, limit)


def test_a_good_set_has_none_of_the_faults(good):
    found = of(good)
    assert not {f.kind for f in found.findings} & {kind for _, kind, _, _ in DAMAGE.values()} - {"absent class"}
    assert found.worst != "error", found.findings
    assert found.patterns == {"s1 + s2": 24}
    assert found.splits["train"]["labels"]["cover"] == {"Coniferous forest": 6, "Non-irrigated arable land": 6}
    s1 = patches()[0].astype(np.float64)
    for band, own in enumerate(found.streams["s1"]["bands"]):
        x = s1[:, band]
        assert (own["band"], own["unit"], own["not_measured"]) == (["VV", "VH"][band], "dB", 0)
        told = [own[key] for key in ("low", "high", "mean", "std")]
        assert told == pytest.approx([x.min(), x.max(), x.mean(), x.std()], rel=1e-6)


@pytest.mark.parametrize("name", DAMAGE)
def test_each_damage_is_found_with_its_file_and_its_numbers(damaged, name):
    _, kind, level, says = DAMAGE[name]
    found = of(damaged(name))
    own = [f for f in found.findings if f.kind == kind and re.search(says, f.sentence)]
    assert [f.level for f in own] == [level], "\n".join(f"{f.level} {f.kind}: {f.sentence}" for f in found.findings)
    assert RANK.index(found.worst) <= RANK.index(level)
    assert found.record()["splits"]  # whatever is wrong, the classes of each split are counted


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("S1 in linear power", r"sample 'p\d\d'.*stream s1: VV, VH hold .*linear power.*the card says dB; convert"),
        ("one patch in linear power", r"sample 'p05'.*linear power.*1 of 24 samples"),
        (
            "reflectance 0 to 1",
            r"sample 'p\d\d'.*stream s2: B01, B02, B03, B04 and 8 more hold .*reflectance of 0 to 1",
        ),
        ("a constant band", r"data.scaling: band B09 is constant \(7\)"),
        ("bands described in another order", r"p04.*its band 1 is described as b12"),
        ("a scale in one file", r"p04.*GDAL's scale and offset are 0\.0001 \+0, and none in p00"),
    ],
)
def test_a_run_refuses_them_at_its_start_too(damaged, name, says):
    data = opened(damaged(name))
    data.on_error = "raise"
    with pytest.raises(DataError, match=says):
        data.prepare(MODALITY, 0)


@pytest.mark.parametrize(("name", "says"), [
    ("swapped bands", r"warning: stream s1: VV has a mean of .* swapped"),
    ("the offset of baseline 04.00 in all", r"warning: s2: no value of any band is below 1000"),
    ("products of two baselines", r"warning: 16 samples of processing baselines before 04\.00"),
    ("two projections", r"warning: 2 reference systems in one set: EPSG:"),
])  # fmt: skip
def test_a_run_warns_of_what_it_can_train_on(damaged, name, says):
    prepared = opened(damaged(name), on_error="raise").prepare(MODALITY, 0)
    assert any(re.match(says, note) for note in prepared.notes)


@pytest.mark.parametrize("name", ["swapped bands", "a band twice", "a misspelt label", "two projections"])
def test_a_study_s_audit_has_what_needs_no_other_pass(damaged, name):
    _, kind, level, says = DAMAGE[name]
    data = opened(damaged(name), on_error="raise")
    data.split.min_class_policy = "train"
    own = [f for f in audit(data.prepare(MODALITY, 0)).findings if f.kind == kind and re.search(says, f.sentence)]
    assert [(f.level, f.void) for f in own] == [(level, False)]


def test_a_bad_patch_is_left_out_where_that_is_asked_for(damaged):
    prepared = opened(damaged("one patch in linear power"), on_error="skip", max_bad=0.1).prepare(MODALITY, 0)
    (why,) = prepared.bad.why.values()
    assert "linear power" in why


def test_a_fixed_range_of_other_units_is_told(good):
    s2 = {"s2": MODALITY["s2"]}
    told = opened(good, scaling=FixedRange(low=0, high=1), on_error="raise").prepare(s2, 0).notes
    assert any(re.search(r"fixed_range sends 0 to 1 .*stream s2 holds .*data.scaling.high=\d", note) for note in told)
    fits = opened(good, scaling=FixedRange(high=10000), on_error="raise").prepare(s2, 0).notes
    assert not [note for note in fits if "fixed_range" in note]


@pytest.mark.parametrize(("factor", "says"), [(1.0, None), (1e-4, r"data.statistics=published: band B01 .* says 0.07")])
def test_a_preset_of_other_units_is_refused(good, factor, says):
    known = {b: [factor * (700 + 150 * i), factor * 900] for i, b in enumerate(S2)}
    preset = Preset(name="published", bands=known, samples=8)
    data = opened(good, scaling=NoScaling(), statistics=preset, on_error="raise")
    if says is None:
        assert data.prepare({"s2": MODALITY["s2"]}, 0).streams["s2"].mean[1] == 850
        return
    with pytest.raises(DataError, match=says):
        data.prepare({"s2": MODALITY["s2"]}, 0)


def test_a_sample_of_the_set_and_what_it_offers(good):
    found = of(good, limit=7)
    assert (found.looked, found.samples, found.streams["s2"]["looked_at"]) == (7, 24, 7)
    assert [*lines(found.record())][-1].startswith("looked at 7 samples of 24, evenly spaced (limit=null: all): ")
    assert offered(opened(good).source) == {n: {"kind": "image", "bands": "all", "field": n} for n in ("s1", "s2")}


WORDS = [
    "data=multispectral_tiff", "data.source.card.bands=[VV,VH]", "data.source.card.nm=null", "data.source.card.mask_band=null",
    "data.source.card.unit=dB", "data.source.labels.pattern=null",
]  # fmt: skip


def exits(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["doctor", *words])
    with pytest.raises(SystemExit) as left:
        command.main()
    return left.value.code


@pytest.mark.parametrize(
    ("name", "code", "worst"), [(None, 0, "fine"), ("S1 in linear power", 3, "error"), ("gaps", 0, "info")]
)
def test_the_command_tells_in_a_table_and_json_and_by_its_exit_code(
    good, damaged, monkeypatch, capsys, tmp_path, name, code, worst
):
    folder = good if name is None else damaged(name)
    assert exits(monkeypatch, *WORDS, f"data.root={folder}/s1", f"out={tmp_path}/found.json") == code
    found, said = json.loads((tmp_path / "found.json").read_text()), capsys.readouterr().out
    assert (found["worst"], found["samples"], found["looked_at"]) == (worst, 24, 24)
    assert [f["severity"] for f in found["findings"]] == ([worst] if name else [])
    assert "VV" in said
    assert all(f["sentence"] in said for f in found["findings"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["modality=s1"], "data=CHOICE is missing"),
        ([*WORDS, "data.root=/nowhere"], "data.root=/nowhere: this folder is not there"),
        ([*WORDS, "limit=0"], "limit=0: expected a whole number from 1, or null"),
        ([*WORDS, "out=found.txt"], "expected a file that ends in .json (nearest: out=found.json)"),
        (["data=eo_sample"], "nearest: data=eo_samples"),
        ([*WORDS, "data.siz=3"], "data.size"),
    ],
)
def test_a_command_line_that_cannot_be_followed_is_one_sentence(monkeypatch, capsys, words, says):
    assert exits(monkeypatch, *words) == 2
    assert says in capsys.readouterr().err


def test_data_that_cannot_be_opened_are_a_finding(monkeypatch, capsys, tmp_path):
    assert exits(monkeypatch, *WORDS, f"data.root={tmp_path}") == 3
    assert "error refused: a run refuses these data: " in capsys.readouterr().out


def test_labels_are_counted_where_nothing_can_be_split(damaged):
    data = opened(damaged("a misspelt label"))
    data.split.column = "fold"
    found = examine(data, MODALITY, None)
    assert found.splits["all"]["labels"]["cover"]["Coniferous forest"] == 11
    assert {"refused", "label spelling"} == {f.kind for f in found.findings}
    assert any("no column 'fold'" in f.sentence for f in found.findings)


def test_samples_of_all_sizes_need_no_size_in_common_where_they_are_resized(damaged):
    found = examine(opened(damaged("another size"), size=8), MODALITY, None)
    (own,) = (f for f in found.findings if f.kind == "other layout")
    assert (own.level, own.count) == ("info", 1)
    assert found.splits["train"]["samples"] == 12  # none is left out


def test_pixels_of_another_size_and_zones_of_utm():
    table = pd.DataFrame(
        {"id": ["a", "b", "c"], "crs": ["EPSG:32632", "EPSG:32633", "EPSG:32633"], "width": 120, "height": 120}
    )
    table = table.assign(left=0.0, bottom=0.0, right=[1200.0, 1200.0, 2400.0], top=[1200.0, 1200.0, 2400.0])
    zones, pixels = grid.findings(table)
    assert (zones.level, pixels.level) == ("info", "warning")
    assert "sample 'c' has 20 x 20" in pixels.sentence
    assert not [*grid.findings(table.assign(crs=None))]
