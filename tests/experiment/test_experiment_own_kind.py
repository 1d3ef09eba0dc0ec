"""A package of another laboratory adds two kinds of data, and no file of ours is edited."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from multimodal_lab.config import kind_facts, targets
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data import kinds
from multimodal_lab.data.audit.audit import audit
from multimodal_lab.data.packed import finalize, probe, writer
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

ROOT = Path(__file__).parents[2]
OWN = Path(__file__).parents[1] / "own_package"
POINTS = (OWN / "entry_points.txt").read_text()
WORDS = [
    "modality=molecules", "data=molecules", "backbone=graph", "+backbone@backbones.counts=counts", "fusion=concat",
    "augment=none", "augment.views=2", "evaluate=[probe]", "figures=[]", "log=none", "train.max_steps=4", "device=cpu",
]  # fmt: skip


def installed(folder, points=POINTS, name="lab_graphs"):
    """The package as pip would leave it in `folder`, with these entry points."""
    shutil.copytree(OWN / "lab_graphs", folder / "lab_graphs", dirs_exist_ok=True)
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(points)


def clear():
    kinds.forget()
    for cached in (targets.entry_points, targets.extensions, targets.allowed, targets.near_allowed):
        cached.cache_clear()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A function that installs the package into this process."""

    def make(points=POINTS, name="lab_graphs"):
        installed(tmp_path, points, name)
        monkeypatch.syspath_prepend(tmp_path)
        clear()

    yield make
    clear()


@pytest.fixture(scope="module")
def run(tmp_path_factory, cli):
    """A run of both kinds by the command line; gives its directory and the path with the package on it."""
    folder = tmp_path_factory.mktemp("own")
    installed(folder)
    path = os.pathsep.join([str(folder), str(ROOT)])
    cli(f"--config-dir={OWN / 'conf'}", *WORDS, f"dir={folder / 'run'}", small=False, PYTHONPATH=path)
    return folder / "run", path


def test_it_is_trained_scored_and_embedded(run, cli):
    folder, path = run
    streams = json.loads((folder / "data.json").read_text())["streams"]
    assert streams["graph"]["vocab"] == 5
    assert streams["graph"]["mean"] == []
    assert len(streams["counts"]["mean"]) == 3
    scores = json.loads((folder / "summary.json").read_text())
    assert all(0 <= scores[f"probe/{name}/shape/accuracy"] <= 1 for name in ("graph", "counts", "fused"))
    cli(f"run={folder}", f"out={folder / 'again'}", module="embed", small=False, PYTHONPATH=path)
    assert {"graph.csv", "counts.csv", "fused.csv"} <= {p.name for p in (folder / "again").iterdir()}


def test_its_data_are_audited(run, here):
    here()
    cfg = OmegaConf.load(run[0] / "config.yaml")
    data = safe_instantiate(cfg.data).prepare(OmegaConf.to_container(cfg.modality), cfg.seed)
    batch = data.batch(data.rows("train")[:5])
    assert batch.inputs["graph"].shape == (5, 9, 10)
    assert batch.inputs["graph"].dtype.is_floating_point is False
    assert not [finding for finding in audit(data).findings if finding.void]
    read = data.reader.source.read
    data.reader.source.read = lambda index, streams: read(index % 40, streams)
    data.reader.last.clear()
    (copies,) = (finding for finding in audit(data).findings if finding.void)
    train = set(data.rows("train") % 40)
    held = [row for split in ("val", "test") for row in data.rows(split) if row % 40 in train]
    assert (copies.kind, copies.count) == ("exact duplicate", len(held))


def test_what_a_kind_refuses_names_the_sample(run, here):
    here()
    cfg = OmegaConf.load(run[0] / "config.yaml")
    with pytest.raises(
        DataError, match=r"sample 'm\d+_\d': stream graph: \d nodes, expected 1 to modality.graph.length=5"
    ):
        safe_instantiate(cfg.data).prepare({"graph": {"kind": "graph", "length": 5}}, 0)


def test_counts_are_packed_as_bands_and_graphs_are_not(here, tmp_path):
    here()
    from lab_graphs.source import Molecules

    source = Molecules(count=14)
    offer = probe.probe(source)
    assert [p.kind for p in offer.parts] == ["counts", "mask"]
    plan = writer.begin(source, offer, tmp_path / "store", {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "", {}, {}, "report")
    packed = Packed(str(tmp_path / "store"))
    streams = [Stream("x", "counts", source.bands[1:])]
    for i in range(len(source.samples)):
        there, again = (s.read(i, streams).inputs["x"] for s in (source, packed))
        assert (there is None) == (again is None)
        assert there is None or there.tolist() == again.tolist()
    with pytest.raises(DataError, match="holds counts, not graph"):
        packed.read(0, [Stream("g", "graph")])


def test_a_shipped_reader_gives_a_kind_of_the_same_bands_and_packs_it_once(here, tmp_path):
    here()
    rows = ["id,kind,a,b", *(f"s{i},moth,{i},{i * i}" for i in range(6))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    source = Table(str(tmp_path), file="t.csv", pattern="[ab]", id="id")
    stream = Stream("x", "counts", source.bands)
    assert source.read(3, [stream]).inputs["x"].tolist() == [3, 9]
    with pytest.raises(DataError, match="holds vector streams, not graph"):
        source.read(0, [Stream("g", "graph")])
    plan = writer.begin(source, probe.probe(source), tmp_path / "store", {})
    assert [p.kind for p in plan.offer.parts] == ["vector", "mask"]
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "", {}, {}, "report")
    assert Packed(str(tmp_path / "store")).read(3, [stream]).inputs["x"].tolist() == [3, 9]


def points(*lines):
    return "\n".join(["[multimodal_lab.kinds]", *lines, ""])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["graph = lab_graphs.kinds:Grahp"], "graph = lab_graphs.kinds:Grahp of multimodal_lab.kinds leads nowhere"),
        (["graph = lab_graps.kinds:Graph"], "lab_graps.kinds:Graph of multimodal_lab.kinds leads nowhere"),
        (["graph = lab_graphs.kinds:np"], "leads nowhere"),
        (["grpah = lab_graphs.kinds:Graph"], r"of image, map, text, vector, grpah \(nearest: modality.g.kind=grpah\)"),
    ],
)  # fmt: skip
def test_an_entry_point_that_leads_nowhere_is_told_by_its_name(here, lines, said):
    here(points(*lines))
    (found,) = kind_facts.kind_problems({"g": {"kind": "graph"}})
    assert re.search(said, str(found)), found
    with pytest.raises(kinds.KindError, match="graph"):
        kinds.get("graph")


@pytest.mark.parametrize("name", ["graph", "image"])
def test_two_kinds_of_one_name_are_refused(here, name):
    here()
    here(points(f"{name} = lab_graphs.kinds:Counts"), "another")
    (found,) = kind_facts.kind_problems({"g": {"kind": "graph"}})
    assert f"kind '{name}': there are two" in str(found)
    with pytest.raises(kinds.KindError, match="there are two"):
        kinds.get("image")


WRONG = {
    "spatial = 'yes'": "declares spatial = 'yes', expected true or false",
    "axes = 1.5": "declares axes = 1.5, expected an integer",
    "stored = 'rows'": "declares stored = 'rows', expected one of bands, column, own",
    "keys = ('length', 3)": "declares keys = ('length', 3), expected a list of text",
    "integer = bool(1)": "declares integer = bool(1), expected true or false, written as a plain value",
}


def test_facts_of_a_wrong_type_are_told_before_torch_is_imported(tmp_path):
    installed(tmp_path, points(*(f"bad{n} = bad_kind:Bad{n}" for n in range(len(WRONG)))))
    own = "".join(f"\n\nclass Bad{n}(Counts):\n    {line}\n" for n, line in enumerate(WRONG))
    (tmp_path / "bad_kind.py").write_text(f"from lab_graphs.kinds import Counts\n{own}")
    program = (
        "import sys; from multimodal_lab.config import resolvers; resolvers.register()\n"
        "from multimodal_lab.config.check import check_command\n"
        f"for n in range({len(WRONG)}):\n"
        "    try: check_command([f'+modality.x={{kind: bad{n}, bands: all}}'])\n"
        "    except Exception as error: print(error)\n"
        "assert not {'torch', 'numpy', 'lab_graphs'} & sys.modules.keys()"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    expected = [f"modality.x.kind=bad{n}: bad_kind:Bad{n} {said}" for n, said in enumerate(WRONG.values())]
    assert done.stdout.splitlines() == expected


def test_inherited_facts_are_read_from_the_source_too(here):
    here()
    assert kind_facts.fact("counts", "has_bands") is True
    assert kind_facts.fact("graph", "keys") == ("length",)
    assert kind_facts.fact("graph", "drawn_each_epoch") is False
    assert kind_facts.fact("nothing", "spatial") is None
