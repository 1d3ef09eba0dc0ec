"""Whoever adds a part in a package of their own edits no file of ours: it is checked, run and shown as ours are."""

import importlib
import json
import re
import sys

import contract.backbone
import contract.evaluator
import contract.fusion
import numpy as np
import own
import pytest
from contract.owed import factory

from multimodal_lab.config import facts
from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.config.rules.wiring import scored
from multimodal_lab.config.suggest import nodes
from multimodal_lab.fusion.concat import Concat
from multimodal_lab.types import KindName


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """`conf(name=source, …)`: the other package with some files changed, on the path; gives its conf/."""

    def installed(**changed):
        found = own.write(tmp_path, **changed)
        monkeypatch.syspath_prepend(tmp_path)
        own.forget()
        return found

    yield installed
    for name in [name for name in sys.modules if name.startswith("own_lab")]:
        del sys.modules[name]
    own.forget()


def refusal(*argv):
    with pytest.raises(ConfigError) as error:
        check_command(list(argv))
    return str(error.value)


@pytest.fixture
def spectra(tmp_path):
    """A table of 60 spectra of two species."""
    rng = np.random.default_rng(0)
    head = "id,species," + ",".join(f"nm{nm}" for nm in range(300, 308))
    rows = [f"s{i},{'ab'[i % 2]}," + ",".join(f"{v:.3f}" for v in rng.random(8) + i % 2) for i in range(60)]
    (tmp_path / "spectra.csv").write_text("\n".join([head, *rows]) + "\n")
    return [
        "data=table", f"data.root={tmp_path}", "data.source.file=spectra.csv", "data.source.id=id",
        "data.source.labels=[species]", "data.labels=[species]", "data.batch_size=16", "modality=uv_spectrum",
    ]  # fmt: skip


RUN = ["log=none", "figures=[]", "train.max_steps=2"]
SELF = ["fusion=separate", "loss=simclr", "augment=spectra"]


def ran(cli, conf, out, *words):
    done = cli(f"--config-dir={conf}", f"dir={out}", *RUN, *words, small=False, cwd=conf.parent,
               PYTHONPATH=f"{conf.parent}:{own.ROOT}")  # fmt: skip
    return json.loads((out / "summary.json").read_text()), done.stdout


def test_a_backbone_of_vectors_and_an_evaluator_run_and_are_shown(conf, spectra, cli, tmp_path):
    found, said = ran(cli, conf(), tmp_path / "out", *spectra, "backbone=mlp", *SELF, "evaluate=[probe,spread]")
    assert found["spread/uv/radius"] > 0
    assert "Spread of the embeddings" in said
    assert f"{found['spread/uv/radius']:.3f}" in said


def test_an_own_score_is_watched_swept_and_in_the_table(conf, spectra, cli, tmp_path):
    words = [*spectra, "backbone=mlp", *SELF, "evaluate=[spread]", "objective=spread/uv/radius"]
    watched = ["train.monitor=val/spread/uv/radius", "train.patience=1"]
    out = tmp_path / "sweep"
    done = cli("-m", f"--config-dir={conf()}", "seed=0,1", f"hydra.sweep.dir={out}", *RUN, *words, *watched, small=False,
               cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{own.ROOT}")  # fmt: skip
    assert "Spread of the embeddings" in done.stdout
    assert "spread/uv/radius" in (out / "sweep.csv").read_text().splitlines()[0]
    assert "kept is the step where it is lowest" in " ".join(done.stdout.split())


def test_what_own_parts_state_is_held_to(conf, spectra):
    one = [f"--config-dir={conf()}"]
    assert check_command([*one, *spectra, "backbone=mlp", *SELF]) is None
    assert "mlp: takes vector streams" in refusal(*one, "backbone=mlp")
    assert check_command([*one, "modality=image_text", "+backbone@backbones.text=bag", "augment=none", "loss=clip",
                      "fusion=apart"]) is None  # fmt: skip
    assert check_command([*one, "fusion=apart"]) is None
    assert "reads fused, which fusion=apart does not give" in refusal(
        *one, "fusion=apart", "head=classifier", "loss=cross_entropy"
    )
    assert "nearest: augment.views=2" in refusal(*one, "loss=agree", "augment.views=1")
    assert check_command([*one, "loss=agree"]) is None
    near = refusal(*one, "evaluate=[spread]", "objective=spread/rgb/radiu")
    assert "nearest: objective=spread/rgb/radius" in near
    worst = ["evaluate=[spread]", "train.monitor=val/spread/rgb/radius", "train.mode=max"]
    assert "keeps the worst: less" in refusal(*one, *worst)


def test_what_states_nothing_is_refused_nothing(conf):
    silent = {
        "mlp": own.PARTS["mlp"].replace('    kinds = ("vector",)\n', ""),
        "apart": own.PARTS["apart"].replace("(Base)", "(object)"),
        "spread": "class Spread:\n    def __call__(self, train, test):\n        return {}\n",
    }
    one = [f"--config-dir={conf(**silent)}"]
    assert check_command([*one, "backbone=mlp"]) is None
    assert check_command([*one, "fusion=apart", "head=classifier", "loss=cross_entropy"]) is None
    assert check_command([*one, "fusion=apart", "head=classifier", "loss=cross_entropy", "head.input=joint"]) is None
    assert check_command([*one, "evaluate=[spread]", "objective=spread/rgb/radiu"]) is None


@pytest.mark.parametrize(
    ("part", "old", "new", "words", "said"),
    [
        ("mlp", '("vector",)', '"vector"', "backbone=mlp",
         "mlp.py:6: kinds = 'vector': expected a tuple of names"),
        ("mlp", '("vector",)', "(chr(118),)", "backbone=mlp",
         "mlp.py:6: kinds = (chr(118),): expected written out, a tuple of names"),
        ("agree", "views = 2", "views = True", "loss=agree", "agree.py:4: views = True: expected an integer >= 1"),
        ("agree", "views = 2", "views = {'z': {'a': 0}}", "loss=agree",
         "agree.py:4: views = {'z': {'a': 0}}: expected an integer >= 1"),
        ("spread", '"min"', '"less"', "evaluate=[spread]",
         "spread.py:4: scores = {'radius': 'less'}: expected a dict such as"),
        ("spread", '"name"', '"sample"', "evaluate=[spread]", "spread.py:3: by = 'sample': expected one of label, pair"),
    ],
)  # fmt: skip
def test_a_fact_of_a_wrong_type_is_one_sentence(conf, part, old, new, words, said):
    folder = conf(**{part: own.PARTS[part].replace(old, new)})
    assert said in refusal(f"--config-dir={folder}", words)
    assert "own_lab" not in "".join(name for name in sys.modules if name.startswith("own_lab"))


def test_a_file_that_is_no_python_is_one_sentence(conf):
    folder = conf(mlp="class Mlp(:\n")
    assert re.search(
        r"own_lab\.mlp can't be read: .*mlp\.py:1: invalid syntax", refusal(f"--config-dir={folder}", "backbone=mlp")
    )


def own_class(name):
    return getattr(importlib.import_module(f"own_lab.{name}"), own.CLASSES[name])


@pytest.mark.parametrize("check", [*contract.backbone.CHECKS], ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", ["mlp", "bag"])
def test_the_contract_of_backbones_is_for_others_too(conf, name, check):
    made = factory("backbone", name, conf())
    check(contract.backbone.made(name, made, own_class(name).kinds[0]))


@pytest.mark.parametrize("check", contract.fusion.CHECKS, ids=lambda c: c.__name__)
def test_the_contract_of_fusions_is_for_others_too(conf, check):
    conf()
    check(contract.fusion.Made("apart", own_class("apart")))


def test_a_contract_that_is_broken_says_what_is_owed(conf):
    wide = own.PARTS["mlp"].replace("self.dim = nn.Linear(stream.channels, width), width", "self.dim = "
                                    "nn.Linear(stream.channels, width), 64")  # fmt: skip
    folder = conf(mlp=wide, spread=own.PARTS["spread"].replace("/radius", "/radii"))
    with pytest.raises(AssertionError, match=r"backbone mlp: claims dim=64 but gives tokens \(3, 1, 8\)"):
        contract.backbone.shape_and_width(contract.backbone.made("mlp", factory("backbone", "mlp", folder), "vector"))

    class Narrow(Concat):
        def __init__(self, dims):
            super().__init__(dims, width=32)
            self.dims["fused"] = 64

    with pytest.raises(AssertionError, match=r"fusion narrow: claims dims\['fused'\]=64 but gives 32; set self.dims"):
        contract.fusion.widths(contract.fusion.Made("narrow", Narrow))
    (stated,) = scored({"evaluate": {"spread": {"_target_": "own_lab.spread.Spread"}}})
    with pytest.raises(AssertionError, match="evaluator spread: gives radii, which its scores don't state"):
        contract.evaluator.scores(stated, {"spread/rgb/radii": 1.0}, ["rgb"])


def test_every_backbone_and_fusion_of_conf_states_what_rules_ask():
    for name, node in nodes("backbone").items():
        kinds = facts.fact(node["_target_"], "kinds")
        assert kinds, f"backbone {name} states no kinds"
        assert set(kinds) <= set(KindName.__args__), (
            f"backbone {name}: kinds of streams are {KindName.__args__}, found {kinds}"
        )
    for name, node in nodes("fusion").items():
        assert None not in (facts.fact(node["_target_"], key) for key in ("emits", "acts_on")), f"fusion {name}"


def test_a_fact_is_read_at_run_time_too():
    from multimodal_lab.backbone.vector import Vector
    from multimodal_lab.loss import simclr

    assert Vector.kinds == facts.fact("multimodal_lab.backbone.vector.Vector", "kinds")
    assert simclr.views == facts.fact("multimodal_lab.loss.simclr.simclr", "views")


@pytest.mark.parametrize(
    ("arguments", "views", "pairs"),
    [
        ({}, 2, False),
        ({"between": "modalities"}, 1, True),
        ({"between": "both"}, 2, True),
        ({"between": ["x"]}, 1, False),
    ],
)
def test_a_fact_may_follow_from_an_argument(arguments, views, pairs):
    target = "multimodal_lab.loss.vicreg.vicreg"
    assert facts.fact(target, "views", 1, arguments) == views
    assert facts.fact(target, "pairs", False, arguments) == pairs
